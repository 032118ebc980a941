"""Data sets of several modalities: a type that belongs to one is made for the images of it."""

import logging
from pathlib import Path

import numpy as np
import pytest

from medstress.errors import MedstressError
from medstress.perturb.build import perturb_dataset
from medstress.perturb.registry import PERTURBATIONS
from medstress.pixels import encode_png
from medstress.records import ImageRow, PerturbedRow, read_rows, write_rows
from medstress.specs import PerturbSpec

MODALITIES = ("ct", "xray", "mixed", "xray", "mri")


def images(folder: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    rows = [
        ImageRow(f"i{place}", f"i{place}", "test", modality, encode_png(pixels), 48, 48)
        for place, modality in enumerate(MODALITIES)
    ]
    write_rows(folder / "images.parquet", ImageRow, rows)
    return folder / "images.parquet"


def made(folder: Path, name: str, split: str = "test") -> list[tuple[str, int]]:
    spec = PerturbSpec.model_validate(
        {"dataset": "d", "modality": None, "perturbation": name, "levels": [1, 3], "split": split, "background": 0}
    )
    perturb_dataset(PERTURBATIONS[name], spec, images(folder), folder / "made.parquet")
    return [(row.image_id, row.level) for row in read_rows(folder / "made.parquet", PerturbedRow)]


def test_what_fits_all_is_made_for_all(tmp_path: Path) -> None:
    assert made(tmp_path, "gaussian_noise") == [(f"i{place}", level) for place in range(5) for level in (1, 3)]


def test_what_belongs_to_a_modality_is_made_for_its_images(tmp_path: Path) -> None:
    assert made(tmp_path, "xray_grid") == [("i1", 1), ("i1", 3), ("i3", 1), ("i3", 3)]
    assert {image for image, _ in made(tmp_path, "window_level")} == {"i0", "i1", "i3"}


def test_a_modality_without_images_is_said_and_an_empty_split_is_an_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="medstress"):
        assert made(tmp_path, "oct_blink") == []
    assert "d: no image of the split test is of the modality oct" in caplog.messages
    with pytest.raises(MedstressError, match="no image is in the split 'val'"):
        made(tmp_path, "gaussian_noise", "val")
