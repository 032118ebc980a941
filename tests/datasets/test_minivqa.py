"""minivqa: every answer follows from a mask or a source, and no group is asked on two sides."""

import csv
import sys
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "resources"))

import cut_minivqa
import minivqa_facts
from minivqa_facts import Shown

EMBEDDED = ROOT / "resources" / "embedded"
DATA = EMBEDDED / "minivqa"
SHEETS = ("vqa", "captioning", "grounding")


def sheet(name: str) -> list[dict[str, str]]:
    with (DATA / f"{name}.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def pixels_of(path: str) -> np.ndarray:
    return cv2.imread(str(DATA / path), cv2.IMREAD_UNCHANGED)


def mask_of(image: str) -> np.ndarray:
    path = Path(image)
    return pixels_of(str(path.parent / "masks" / path.name)) > 0


@pytest.mark.parametrize("name", SHEETS)
def test_group_and_split_are_those_of_the_source(name: str) -> None:
    sources = {}
    for dataset in ("brain_mri_tumour", "lung_ct_tumour", "nuclei", "brain_anatomy", "modality"):
        with (EMBEDDED / dataset / "sheet.csv").open(newline="") as handle:
            sources |= {f"../{dataset}/{row['image']}": (row["group"], row["split"]) for row in csv.DictReader(handle)}
    splits = defaultdict(set)
    for row in sheet(name):
        if not row["image"].startswith("images/"):
            assert (row["group"], row["split"]) == sources[row["image"]]
        splits[row["group"]].add(row["split"])
    assert all(len(found) == 1 for found in splits.values())
    assert {row["split"] for row in sheet(name)} == {"train", "val", "test"}
    assert {row["split"] for row in sheet(name) if "brain1" in row["image"]} == {"test"}
    ids = [row["question_id"] for row in sheet(name)]
    assert len(set(ids)) == len(ids)


def test_no_source_of_modality_lies_elsewhere_on_another_side() -> None:
    named = {row["image"]: row["split"] for name in SHEETS for row in sheet(name)}
    for patient in ("brain2", "lung1", "lung2", "ch2"):
        assert not [image for image in named if image.startswith("../modality/") and f"_{patient}_" in image]
    assert {split for image, split in named.items() if "lung2" in image} == {"test"}


def test_all_questions_are_well_formed_and_several_an_image() -> None:
    rows = sheet("vqa")
    for row in rows:
        options = row["options"].split(";") if row["options"] else []
        assert row["question"].endswith("?")
        assert (row["answer"] in options) == (row["answer_type"] == "closed")
        assert (DATA / row["image"]).is_file()
    whole = [row["image"] for row in rows if row["image"].startswith("../")]
    assert min(whole.count(image) for image in set(whole)) >= 3
    assert {row["content_type"] for row in rows} == {"Modality", "Organ", "Abnormality", "Position", "Size", "Quantity"}


def test_positions_and_sizes_are_those_of_the_masks() -> None:
    asked = [row for row in sheet("vqa") if row["content_type"] in ("Position", "Size")]
    assert len(asked) > 50
    for row in asked:
        tumour = mask_of(row["image"])
        height, width = tumour.shape
        y, x = (values.mean() for values in np.nonzero(tumour))
        if row["content_type"] == "Size":
            low, high = {"less": (0, 0.02), "2": (0.02, 0.05), "more": (0.05, 1)}[row["answer"].split()[0]]
            assert low < tumour.mean() < high
        for word in row["answer"].split() if row["content_type"] == "Position" else ():
            assert {"left": x < width / 2, "right": x > width / 2, "upper": y < height / 2, "lower": y > height / 2}[
                word
            ]


def test_parts_show_a_tumour_where_the_mask_does() -> None:
    rows = [row for row in sheet("vqa") if row["content_type"] == "Abnormality"]
    answers = defaultdict(set)
    for row in rows:
        stem, _, kind = Path(row["image"]).stem.rpartition("_")
        dataset = "brain_mri_tumour" if stem.startswith("brain") else "lung_ct_tumour"
        part, whole = pixels_of(row["image"]), pixels_of(f"../{dataset}/{stem}.png")
        _, _, (x, y), _ = cv2.minMaxLoc(cv2.matchTemplate(whole, part, cv2.TM_SQDIFF))
        np.testing.assert_array_equal(whole[y : y + part.shape[0], x : x + part.shape[1]], part)
        inside = mask_of(f"../{dataset}/{stem}.png")[y : y + part.shape[0], x : x + part.shape[1]]
        assert row["answer"] == ("yes" if inside.any() else "no") == ("yes" if kind == "with" else "no")
        answers[stem].add((row["answer"], part.shape))
    assert all(len(found) == 2 and len({shape for _, shape in found}) == 1 for found in answers.values())


def test_boxes_are_tight_around_the_masks() -> None:
    rows = sheet("grounding")
    assert {row["label"] for row in rows} > {"tumour", "left thalamus"}
    for row in rows:
        x0, y0, x1, y1 = map(int, row["box"].split())
        found = pixels_of(row["mask"]) == int(row["mask_value"])
        assert found[y0:y1, x0:x1].sum() == found.sum() > 0
        assert all(side.any() for side in (found[y0, :], found[y1 - 1, :], found[:, x0], found[:, x1 - 1]))


def test_what_a_mask_leaves_open_is_not_asked() -> None:
    rng = np.random.default_rng(0)
    middle, near = np.zeros((100, 100), bool), np.zeros((100, 100), bool)
    middle[45:55, 45:55], near[0:20, 0:10] = True, True
    grey = np.zeros((100, 100), np.uint8)
    kinds = [item.content_type for item in minivqa_facts.questions(Shown(grey, "mri", tumour=middle), rng)]
    assert "Position" not in kinds
    assert "Size" in kinds
    assert minivqa_facts.size_class(near) is None
    assert (
        minivqa_facts.caption(Shown(grey, "mri", tumour=middle)) == "An MRI image with a small tumour near the middle."
    )
    assert minivqa_facts.many_nuclei((9, 10)) == ""
    assert minivqa_facts.many_nuclei((10, 12)) == "10 or more"


def test_bright_spots_outside_the_mask_may_be_nuclei() -> None:
    tile, labels = np.full((64, 64), 10, np.uint8), np.zeros((64, 64), np.uint8)
    labels[5:15, 5:15] = 3
    tile[5:15, 5:15] = tile[40:50, 40:50] = tile[60:62, 2:4] = 200
    assert minivqa_facts.nuclei_between(tile, labels) == (1, 2)


def test_the_data_set_is_small_and_what_the_script_makes() -> None:
    assert sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file()) < 1_500_000
    entries = cut_minivqa.entries_of(EMBEDDED)
    assert list(cut_minivqa.vqa_rows(entries)) == sheet("vqa")
    assert list(cut_minivqa.captioning_rows(entries)) == sheet("captioning")
    assert list(cut_minivqa.grounding_rows(entries)) == sheet("grounding")
