"""Images for tests: the embedded data and the gallery's pictures, as they are committed."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from medstress.names import Modality
from medstress.pixels import Image, decode_png

ROOT = Path(__file__).parent.parent
EMBEDDED = ROOT / "resources" / "embedded"
GALLERY = ROOT / "resources" / "gallery"
EMBEDDED_OF: dict[Modality, tuple[str, ...]] = {
    "mri": ("brain_mri_tumour", "brain_anatomy"),
    "ct": ("lung_ct_tumour",),
    "microscopy": ("nuclei",),
}


LONGEST_FIRST = ("test_demo", "test_slurm", "test_small_study", "test_faults", "test_paid_study", "test_kill_finetune")
"""Files of minutes: one that comes last leaves a worker alone with it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files, other scenarios, then the rest as it was; pytest-xdist keeps that with --no-loadscope-reorder."""
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    if item.path.stem in LONGEST_FIRST:
        return LONGEST_FIRST.index(item.path.stem)
    return len(LONGEST_FIRST) + (item.path.parent.name != "scenarios")


def embedded_image(dataset: str, index: int = 0) -> Image:
    path = sorted((EMBEDDED / dataset).glob("*.png"))[index]
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert image is not None, path
    return np.asarray(image, dtype=np.uint8)


def embedded_test_images(dataset: str) -> dict[str, Image]:
    """Every image of an embedded data set's test split, uint8 grey."""
    with (EMBEDDED / dataset / "sheet.csv").open(newline="") as handle:
        files = [row["image"] for row in csv.DictReader(handle) if row["split"] == "test"]
    return {
        f"{dataset}/{file.removesuffix('.png')}": decode_png((EMBEDDED / dataset / file).read_bytes(), where=file)
        for file in files
    }


def gallery_images_of(modality: Modality) -> dict[str, Image]:
    """The gallery's pictures of a modality, uint8 grey or RGB."""
    found = {}
    with (GALLERY / "sheet.csv").open(newline="") as handle:
        for row in csv.DictReader(handle):
            if row["modality"] == modality:
                name = row["file"].removesuffix(".png")
                found[name] = decode_png((GALLERY / row["file"]).read_bytes(), where=row["file"])
    return found


def images_of(modality: Modality) -> dict[str, Image]:
    """The gallery's pictures of a modality and the first embedded image of each data set, uint8 grey or RGB."""
    embedded = {name: embedded_image(name) for name in EMBEDDED_OF.get(modality, ())}
    return gallery_images_of(modality) | embedded


def in_colour(grey: Image) -> Image:
    """A colour image with the structure of a real one in each channel, all different."""
    return np.ascontiguousarray(np.stack([grey, 255 - grey, np.roll(grey, 5, axis=1)], axis=-1))


@pytest.fixture(scope="session")
def real_images() -> dict[str, Image]:
    """One image of each embedded data set, and one in colour."""
    images = {name: embedded_image(name) for name in ("brain_mri_tumour", "lung_ct_tumour", "nuclei", "brain_anatomy")}
    return images | {"colour": in_colour(images["nuclei"])}
