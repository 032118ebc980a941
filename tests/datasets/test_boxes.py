"""Boxes in the layout of published benchmarks: read as prompts, written from masks."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from medstress.datasets.boxes import inclusive, read_boxes
from medstress.datasets.write_boxes import write_boxes
from medstress.errors import MedstressError
from tests.datasets.conftest import Project, disc, picture, save


def folder(**changes: Any) -> dict[str, Any]:
    return {"format": "folder", "images": "images", "masks": "masks", "mask_suffix": "_m"} | changes


@pytest.fixture
def lesions(project: Project) -> Project:
    for number, shape in enumerate([(40, 50), (64, 100), (256, 256)]):
        save(project.root / "images" / f"{number}.png", picture(number, shape))
        save(project.root / "masks" / f"{number}_m.png", disc(shape, (20, 30), 5 + number))
    return project


SQUARE = {"mode": "stretch", "side": 256}
GIVEN = {"0_m.png": [100, 80, 220, 200], "1_m.png": [40, 40, 120, 130], "2_m.png": [20, 10, 40, 30]}


def test_both_ends_of_a_published_box_belong_to_it(tmp_path: Path) -> None:
    (tmp_path / "boxes.json").write_text(json.dumps({"a.png": [0, 0, 0, 0], "b.png": [3, 4, 255, 10]}))
    boxes = read_boxes(tmp_path / "boxes.json", 256)
    assert boxes == {"a.png": (0, 0, 1, 1), "b.png": (3, 4, 256, 11)}
    assert {name: inclusive(box) for name, box in boxes.items()} == {"a.png": [0, 0, 0, 0], "b.png": [3, 4, 255, 10]}


def test_boxes_become_the_prompts(lesions: Project) -> None:
    (lesions.root / "boxes.json").write_text(json.dumps(GIVEN))
    card = lesions.card(source=folder(boxes={"file": "boxes.json"}), size=SQUARE)
    _, _, samples = lesions.prepare(card)
    assert [row.objects[0].box for row in samples] == [(100, 80, 221, 201), (40, 40, 121, 131), (20, 10, 41, 31)]


def test_boxes_of_the_square_fit_images_of_any_size(lesions: Project) -> None:
    (lesions.root / "boxes.json").write_text(json.dumps(GIVEN))
    _, _, samples = lesions.prepare(lesions.card(source=folder(boxes={"file": "boxes.json"})))
    expected = [value * side / 256 for value, side in zip((100, 80, 221, 201), (50, 40, 50, 40), strict=True)]
    assert samples[0].objects[0].box == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["binary", "per_object"])
def test_what_is_written_and_read_again_changes_nothing(lesions: Project, kind: str) -> None:
    two = disc((40, 50), (10, 10), 3) | disc((40, 50), (30, 40), 4)  # one box over both
    save(lesions.root / "masks" / "0_m.png", two)
    if kind == "per_object":
        save(lesions.root / "masks" / "1_m_1.png", disc((64, 100), (50, 80), 9))
    card = lesions.card(source=folder(), size=SQUARE, labels={"kind": kind})
    _, _, before = lesions.prepare(card)
    assert write_boxes(card, lesions.root, lesions.root / "boxes.json") == 3 + (kind == "per_object")
    written = json.loads((lesions.root / "boxes.json").read_text())
    assert all(isinstance(value, int) for numbers in written.values() for value in numbers)
    again = lesions.card(source=folder(boxes={"file": "boxes.json"}), size=SQUARE, labels={"kind": kind})
    _, _, after = lesions.prepare(again)
    assert after == before
    write_boxes(again, lesions.root, lesions.root / "again.json")
    assert (lesions.root / "again.json").read_bytes() == (lesions.root / "boxes.json").read_bytes()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "not JSON"),
        ("[1]", 'expected {"mask file name"'),
        ('{"a": [1, 2, 3]}', r"a: \[1, 2, 3\]"),
        ('{"a": [5, 0, 4, 9]}', "0 <= x1 <= x2 < 256"),
        ('{"a": [0, 0, 256, 9]}', "both ends belong to the box"),
        ('{"a": [0, 0, true, 9]}', "expected"),
        ('{"a": "1 2 3 4"}', "expected"),
    ],
)
def test_box_files_that_cannot_be_read(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "boxes.json").write_text(content)
    with pytest.raises(MedstressError, match=reason):
        read_boxes(tmp_path / "boxes.json", 256)


def test_all_bad_boxes_are_named_up_to_a_few(tmp_path: Path) -> None:
    (tmp_path / "boxes.json").write_text(json.dumps({f"m{number:02d}": [9, 9, 0, 0] for number in range(15)}))
    with pytest.raises(MedstressError, match=r"m00: [\s\S]*m09: [\s\S]*and 5 more"):
        read_boxes(tmp_path / "boxes.json", 256)


def test_no_box_and_a_box_elsewhere_are_bad_samples(lesions: Project) -> None:
    (lesions.root / "boxes.json").write_text(json.dumps({"0_m.png": [0, 0, 3, 3], "1_m.png": GIVEN["1_m.png"]}))
    with pytest.raises(MedstressError) as caught:
        lesions.prepare(lesions.card(source=folder(boxes={"file": "boxes.json"}), size=SQUARE))
    assert "2.png: boxes.json has no box for 2_m.png" in str(caught.value)
    assert "does not meet the mask" in str(caught.value)
    with pytest.raises(MedstressError, match=r"nowhere.json: no such file. Check `source.boxes`"):
        lesions.prepare(lesions.card(source=folder(boxes={"file": "nowhere.json"}), size=SQUARE))


def test_boxes_are_written_for_one_square_and_names_that_differ(lesions: Project) -> None:
    with pytest.raises(MedstressError, match="need one square"):
        write_boxes(lesions.card(source=folder()), lesions.root, lesions.root / "boxes.json")
    for place in ("a", "b"):
        save(lesions.root / "twice" / place / "x.png", picture())
        save(lesions.root / "truth" / place / "x_m.png", disc())
    card = lesions.card(source=folder(images="twice", masks="truth"), size=SQUARE)
    with pytest.raises(MedstressError, match="another mask has the same name"):
        write_boxes(card, lesions.root, lesions.root / "boxes.json")
    stack = {"format": "npy_stack", "images": "i.npy", "masks": "m.npy"}
    save(lesions.root / "i.npy", np.stack([picture()]))
    save(lesions.root / "m.npy", np.stack([disc()]))
    with pytest.raises(MedstressError, match="belong to mask files of single images"):
        write_boxes(lesions.card(source=stack, size=SQUARE), lesions.root, lesions.root / "boxes.json")


def test_the_command_writes_them(lesions: Project) -> None:
    card = lesions.card(source=folder(), size=SQUARE).model_dump(mode="json", exclude_defaults=True)
    (lesions.root / "mine.yaml").write_text(yaml.safe_dump(card))
    command = [sys.executable, "-m", "medstress.cli", "boxes", "mine.yaml", "boxes.json"]
    done = subprocess.run(command, cwd=lesions.root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "boxes.json: 3 boxes\n")
    assert sorted(json.loads((lesions.root / "boxes.json").read_text())) == ["0_m.png", "1_m.png", "2_m.png"]
    (lesions.root / "mine.yaml").write_text(yaml.safe_dump(card | {"modality": "mrt"}))
    done = subprocess.run(command, cwd=lesions.root, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "did you mean mri?" in done.stderr
