"""Sheets of questions, captions and boxes become records, or one message that says all that is wrong."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from medstress.errors import MedstressError
from medstress.pixels import box_of, decode_mask
from tests.datasets.asked_files import SHAPE, Asked, save_mask
from tests.datasets.conftest import disc

VQA = "image,question,options,answer,answer_type,split,organ"


@pytest.fixture
def data(tmp_path: Path) -> Asked:
    asked = Asked(tmp_path)
    for seed, name in enumerate("abc"):
        asked.picture(f"img/{name}.png", seed)
    return asked


def refusal(data: Asked, card: Any) -> str:
    with pytest.raises(MedstressError) as caught:
        data.prepare(card)
    assert not data.images.exists()
    assert not data.samples.exists()
    return str(caught.value)


def test_several_questions_share_one_image(data: Asked) -> None:
    lines = [
        VQA,
        "img/b.png,What is seen?,,a tumour,open,test,brain",
        "img/a.png,Which modality?,CT;MRI;X-ray,b,,test,brain",
        "img/a.png,Is there a tumour?,,Yes,,test,",
        "img/a.png,Which side?,left;right,Right.,closed,test,brain",
        "img/c.png,What is this?,,a head,,train,brain",
    ]
    summary, images, samples = data.prepare(data.sheet(lines, source={"attributes": ["organ"]}))
    assert [(row.image_id, row.split, row.modality, row.group_id) for row in images] == [
        ("img/a", "test", "mri", "img/a"),
        ("img/b", "test", "mri", "img/b"),
        ("img/c", "train", "mri", "img/c"),
    ]
    assert [(row.sample_id, row.image_id, row.options, row.answer, row.answer_type) for row in samples] == [
        ("img/a#q000", "img/a", ("CT", "MRI", "X-ray"), "MRI", "closed"),
        ("img/a#q001", "img/a", (), "Yes", "closed"),
        ("img/a#q002", "img/a", ("left", "right"), "right", "closed"),
        ("img/b#q000", "img/b", (), "a tumour", "open"),
        ("img/c#q000", "img/c", (), "a head", "open"),
    ]
    assert {row.task for row in samples} == {"vqa"}
    assert samples[0].question == "Which modality?"
    assert [row.attributes for row in samples[:2]] == [(("organ", "brain"),), ()]
    assert "mine test: 2 images, 4 questions, 2 groups (unit: image)" in summary.lines()


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_lists_stay_lists_where_the_format_has_them(data: Asked, kind: str) -> None:
    rows = [
        {
            "image": "img/a.png",
            "question": "Which?",
            "options": ["a; b", "c"],
            "answer": "a; b",
            "split": "test",
            "age": 61,
        },
        {"image": "img/b.png", "question": "Why?", "options": None, "answer": "since", "split": "test", "age": None},
    ]
    sheet = data.root / f"sheet.{kind}"
    if kind == "jsonl":
        sheet.write_text("\n\n".join(map(json.dumps, rows)), encoding="utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(rows), sheet)
    card = data.card({"format": "sheet", "sheet": sheet.name, "attributes": ["age"]})
    _, _, samples = data.prepare(card)
    assert [(row.options, row.answer) for row in samples] == [(("a; b", "c"), "a; b"), ((), "since")]
    assert [row.attributes for row in samples] == [(("age", "61"),), ()]


def test_all_that_is_wrong_comes_at_once(data: Asked) -> None:
    lines = [
        VQA,
        "img/a.png,What is seen?,,,open,test,brain",
        "img/a.png,Which?,CT;MRI,E,,test,brain",
        "img/a.png,Which?,CT;MRI,PET,,test,brain",
        "img/a.png,Which?,CT;ct,CT,,test,brain",
        "img/a.png,,CT;MRI,CT,perhaps,test,brain",
        "img/z.png,What?,,x,,test,brain",
        "img/b.png,What?,,x,,tset,brain",
        ",What?,,x,,test,brain",
        "img/c.png,What?,,x,,test,brain",
        "img/c.png,What?,,x,,train,brain",
        "img/c.png,What?,,x,,train,brain,more",
    ]
    text = refusal(data, data.sheet(lines))
    for part in (
        "9 bad samples, 0 tolerated",
        "sheet.csv, line 2: has a question without an answer.",
        "sheet.csv, line 3: the answer is the option E, outside the options A to B.",
        "sheet.csv, line 4: the answer 'PET' is none of the options: CT, MRI.",
        "sheet.csv, line 5: offers an option twice: CT, ct.",
        "sheet.csv, line 6: has no question; answer_type is 'perhaps'; expected open or closed.",
        "img/z.png: no such file, though",
        "split is 'tset'; expected one of train, val, test.",
        "sheet.csv, line 9: the cell image is empty.",
        "line 11 say different things of it: split 'test' and 'train'. Say one.",
        "sheet.csv, line 12: has 1 cells more than the header.",
    ):
        assert part in text or part.startswith("9 bad")
    assert text.count("img/z.png") == 1


def test_a_closed_question_that_no_answer_can_meet_is_a_mistake(data: Asked) -> None:
    lines = [VQA, "img/a.png,Is there a tumour?,,calcified,closed,test,brain", "img/b.png,Is it?,,No,closed,test,brain"]
    text = refusal(data, data.sheet(lines))
    assert "line 2: is closed and has no options, but its answer 'calcified' is neither yes nor no." in text
    assert "line 3" not in text


def test_splits_of_the_sheet_are_never_overruled_unsaid(data: Asked) -> None:
    card = data.sheet([VQA, "img/a.png,Why?,,since,,test,brain"], split={"by": "fraction", "unit": "image"})
    text = refusal(data, card)
    assert "has a column `split`, which `split.by: fraction` in the card would overrule" in text


def test_columns_that_the_task_needs(data: Asked) -> None:
    text = refusal(data, data.sheet(["picture,text", "a,b"], modality="mixed"))
    assert "no column image, split, modality, question, answer. The sheet has: picture, text." in text
    boxes = data.sheet(["image,question,split", "img/a.png,Where?,test"], task="grounding")
    assert "no column box or mask" in refusal(data, boxes)
    assert "other.csv: no such sheet" in refusal(data, data.card({"format": "sheet", "sheet": "other.csv"}))
    broken = data.root / "broken.jsonl"
    broken.write_text('{"image": "img/a.png"}\n{"image": \n')
    assert "broken.jsonl, line 2: not JSON" in refusal(data, data.card({"format": "sheet", "sheet": "broken.jsonl"}))
    patients = data.sheet(
        ["image,question,answer,split", "img/a.png,What?,x,test"], split={"unit": "patient", "by": "column"}
    )
    assert "Give the sheet a column `group` with the patient of each image" in refusal(data, patients)


def test_groups_stay_in_one_split_and_ids_are_of_one_question(data: Asked) -> None:
    lines = [
        "image,question,answer,split,group,question_id,modality",
        "img/a.png,What?,x,test,p1,q1,ct",
        "img/b.png,What?,x,train,p1,q1,mri",
    ]
    text = refusal(data, data.sheet(lines, split={"unit": "patient", "by": "column"}, tolerate_rejects=2))
    assert "no image is left" in text
    lines[2] = "img/b.png,What?,x,train,p1,q2,mri"
    text = refusal(data, data.sheet(lines, split={"unit": "patient", "by": "column"}))
    assert "the patient 'p1' is in several splits" in text
    lines[2] = "img/b.png,What?,x,train,p2,q2,mri"
    _, images, samples = data.prepare(
        data.sheet(lines, modality="mixed", split={"unit": "patient", "by": "column"}), images=1
    )
    assert [(row.group_id, row.modality) for row in images] == [("p1", "ct"), ("p2", "mri")]
    assert [row.sample_id for row in samples] == ["q1", "q2"]
    lines[2] = "img/b.png,What?,x,train,p2,q2,magnet"
    text = refusal_of_new(data, data.sheet(lines, modality="mixed", split={"unit": "patient", "by": "column"}))
    assert "modality is 'magnet'; expected one of dermoscopy" in text


def refusal_of_new(data: Asked, card: Any) -> str:
    data.images.unlink()
    data.samples.unlink()
    return refusal(data, card)


def test_captions(data: Asked) -> None:
    lines = ["image,caption,split", 'img/a.png,"a head, axial",test', "img/b.png,,test"]
    text = refusal(data, data.sheet(lines, task="captioning"))
    assert "line 3: has no caption." in text
    _, images, samples = data.prepare(data.sheet(lines, task="captioning", tolerate_rejects=1))
    assert [(row.caption, row.question, row.answer_type) for row in samples] == [("a head, axial", "", "")]
    assert [row.image_id for row in images] == ["img/a"]


@pytest.mark.parametrize(
    ("boxes", "written"),
    [
        ({}, "10 8 30 24"),
        ({"scale": "0-1"}, "0.2 0.2 0.6 0.6"),
        ({"scale": "0-100"}, "[20, 20, 60, 60]"),
        ({"scale": "0-1000", "y_first": True}, "(200;200) (600;600)"),
        ({"y_first": True}, "8 10 24 30"),
    ],
)
def test_boxes_come_to_pixels_of_the_image_that_is_shown(data: Asked, boxes: dict[str, Any], written: str) -> None:
    lines = ["image,question,box,label,split", f'img/a.png,Where is it?,"{written}",tumour,test']
    size = {"mode": "longest_side", "side": 100}
    _, images, samples = data.prepare(data.sheet(lines, task="grounding", source={"boxes": boxes}, size=size))
    (found,) = samples[0].objects
    assert (images[0].height, images[0].width) == (80, 100)
    assert found.label == "tumour"
    assert found.box == pytest.approx((20, 16, 60, 48))
    assert box_of(decode_mask(found.mask, 80, 100)) == (20, 16, 60, 48)


def test_masks_say_the_box_where_none_is_given(data: Asked) -> None:
    save_mask(data.root / "masks/a.png")
    tight = box_of(disc(SHAPE))
    lines = [
        "image,question,box,mask,mask_value,split",
        "img/a.png,Where?,,masks/a.png,,test",
        "img/a.png,Where?,20 10 40 30,masks/a.png,255,test",
    ]
    _, _, samples = data.prepare(data.sheet(lines, task="grounding"))
    assert [row.objects[0].box for row in samples] == [tight, (20, 10, 40, 30)]
    for row in samples:
        np.testing.assert_array_equal(decode_mask(row.objects[0].mask, *SHAPE), disc(SHAPE))


def test_a_wrong_convention_is_told(data: Asked) -> None:
    save_mask(data.root / "masks/a.png")

    def said(*boxes: str, **convention: Any) -> str:
        lines = ["image,question,box,mask,mask_value,split", *(f"img/a.png,Where?,{box},,,test" for box in boxes)]
        return refusal(data, data.sheet(lines, task="grounding", source={"boxes": convention}))

    text = said("20 20 60 90", "20 10 45 30", "1 2 3", "30 8 10 24", "-1 2 3 4")
    assert "box is '1 2 3'; expected four numbers x0 y0 x1 y1" in text
    assert "box is '30 8 10 24', which is empty" in text
    assert "box is '-1 2 3 4', outside 0 and up" in text
    text = said("20 20 60 90")
    assert "the box 20 20 60 90 reaches outside its image of 50 x 40 pixels; check the card's `source.boxes`" in text
    assert "outside 0 to 1, the card's `source.boxes.scale: 0-1`" in said("20 20 60 90", scale="0-1")
    assert "If they are shares of width and height, set `scale: 0-1`" in said("0.1 0.2 0.3 0.4", scale="0-100")
    lines = ["image,question,box,mask,mask_value,split", "img/a.png,Where?,0 0 5 5,masks/a.png,,test"]
    lines += ["img/b.png,Where?,,masks/a.png,7,test", "img/c.png,Where?,,masks/z.png,,test", "img/c.png,Where?,,,,test"]
    text = refusal(data, data.sheet(lines, task="grounding"))
    assert "masks/z.png" in text
    assert "has neither a box nor a mask" in text
    text = refusal(data, data.sheet(lines[:3], task="grounding"))
    assert "the box does not meet the mask" in text
    assert "no pixel has the value 7." in text


def test_cards_say_what_does_not_go_together(data: Asked) -> None:
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({"source": {"format": "slake", "folder": "x"}, "task": "captioning"}, "is for task: vqa"),
        ({"source": {"format": "omnimedvqa", "folder": "x"}}, "has no splits of its own"),
        ({"shifts": [{"name": "a", "field": "b", "constant_in": "none"}]}, "either `ood` with values, or `rule`"),
        (
            {"shifts": [{"name": "a", "field": "b", "ood": ["c"], "constant_in": "none", "lend_from": ["train"]}]},
            "lend_from needs a value that is constant",
        ),
        ({"shifts": [{"name": "a", "field": "b", "rule": "old", "constant_in": "none"}] * 2}, "a name of its own"),
        ({"third_party_api": "yes"}, "'forbidden' or 'allowed'"),
    )
    for changes, part in cases:
        source = changes.pop("source", {"format": "sheet", "sheet": "x"})
        with pytest.raises(ValidationError, match=part):
            data.card(source, **changes)
    assert data.card({"format": "sheet", "sheet": "x"}).third_party_api == "forbidden"
