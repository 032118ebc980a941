"""Training examples of one split: images with the boxes and masks of their objects, or with their labels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np

from medstress.errors import MedstressError
from medstress.names import Modality
from medstress.perturb.protocol import Scene
from medstress.pixels import Box, Image, Mask, decode_mask, decode_png
from medstress.records import ImageRow, SampleRow, read_groups, read_rows
from medstress.seeds import seed_of


@dataclass(frozen=True)
class Example:
    """One image with the boxes and masks [H, W] of its objects."""

    sample_id: str
    scene: Scene
    boxes: tuple[Box, ...]
    masks: tuple[Mask, ...]

    @property
    def image(self) -> Image:
        """The pixels, uint8 [H, W] or [H, W, 3]."""
        return self.scene.image


@dataclass(frozen=True)
class StoredExample:
    """An example as the records hold it: a split of large images does not fit memory decoded."""

    row: ImageRow
    sample: SampleRow
    background: int = 0
    window: tuple[float, float] | None = None

    @property
    def sample_id(self) -> str:
        """The sample's name."""
        return self.sample.sample_id

    @property
    def group_id(self) -> str:
        """The patient, or what else no two splits share."""
        return self.row.group_id

    def decoded(self) -> Example:
        """The example with its pixels. Raises MedstressError where these are damaged."""
        row, where = self.row, f"image {self.row.image_id}"
        raw = None
        if row.raw_png is not None and row.slope is not None and row.intercept is not None:
            raw = decode_png(row.raw_png, where=where) * np.float32(row.slope) + np.float32(row.intercept)
        image = np.asarray(decode_png(row.png, where=where), dtype=np.uint8)
        return Example(
            self.sample_id,
            Scene(image, self.background, cast(Modality, row.modality), raw, self.window),
            tuple(item.box for item in self.sample.objects),
            tuple(decode_mask(item.mask, row.height, row.width) for item in self.sample.objects),
        )


def read_examples(
    images: Path, samples: Path, split: str, *, background: int = 0, window: tuple[float, float] | None = None
) -> list[StoredExample]:
    """The examples of one split in the records' order; samples without an object teach nothing and are left out.

    `background` and `window` are what the data set's card says of its images. Raises MedstressError where no example is
    left.
    """
    taught = [sample for sample in read_rows(samples, SampleRow) if sample.objects]
    examples = [StoredExample(row, sample, background, window) for row, sample in _of_split(images, taught, split)]
    if not examples:
        raise MedstressError(
            f"{images}: the {split} split has no image with an object to train with. Check the card's split and limit."
        )
    return examples


def read_labelled(
    images: Path, samples: Path, split: str, *, background: int = 0, window: tuple[float, float] | None = None
) -> list[StoredExample]:
    """The examples of one split of a classification data set, in the records' order; none where it has no such split.

    `background` and `window` are what the data set's card says of its images. Images are left out, so that a few of
    many can be chosen: see :func:`with_images`.
    """
    taught = _of_split(images, read_rows(samples, SampleRow), split, pixels=False)
    return [StoredExample(row, sample, background, window) for row, sample in taught]


def with_images(examples: Sequence[StoredExample], images: Path) -> list[StoredExample]:
    """Examples that were read without their images, with them; no other image is held."""
    wanted = {example.row.image_id for example in examples}
    rows = {row.image_id: row for group in read_groups(images, ImageRow) for row in group if row.image_id in wanted}
    return [replace(example, row=rows[example.row.image_id]) for example in examples]


def _of_split(
    images: Path, samples: Sequence[SampleRow], split: str, *, pixels: bool = True
) -> Iterator[tuple[ImageRow, SampleRow]]:
    """Images of a split, each with its samples, in the records' order."""
    by_image: dict[str, list[SampleRow]] = {}
    for sample in samples:
        by_image.setdefault(sample.image_id, []).append(sample)
    for group in read_groups(images, ImageRow, pixels=pixels):
        for row in group:
            if row.split == split:
                for sample in by_image.get(row.image_id, []):
                    yield row, sample


def share_of(examples: Sequence[StoredExample], share: float, seed: int) -> list[StoredExample]:
    """The examples of a share of the groups, at least one group; which ones depends on their names and the seed."""
    groups = sorted({example.group_id for example in examples}, key=lambda name: seed_of("share", str(seed), name))
    kept = set(groups[: max(1, round(share * len(groups)))])
    return [example for example in examples if example.group_id in kept]
