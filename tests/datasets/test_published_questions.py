"""The published layouts of questions, captions and boxes are read, here in miniature."""

import logging
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from medstress.cards.generation import GenerationCard
from medstress.datasets.mimic_patients import group_of_race
from medstress.datasets.question_form import chosen, closed_options, offered
from medstress.errors import MedstressError
from medstress.fetch.plan import dataset_folder, dataset_paths
from medstress.pixels import box_of
from medstress.shifts import members_of, shift_sets
from tests.conftest import ROOT
from tests.datasets.asked_files import (
    SHAPE,
    Asked,
    mimic_item,
    mimic_tables,
    png,
    rocov2_table,
    save_mask,
    slake,
    slake_item,
    turns,
    values_of,
)
from tests.datasets.conftest import disc, picture, save

FOLDER = ROOT / "config" / "datasets"
CUIS = ("C0040405", "C1306645", "C0002978", "C0040405 C0032743", "C0817096")
CARDS = ("mecovqa", "mimic_cxr_vqa", "omnimedvqa", "ovqa", "rocov2", "slake")


@pytest.fixture
def data(tmp_path: Path) -> Asked:
    return Asked(tmp_path)


def card_of(name: str, **changes: Any) -> GenerationCard:
    return GenerationCard.model_validate(yaml.safe_load((FOLDER / f"{name}.yaml").read_text()) | changes)


def refusal(data: Asked, card: GenerationCard) -> str:
    with pytest.raises(MedstressError) as caught:
        data.prepare(card)
    assert not data.images.exists()
    return str(caught.value)


@pytest.mark.parametrize("name", CARDS)
def test_a_card_is_fetched_to_where_it_is_read(name: str) -> None:
    card = card_of(name)
    assert dataset_folder(card) == f"downloads/datasets/{name}"
    assert all(path.startswith(f"downloads/datasets/{name}") for path in dataset_paths(card))
    by_hand = [item.by_hand for item in card.download if item.by_hand]
    assert bool(by_hand) == (name in ("mecovqa", "mimic_cxr_vqa", "ovqa"))
    assert card.third_party_api == ("allowed" if name in ("slake", "rocov2") else "forbidden")
    docs = (ROOT / "docs" / "datasets.md").read_text()
    assert f"`{name}`" in docs.partition("## Questions, captions, boxes")[2]


def test_slake_keeps_english_and_its_shifts(data: Asked, caplog: Any) -> None:
    slake(data, "downloads/datasets/slake")
    card = card_of("slake")
    with caplog.at_level(logging.INFO, logger="medstress"):
        _, images, samples = data.prepare(card)
    assert Counter(row.split for row in images) == {"train": 4, "val": 1, "test": 2}
    assert [row.modality for row in images] == ["mri", "xray", "mri", "xray", "ct", "xray", "mri"]
    assert len(samples) == 21
    first = samples[0]
    assert (first.sample_id, first.image_id) == ("test0/source#q16", "test0/source")
    assert ("content_type", "Organ") in first.attributes
    assert [(row.answer_type, row.options, row.answer) for row in samples[:3]] == [
        ("open", (), "Lung"),
        ("closed", ("yes", "no"), "no"),
        ("closed", (), "Lung"),
    ]
    members = members_of(images, samples)
    xray, size = (shift_sets(members, shift) for shift in card.shifts)
    assert {split: len(ids) for split, ids in xray.iid.items()} == {"train": 6, "val": 3, "test": 3}
    assert {sample_id.partition("/")[0] for sample_id in xray.ood} == {"test1", "train1", "train3"}
    assert len(size.ood) == 2
    assert size.left_out == {"out of distribution in train": 4, "out of distribution in val": 1}
    assert "questions left out, in other languages than English: 7" in caplog.messages
    assert "shift content_size: in distribution train 8, val 2, test 4; out of it 2; " in "\n".join(caplog.messages)


