"""Patients, slabs and tiles must be said: an image is never taken for a patient in silence."""

import numpy as np
import pytest

from medstress.errors import MedstressError
from tests.datasets.conftest import Project, disc, picture, save, save_volume

PATIENT = {"unit": "patient", "by": "fraction", "val": 0, "test": 1}


def pictures(project: Project, *names: str) -> None:
    for name in names:
        save(project.root / "images" / f"{name}.png", picture())
        save(project.root / "masks" / f"{name}.png", disc())


def volume(project: Project, name: str, depth: int) -> None:
    save_volume(project.root / "images" / f"{name}.nii", np.zeros((30, 20, depth), np.uint8))
    save_volume(project.root / "masks" / f"{name}.nii", np.ones((30, 20, depth), np.uint8))


@pytest.mark.parametrize("unit", ["patient", "slab", "tile"])
def test_a_folder_needs_a_pattern_and_says_so_with_everything_else(project: Project, unit: str) -> None:
    pictures(project, "p1_s1", "p1_s2")
    (project.root / "masks" / "p1_s2.png").unlink()
    card = project.card(split=PATIENT | {"unit": unit})
    with pytest.raises(MedstressError) as caught:
        project.prepare(card)
    message = str(caught.value)
    assert f"mine: `split.unit` is {unit}, but nothing says which images belong to the same {unit}." in message
    assert "`source.group_pattern`" in message
    assert "set `split.unit: image`" in message
    assert "p1_s2.png: an image without a mask" in message
    assert project.wrote_nothing()
    (project.root / "images").rename(project.root / "pictures")
    with pytest.raises(MedstressError, match=r"no such folder(.|\n)*`source\.group_pattern`"):
        project.prepare(card)


@pytest.mark.parametrize("unit", ["patient", "slab", "tile"])
def test_a_sheet_needs_a_column(project: Project, unit: str) -> None:
    pictures(project, "a", "b")
    project.write_sheet(
        "image,mask", "images/a.png,masks/a.png", "images/b.png,masks/b.png", "images/c.png,masks/c.png"
    )
    with pytest.raises(MedstressError) as caught:
        project.prepare(project.sheet_card(split=PATIENT | {"unit": unit}))
    assert f"Give the sheet a column `group` with the {unit} of each image." in str(caught.value)
    assert "no such file" in str(caught.value)
    assert project.wrote_nothing()


def test_where_groups_are_said_or_images_are_independent_it_goes_on(project: Project) -> None:
    pictures(project, "p1_s1", "p1_s2")
    source = {"format": "folder", "images": "images", "masks": "masks", "group_pattern": "^(p[0-9]+)_"}
    assert [row.group_id for row in project.prepare(project.card(split=PATIENT, source=source))[1]] == ["p1", "p1"]
    assert [row.group_id for row in project.prepare(project.card())[1]] == ["p1_s1", "p1_s2"]
    project.write_sheet("image,mask,group", "images/p1_s1.png,masks/p1_s1.png,p1")
    assert [row.group_id for row in project.prepare(project.sheet_card(split=PATIENT))[1]] == ["p1"]


def test_volumes_are_patients_by_themselves_but_single_slices_and_pictures_are_not(project: Project) -> None:
    volume(project, "one", 3)
    volume(project, "two", 2)
    card = project.card(split=PATIENT)
    assert {row.group_id for row in project.prepare(card)[1]} == {"one", "two"}
    project.write_sheet("image,mask", "images/one.nii,masks/one.nii", "images/two.nii,masks/two.nii")
    assert len(project.prepare(project.sheet_card(split=PATIENT))[1]) == 5
    with pytest.raises(MedstressError, match="group_pattern"):
        project.prepare(project.card(split=PATIENT | {"unit": "slab"}))
    volume(project, "cut", 1)
    with pytest.raises(MedstressError, match="Only where all images are NIfTI volumes"):
        project.prepare(card)
    for kind in ("images", "masks"):
        (project.root / kind / "cut.nii").unlink()
    pictures(project, "a")
    with pytest.raises(MedstressError, match="group_pattern"):
        project.prepare(card)
