"""docs/tutorial.md, followed to the letter with images of six patients."""

import re
import shutil

import pytest

from medstress.names import TableName
from tests.conftest import EMBEDDED, ROOT
from tests.scenarios.test_demo import blocks, shell
from tests.scenarios.workflow import copy_project

pytestmark = pytest.mark.scenario

PAGE = "docs/tutorial.md"
TABLES: tuple[TableName, ...] = (
    "segmentation_main",
    "segmentation_perturbations",
    "segmentation_levels",
    "calibration",
)


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """The folder after every command of the page, and what each of them said."""
    folder = copy_project(tmp_path_factory.mktemp("tutorial") / "medstress").folder
    images, masks = folder / "data/my_set/images", folder / "data/my_set/masks"
    images.mkdir(parents=True)
    masks.mkdir()
    for number, image in enumerate(sorted((EMBEDDED / "brain_mri_tumour").glob("*.png"))[:6]):
        shutil.copy(image, images / f"patient{number}.png")
        shutil.copy(EMBEDDED / "brain_mri_tumour/masks" / image.name, masks / f"patient{number}_Segmentation.png")
    names = re.findall(r"^Put this into `(.*)`", (ROOT / PAGE).read_text(), re.MULTILINE)
    for name, text in zip(names, blocks(PAGE, "yaml"), strict=True):
        (folder / name).write_text(text)
    said = {}
    commands = [line for block in blocks(PAGE, "sh") for line in block.splitlines()]
    assert commands[0] == "make demo"  # test_demo.py has it
    for command in commands[1:]:
        if "results/before" in command:
            shutil.copytree(folder / "results/mine", folder / "results/before")
        said[command] = shell(folder, command)
    return folder, said


def test_it_ends_with_a_paper(followed):
    folder, _ = followed
    assert {path.stem for path in (folder / "results/mine/tables").glob("*.csv")} == set(TABLES)
    assert (folder / "results/mine/index.html").exists()
    assert {path.name for path in (folder / "paper").iterdir()} >= {"tables.xlsx", "tables.tex", "RESULTS.md"}


def test_the_bundle_gives_the_table_again(followed):
    folder, said = followed
    made, before = (folder / "results" / study / "tables/segmentation_main.csv" for study in ("mine", "before"))
    assert made.read_bytes() == before.read_bytes()
    assert any("bundle=mine.zip" in command for command in said)


def test_nothing_differs_from_itself(followed):
    compared = next(text for command, text in followed[1].items() if command.startswith("medstress compare"))
    assert " numbers compared, 0 differ" in compared