def test_slake_says_all_that_is_wrong(data: Asked) -> None:
    slake(data, "downloads/datasets/slake")
    folder = data.root / "downloads/datasets/slake"
    (folder / "imgs" / "test1" / "source.jpg").unlink()
    broken = [slake_item(1, "test0", "Why?", ""), {"qid": 2}, slake_item(1, "train0", "Why?", "x", modality="X-Ray")]
    data.json("downloads/datasets/slake/validate.json", broken)
    text = refusal(data, card_of("slake", shifts=[]))
    for part in (
        "test1/source.jpg: no such file, though",
        "validate.json, entry 2: has no img_name, question, answer, q_lang, answer_type",
        "split 'train' and 'val'",
        "split 'val' and 'test'",
    ):
        assert part in text or (part == "split 'val' and 'test'" and "split 'test' and 'val'" in text)
    (folder / "validation.json").write_text("[]")
    assert "several files of one split: validate.json, validation.json" in refusal(data, card_of("slake"))
    (folder / "validation.json").unlink()
    (folder / "train.json").write_text('{"a": ')
    assert "train.json: not JSON in UTF-8" in refusal(data, card_of("slake"))
    assert "nowhere: no such folder. Check `source.folder`" in refusal(
        data, card_of("slake", source={"format": "slake", "folder": "nowhere"})
    )


def test_a_shift_value_that_no_question_has(data: Asked) -> None:
    slake(data, "downloads/datasets/slake")
    shifts: list[dict[str, Any]] = [
        {"name": "a", "field": "modality", "ood": ["X_Ray", "PET"], "constant_in": "image"},
        {"name": "b", "field": "modalty", "ood": ["CT"], "constant_in": "image"},
        {"name": "c", "field": "content_type", "ood": ["Size"], "constant_in": "image", "lend_from": ["train"]},
    ]
    text = refusal(data, card_of("slake", shifts=shifts))
    assert (
        "the shift 'a': no question has modality 'X_Ray'; there are CT (3), MRI (9), X-Ray (9). Did you mean X-Ray?"
        in text
    )
    assert "the shift 'a': no question has modality 'PET'" in text
    assert "the shift 'b': no question has the attribute 'modalty'" in text
    assert "Did you mean modality?" in text
    assert "the shift 'c': content_type is not constant: 7 images on both sides" in text
    assert "the shift 'c': leakage: the image train0/source, train1/source" in text


def ovqa_item(number: int, image: str, question: str, answer: str, kind: str, **changes: Any) -> dict[str, Any]:
    base = {"qid": number, "image_name": image, "image_organ": "HAND", "question": question, "answer": answer}
    return base | {"answer_type": kind, "question_type": "Abnormality"} | changes


def test_ovqa_is_cleaned(data: Asked, caplog: Any) -> None:
    other = {"question_type": "Organ System"}
    for number, split in enumerate(("train", "val", "test")):
        items = []
        for place, organ in enumerate(("HAND", "LEG")):
            name = f"img{number}{place}.jpg"
            save(data.root / "downloads/datasets/ovqa/img" / name, picture(number, SHAPE))
            items += [
                ovqa_item(100 * number + 10 * place + item, name, *asked, image_organ=organ)
                for item, asked in enumerate(
                    [
                        ("Is there a fracture?", "Yes", "CLOSED"),
                        ("Is this a CT or X-ray?", "xray", "CLOSED"),
                        ("Is it the left or right?", "left", "CLOSED"),
                        ("What is broken?", "the tibia", "OPEN"),
                    ]
                )
            ]
            items.append(
                ovqa_item(100 * number + 10 * place + 9, name, "Which?", "x", "OPEN", image_organ=organ) | other
            )
        data.json(f"downloads/datasets/ovqa/{split}set.json", items)
        data.json(f"downloads/datasets/ovqa/{split}set_old.json", [])
    card = card_of("ovqa")
    with caplog.at_level(logging.INFO, logger="medstress"):
        _, images, samples = data.prepare(card)
    assert len(samples) == 24
    assert [(row.options, row.answer) for row in samples[:3]] == [
        (("yes", "no"), "yes"),
        (("CT", "X-ray"), "X-ray"),
        ((), "the tibia"),
    ]
    assert "closed questions left out, whose answer is neither yes nor no: 6" in caplog.messages
    members = members_of(images, samples)
    leg, system = (shift_sets(members, shift) for shift in card.shifts)
    assert {sample_id[:5] for sample_id in leg.ood} == {"img01", "img21"}
    assert len(system.ood) == 2


