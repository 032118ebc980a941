"""Small classification data sets of every kind, made on the fly."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from medstress.cards.classification import ClassificationCard
from medstress.config import Limit
from medstress.datasets.prepare import prepare_dataset
from medstress.datasets.summary import Summary
from medstress.pixels import decode_png
from medstress.records import ImageRow, SampleRow, read_rows
from medstress.specs import PrepareSpec
from tests.datasets.conftest import picture, save

NAMES = ["red", "green", "blue"]
SIZES = {"train": 12, "val": 4, "test": 8}


class Labelled:
    """A folder with a classification data set and its card."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.images, self.samples = root / "out" / "images.parquet", root / "out" / "samples.parquet"

    def card(self, source: dict[str, Any], **changes: Any) -> ClassificationCard:
        base: dict[str, Any] = {
            "task": "classification",
            "name": "mine",
            "title": "Mine",
            "modality": "microscopy",
            "source": source,
            "classes": {"names": NAMES} | changes.pop("classes", {}),
            "split": {"unit": "image", "by": "folder"},
            "licence": "own",
        }
        return ClassificationCard.model_validate(base | changes)

    def prepare(
        self, card: ClassificationCard, per_class: int | None = None, **spec: Any
    ) -> tuple[Summary, list[ImageRow], list[SampleRow]]:
        asked = PrepareSpec(card=card, limit=Limit(per_class=per_class), **spec)
        summary = prepare_dataset(asked, self.root, self.images, self.samples)
        return summary, read_rows(self.images, ImageRow), read_rows(self.samples, SampleRow)

    def write_sheet(self, *lines: str) -> None:
        (self.root / "sheet.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def medmnist(self, **changes: Any) -> ClassificationCard:
        """A MedMNIST file; `changes` are arrays that take the place of others, or None for those that are left out."""
        arrays = {key: value for key, value in (medmnist_arrays() | changes).items() if value is not None}
        np.savez_compressed(self.root / "mine_28.npz", **arrays)
        return self.card({"format": "medmnist", "file": "mine_28.npz"})

    def class_folders(self, *, splits: bool) -> dict[str, npt.NDArray[np.uint8]]:
        made = {}
        for number, (split, name) in enumerate((s, n) for s in (SIZES if splits else [""]) for n in NAMES):
            for index in range(3):
                image_id = f"{split}/{name}/p{index}_{number}".removeprefix("/")
                made[image_id] = picture(number * 10 + index, (20, 24))
                save(self.root / "data" / f"{image_id}.png", made[image_id])
        return made

    def medimeta(self, labels: list[str] | None = None, *, patients: bool = True) -> ClassificationCard:
        folder = self.root / "mine"
        task = {
            "task_name": "colour",
            "task_target": "MULTICLASS_CLASSIFICATION",
            "labels": dict(enumerate(labels or NAMES)),
        }
        folder.mkdir()
        (folder / "info.yaml").write_text(yaml.safe_dump({"id": "mine", "tasks": [task]}))
        for number in range(12):
            save(folder / "images" / f"{number:06d}.tiff", picture(number, (20, 24)))
        (folder / "task_labels").mkdir()
        np.save(folder / "task_labels" / "colour.npy", np.arange(12) % 3)
        (folder / "splits").mkdir()
        for split, numbers in (("train", range(6)), ("test", range(6, 12))):
            lines = [f"images/{number:06d}.tiff" for number in numbers]
            (folder / "splits" / f"{split}.txt").write_text("\n".join(lines) + "\n")
        column = ["patient_id", *(f"p{number // 2}" for number in range(12))]
        paths = ["filepath", *(f"images/{number:06d}.tiff" for number in range(12))]
        rows = [f"{path},{patient}" if patients else path for path, patient in zip(paths, column, strict=True)]
        (folder / "annotations.csv").write_text("\n".join(rows) + "\n")
        source = {"format": "medimeta", "folder": "mine", "labels": "colour"}
        return self.card(source, split={"unit": "patient" if patients else "image", "by": "folder"})


def medmnist_arrays(shape: tuple[int, ...] = (20, 20)) -> dict[str, npt.NDArray[Any]]:
    """Images of every split, and labels that go round the three classes."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    for seed, (split, count) in enumerate(SIZES.items()):
        arrays[f"{split}_images"] = picture(seed, (count, *shape))
        arrays[f"{split}_labels"] = (np.arange(count, dtype=np.uint8) % 3)[:, None]
    return arrays


def pixels(row: ImageRow) -> npt.NDArray[Any]:
    return decode_png(row.png, where=row.image_id)
