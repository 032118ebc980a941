"""A data set of questions as records: two images a split, each in two cells of one perturbation."""

from pathlib import Path
from typing import Any

import numpy as np

from medstress.answers.questions import Records
from medstress.pixels import encode_mask, encode_png
from medstress.records import ImageRow, ObjectRow, PerturbedRow, PredictionRow, SampleRow, read_rows, write_rows
from medstress.specs import AnswerSpec

HEIGHT, WIDTH = 20, 40
BOX = (10.0, 5.0, 20.0, 10.0)
OBJECT = ObjectRow("0", "tumour", BOX, encode_mask(np.zeros((HEIGHT, WIDTH), bool)))


def png(grey: int) -> bytes:
    return encode_png(np.full((HEIGHT, WIDTH), grey, np.uint8))


def image(name: str, split: str, grey: int = 0) -> ImageRow:
    return ImageRow(name, f"group_of_{name}", split, "mri", png(grey), HEIGHT, WIDTH)


def asked(name: str, image_id: str, question: str, answer: str = "lung", **facts: Any) -> SampleRow:
    kind = facts.pop("kind", "")
    attributes = tuple(facts.pop("attributes", {}).items()) + ((("content_type", kind),) if kind else ())
    facts = {"answer_type": "open", "task": "vqa"} | facts
    return SampleRow(name, image_id, question=question, answer=answer, attributes=attributes, **facts)


def write_set(folder: Path, images: list[ImageRow], samples: list[SampleRow]) -> Records:
    """Records of a data set, whose test images are perturbed at two levels."""
    records = Records(folder / "images.parquet", folder / "samples.parquet", (folder / "brightness.parquet",))
    write_rows(records.images, ImageRow, images)
    write_rows(records.samples, SampleRow, samples)
    perturbed = [
        PerturbedRow(
            one.image_id, "brightness", level, png(100 * level + number), None, None, 1, 0.9, None, None, 0, "table"
        )
        for number, one in enumerate(images)
        if one.split == "test"
        for level in (1, 2)
    ]
    write_rows(records.perturbed[0], PerturbedRow, perturbed)
    return records


def small_set(folder: Path) -> Records:
    """Three questions about two test images, and one about a train image."""
    images = [image("a", "test", 1), image("b", "test", 2), image("c", "train", 3)]
    samples = [
        asked("a1", "a", "Which organ?"),
        asked("a2", "a", "Is there a mass?", "no", options=("yes", "no"), answer_type="closed"),
        asked("b1", "b", "Which organ?"),
        asked("c1", "c", "Which organ?"),
    ]
    return write_set(folder, images, samples)


def spec_of(model: Any, **facts: Any) -> AnswerSpec:
    return AnswerSpec(**{"run": model.name, "model": model, "dataset": "mine", "split": "test"} | facts)


def rows_of(path: Path) -> list[PredictionRow]:
    return read_rows(path, PredictionRow)