def test_omnimedvqa_shows_its_options(data: Asked) -> None:
    root = "downloads/datasets/omnimedvqa/OmniMedVQA"
    base = {"dataset": "A", "question_type": "Modality Recognition", "question": "Which?", "gt_answer": "CT."}
    choices = {"option_A": "MRI", "option_B": "CT", "option_C": "X-ray", "option_D": "PET"}
    kinds = ("CT(Computed Tomography)", "OCT (Optical Coherence Tomography", "Colposcopy")
    for place, kind in enumerate(kinds):
        data.picture(f"{root}/Images/{'AB'[place % 2]}/same_name_{place // 2}.png", place)
        item = (
            base
            | choices
            | {"question_id": f"A_{place}", "image_path": f"Images/{'AB'[place % 2]}/same_name_{place // 2}.png"}
        )
        key = "modality" if place == 0 else "modality_type"
        data.json(f"{root}/QA_information/Open-access/{place}.json", [item | {key: kind}])
    _, images, samples = data.prepare(card_of("omnimedvqa"))
    assert [(row.image_id, row.modality, row.split) for row in images] == [
        ("Images/A/same_name_0", "ct", "test"),
        ("Images/A/same_name_1", "mixed", "test"),
        ("Images/B/same_name_0", "oct", "test"),
    ]
    assert {(row.options, row.answer, row.answer_type) for row in samples} == {
        (("MRI", "CT", "X-ray", "PET"), "CT", "closed")
    }
    assert ("modality_type", "Colposcopy") in samples[1].attributes
    data.images.unlink()
    item = base | {"question_id": "B_1", "image_path": "Images/A/same_name_0.png"}
    data.json(f"{root}/QA_information/Open-access/0.json", [item, item | choices | {"gt_answer": "MRA"}])
    text = refusal(data, card_of("omnimedvqa"))
    assert "0.json, entry 1: has none of option_A to option_D" in text
    assert "0.json, entry 2: the answer 'MRA' is none of the options" in text


def test_rocov2_images_inside_parquet_files(data: Asked) -> None:
    folder = data.root / "downloads/datasets/rocov2/data"
    order = [3, 0, 4, 1, 2]
    rows = [
        {"image": {"bytes": png(n), "path": None}, "image_id": f"t_{n}", "caption": f"c{n}", "cui": ["C1", CUIS[n]]}
        for n in order
    ]
    rocov2_table(folder / "test-00000-of-00001.parquet", rows, group=2)
    train = [{"image": {"bytes": png(9)[:60], "path": None}, "image_id": "u_9", "caption": "", "cui": []}]
    rocov2_table(folder / "validation-00000-of-00001.parquet", train, group=2)
    text = refusal(data, card_of("rocov2"))
    assert "validation-00000-of-00001.parquet, row 1: has no caption." in text
    _, images, samples = data.prepare(card_of("rocov2", tolerate_rejects=1))
    assert [row.image_id for row in images] == [row.sample_id for row in samples] == [f"t_{n}" for n in range(5)]
    assert [row.caption for row in samples] == [f"c{n}" for n in range(5)]
    assert samples[0].attributes == (("cui", "C1 C0040405"),)
    # What is PET besides, or no imaging modality at all, is none that a type belongs to.
    assert [row.modality for row in images] == ["ct", "xray", "angiography", "mixed", "mixed"]
    for number, row in enumerate(images):
        np.testing.assert_array_equal(values_of(row.png), picture(number, SHAPE))
    data.images.unlink()
    rocov2_table(folder / "validation-00000-of-00001.parquet", [train[0] | {"caption": "x"}], group=2)
    assert "validation-00000-of-00001.parquet, row 1: unreadable: the PNG file is truncated" in refusal(
        data, card_of("rocov2")
    )


def test_rocov2_as_folders(data: Asked) -> None:
    folder = "downloads/datasets/rocov2"
    for number, split in enumerate(("train", "valid", "test")):
        data.picture(f"{folder}/{split}_images/{split}/R_{split}_1.png", number)
        (data.root / folder / f"{split}_captions.csv").write_text(f'ID,Caption\nR_{split}_1,"a, {split}"\n')
    _, images, samples = data.prepare(card_of("rocov2"))
    assert [(row.image_id, row.split) for row in images] == [
        ("R_test_1", "test"),
        ("R_train_1", "train"),
        ("R_valid_1", "val"),
    ]
    assert [row.caption for row in samples] == ["a, test", "a, train", "a, valid"]
    data.images.unlink()
    (data.root / folder / "test_captions.csv").write_text("ID,Caption\nR_test_7,x\n")
    assert "test_captions.csv, line 2: no image R_test_7.* lies below" in refusal(data, card_of("rocov2"))


