"""A small data set as records, with objects that can be seen in the pixels."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medstress.cards.segmenter import BoxFill
from medstress.perturb import PERTURBATIONS
from medstress.perturb.build import perturb_dataset
from medstress.pixels import Mask, box_of, encode_mask, encode_png
from medstress.records import ImageRow, ObjectRow, SampleRow, write_rows
from medstress.seeds import generator
from medstress.specs import PerturbSpec, PredictSpec

SIDE = 64
LEVELS = [1, 2, 3, 4, 5]


@dataclass(frozen=True)
class Records:
    """The paths of a data set's records."""

    images: Path
    samples: Path
    perturbed: list[Path]


def discs(index: int) -> list[Mask]:
    """Two discs that neither touch each other nor leave the frame under the study's displacements, but for one."""
    rows, columns = np.indices((SIDE, SIDE))
    rng = generator(index)
    centres = [(rng.uniform(22, 28), rng.uniform(20, 26)), (rng.uniform(38, 42), rng.uniform(40, 44))]
    return [(rows - y) ** 2 + (columns - x) ** 2 <= 6**2 for y, x in centres]


def write_study(folder: Path, types: list[str], *, count: int = 3, workers: int = 1) -> Records:
    """Images that are pictures of their masks: whatever sees the pixels sees the truth."""
    images, samples = [], []
    for index in range(count):
        name, masks = f"i{index}", discs(index)
        picture = np.any(masks, axis=0).astype(np.uint8) * 255
        images.append(ImageRow(name, f"g{index}", "test", "microscopy", encode_png(picture), SIDE, SIDE))
        objects = tuple(
            ObjectRow(str(number), "disc", box_of(mask), encode_mask(mask)) for number, mask in enumerate(masks)
        )
        samples.append(SampleRow(name, name, "segmentation", objects))
    records = Records(
        folder / "images.parquet",
        folder / "samples.parquet",
        [folder / "perturbed" / "discs" / f"{name}.parquet" for name in types],
    )
    write_rows(records.images, ImageRow, images)
    write_rows(records.samples, SampleRow, samples)
    for name, path in zip(types, records.perturbed, strict=True):
        perturb_dataset(PERTURBATIONS[name], perturb_spec(name), records.images, path, workers=workers)
    return records


def perturb_spec(name: str) -> PerturbSpec:
    return PerturbSpec(
        dataset="discs", modality="microscopy", perturbation=name, levels=LEVELS, split="test", background=0
    )


def predict_spec(prompt: str = "moved") -> PredictSpec:
    card = BoxFill(name="box_fill", title="Box fill", adapter="box_fill")
    return PredictSpec(run="box_fill", model=card, dataset="discs", split="test", prompt=prompt)
