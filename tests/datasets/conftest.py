"""Small data sets of the user's own, made on the fly in every format."""

from pathlib import Path
from typing import Any

import cv2
import nibabel
import numpy as np
import numpy.typing as npt
import pytest

from medstress.cards.segmentation import SegmentationCard
from medstress.config import Limit
from medstress.datasets.prepare import prepare_dataset
from medstress.datasets.summary import Summary
from medstress.records import ImageRow, SampleRow, read_rows
from medstress.specs import PrepareSpec


def picture(seed: int = 0, shape: tuple[int, ...] = (40, 50)) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def disc(
    shape: tuple[int, int] = (40, 50), centre: tuple[int, int] = (20, 30), radius: int = 8
) -> npt.NDArray[np.bool_]:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2


def save(path: Path, values: npt.NDArray[Any]) -> Path:
    """Write PNG, JPEG or NPY by extension; RGB order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, values)
    else:
        stored = values.astype(np.uint8) * 255 if values.dtype == np.bool_ else values
        order = [2, 1, 0, 3][: stored.shape[2]] if stored.ndim == 3 else None
        assert cv2.imwrite(str(path), stored if order is None else np.ascontiguousarray(stored[..., order]))
    return path


def save_volume(path: Path, values: npt.NDArray[Any], affine: npt.NDArray[Any] | None = None) -> Path:
    """Write NIfTI; axes towards the patient's right, front and head unless the affine says otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4) if affine is None else affine), path)
    return path


class Project:
    """A folder with data and a card; `prepare` returns the summary and the two records."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.images, self.samples = root / "out" / "images.parquet", root / "out" / "samples.parquet"

    def card(self, **changes: Any) -> SegmentationCard:
        folder = {"format": "folder", "images": "images", "masks": "masks"}
        base: dict[str, Any] = {"name": "mine", "title": "Mine", "modality": "mri", "source": folder, "licence": "own"}
        base["split"] = {"unit": "image", "by": "fraction", "val": 0, "test": 1}
        return SegmentationCard.model_validate(base | changes)

    def sheet_card(self, **changes: Any) -> SegmentationCard:
        source = {"format": "sheet", "sheet": "sheet.csv"} | changes.pop("source", {})
        return self.card(source=source, **changes)

    def write_sheet(self, *lines: str) -> None:
        (self.root / "sheet.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def prepare(self, card: SegmentationCard, **limit: Any) -> tuple[Summary, list[ImageRow], list[SampleRow]]:
        spec = PrepareSpec(card=card, limit=Limit(**limit))
        summary = prepare_dataset(spec, self.root, self.images, self.samples)
        return summary, read_rows(self.images, ImageRow), read_rows(self.samples, SampleRow)

    def wrote_nothing(self) -> bool:
        return not self.images.parent.exists() or not list(self.images.parent.iterdir())


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)