def test_mecovqa_by_mask_or_by_numbers(data: Asked) -> None:
    root = "downloads/datasets/mecovqa"
    name = "images/mr_t1--BraTS--case_1--x_0100"
    data.picture(f"{root}/SAMed2Dv1/{name}.png", 1)
    data.picture(f"{root}/SAMed2Dv1/images/x_ray--C--c.png", 2)
    save_mask(data.root / root / "SAMed2Dv1/masks/m.png")
    data.json(f"{root}/train/MeCoVQA-Grounding.json", [])
    test = f"{root}/test/MeCoVQA_Grounding_test.json"
    item = {"id": "a", "image": name, "conversations": turns("Where is it?", "<mask>masks/m.png</mask>")}
    other = {
        "id": "a",
        "image": "images/x_ray--C--c.png",
        "conversations": turns("Where?", "It is at [10, 8, 30, 24]."),
    }
    data.json(test, [item, item, other])
    _, images, samples = data.prepare(card_of("mecovqa"))
    assert [(row.modality, row.split) for row in images] == [("mri", "test"), ("xray", "test")]
    assert [row.sample_id for row in samples] == [f"{name}#q000", f"{name}#q001", "images/x_ray--C--c#q000"]
    assert [row.objects[0].box for row in samples] == [box_of(disc(SHAPE))] * 2 + [(10, 8, 30, 24)]
    assert samples[0].question == "Where is it?"
    assert samples[0].attributes == (("modality", "mr_t1"), ("dataset", "BraTS"))
    data.images.unlink()
    data.json(test, [item | {"conversations": turns("Where?", "I do not know.")}, item | {"conversations": []}])
    text = refusal(data, card_of("mecovqa"))
    assert "entry 1: the answer 'I do not know.' holds neither four numbers nor <mask>path</mask>." in text
    assert "entry 2: conversations need a turn of human and one of gpt." in text


def test_mimic_questions_say_what_may_be_answered(data: Asked) -> None:
    root = "downloads/datasets/mimic_cxr_vqa"
    people = {
        "1": ("F", "25", ["WHITE", "WHITE - RUSSIAN"]),
        "2": ("M", "71", ["BLACK/CAPE VERDEAN", "UNKNOWN"]),
        "3": ("M", "66", ["WHITE"]),
        "4": ("F", "30", ["ASIAN - CHINESE", "WHITE"]),
        "5": ("M", "88", ["PORTUGUESE"]),
        "6": ("F", "38", ["HISPANIC/LATINO - CUBAN"]),
        "7": ("", "45", []),
    }
    mimic_tables(data, people, root)
    for subject in people:
        save(data.root / root / f"files/p10/p{subject}/s1/i{subject}.jpg", picture(int(subject), SHAPE))
    two = {"object": '{"0": "left lung", "1": "right lung"}', "attribute": {"0": "mass"}}
    asked = [
        mimic_item(1, "2", "verify", "presence", ["yes"]),
        mimic_item(2, "2", "choose", "anatomy", ["left lung"], two),
        mimic_item(3, "2", "choose", "anatomy", [], two),
        mimic_item(4, "2", "choose", "anatomy", ["left lung", "right lung"], two),
        mimic_item(5, "2", "choose", "plane", ["pa"], {"viewpos": {"0": "pa"}}),
        mimic_item(6, "2", "choose", "gender", ["m"], {"gender": {"0": "m", "1": "f"}}),
        mimic_item(7, "2", "query", "gender", ["f"]),
        mimic_item(8, "2", "query", "abnormality", ["mass", "edema"]),
        mimic_item(9, "2", "query", "abnormality", []),
        *(
            mimic_item(10 + place, subject, "verify", "presence", ["no"])
            for place, subject in enumerate(("1", "4", "5", "6", "7"))
        ),
    ]
    data.json(f"{root}/questions/test.json", asked)
    data.json(f"{root}/questions/train.json", [mimic_item(1, "3", "verify", "presence", ["no"])])
    data.json(f"{root}/questions/_train.json", [])
    card = card_of("mimic_cxr_vqa")
    _, images, samples = data.prepare(card)
    of_two = [row for row in samples if row.image_id.endswith("i2")]
    lungs = ("left lung", "right lung", "none", "both")
    assert [(row.answer_type, row.options, row.answer) for row in of_two] == [
        ("closed", ("yes", "no"), "yes"),
        ("closed", lungs, "left lung"),
        ("closed", lungs, "none"),
        ("closed", lungs, "both"),
        ("closed", ("AP", "PA"), "PA"),
        ("closed", ("male", "female"), "male"),
        ("open", (), "female"),
        ("open", (), "mass, edema"),
        ("open", (), "none"),
    ]
    assert {row.group_id for row in images} == set(people)
    attributes = {row.image_id[-1]: dict(row.attributes) for row in samples}
    assert " ".join(attributes[subject]["ethnicity"] for subject in people) == (
        "WHITE BLACK WHITE UNKNOWN/OTHER WHITE HISPANIC/LATINO UNKNOWN/OTHER"
    )
    sets = {shift.name: shift_sets(members_of(images, samples), shift) for shift in card.shifts}
    who = {name: {sample_id.partition("/s1")[0][-1] for sample_id in one.ood} for name, one in sets.items()}
    assert who == {"gender_female": {"1", "4", "6"}, "ethnicity_nonwhite": {"2", "6"}, "age_young": {"1", "4", "6"}}
    assert sets["gender_female"].left_out == {"gender unknown": 1, "with content_type gender": 2}
    assert sets["age_young"].left_out == {"age from 40 to 59": 1}
    assert len(sets["gender_female"].iid["test"]) == 8
    data.images.unlink()
    data.samples.unlink()
    data.json(
        f"{root}/questions/test.json",
        [mimic_item(1, "2", "choose", "anatomy", ["x"]), mimic_item(2, "1", "guess", "size", [])],
    )
    text = refusal(data, card_of("mimic_cxr_vqa", shifts=[]))
    assert "entry 1: template_arguments do not name the two things to choose from." in text
    assert "entry 2: semantic_type is 'guess'; expected verify, choose or query." in text
    (data.root / root / "patients.csv.gz").unlink()
    (data.root / root / "questions/test.json").rename(data.root / root / "questions/else.json")
    (data.root / root / "questions/train.json").unlink()
    text = refusal(data, card_of("mimic_cxr_vqa"))
    assert "patients.csv.gz: no such table. Check `source.patients`" in text
    assert "no JSON file whose name begins with train, val or test." in text


def test_the_form_of_a_question_offers_answers_without_the_truth() -> None:
    assert offered("Does the picture contain liver?") == ("yes", "no")
    assert offered("Is this a CT or an MRI?") == ("CT", "MRI")
    assert offered("Is the lesion left or right?") == offered("Which organ?") == ()
    assert closed_options("Is it an MR or X ray?", "X-Ray", "CLOSED") == ("MR", "X ray")
    assert closed_options("Is there a mass?", "two of them", "CLOSED") == ()
    assert closed_options("Is there a mass?", "Yes", "OPEN") == ()
    assert chosen("x-ray", ["X ray", "CT"]) == "X ray"
    assert chosen("+", ["+", "-"]) == "+"
    assert chosen("?", ["+", "-"]) is None


def test_races_of_mimic_fall_into_four_groups() -> None:
    assert group_of_race("WHITE - BRAZILIAN") == group_of_race("PORTUGUESE") == "WHITE"
    assert group_of_race("BLACK/AFRICAN AMERICAN") == "BLACK"
    assert group_of_race("ASIAN - KOREAN") == "ASIAN"
    assert group_of_race("HISPANIC OR LATINO") == "HISPANIC/LATINO"
    assert group_of_race("UNABLE TO OBTAIN") == group_of_race("OTHER") == "UNKNOWN/OTHER"


def test_a_limit_of_the_test_leaves_the_training_questions_whole(data: Asked) -> None:
    slake(data, "downloads/datasets/slake")
    card = card_of("slake", shifts=[])
    _, images, _ = data.prepare(card, images=1, splits=["test"])
    assert Counter(row.split for row in images) == {"train": 4, "val": 1, "test": 1}
