"""What is attacked: images, in batches of one size."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from medstress.errors import MedstressError
from medstress.models.blocks import filled
from medstress.pixels import Box, Image, decode_png
from medstress.records import ImageRow, read_groups

# Images that are in memory at a time, of which batches are made.
_CHUNK = 64


@dataclass(frozen=True)
class Subject(ABC):
    """One image, uint8 [H, W] or [H, W, 3], with the record's PNG of it; subclasses say what is asked about it."""

    image_id: str
    png: bytes
    image: Image

    @property
    @abstractmethod
    def sample_ids(self) -> list[str]:
        """The samples that answers are about."""

    @property
    def boxes(self) -> list[Box]:
        """What it is prompted with, and what regions are made of."""
        return []

    @property
    @abstractmethod
    def truth(self) -> str:
        """What is asked and what is true, in words that name a unit of the journal."""


S = TypeVar("S", bound=Subject)


@dataclass(frozen=True)
class Batch(Generic[S]):
    """Images of one size that are attacked together, in the model as `size` images."""

    subjects: list[S]
    size: int

    @property
    def filled(self) -> list[S]:
        """The images, the last one repeated: kernels choose their order of summation by the shape of what they get."""
        return filled(self.subjects, self.size)


def read_subjects(
    images: Path, split: str, make: Callable[[ImageRow, Image], S | None], *, nothing: str
) -> Iterator[list[S]]:
    """The images of a split that `make` has something to ask about, in the record's order, some at a time.

    Raises MedstressError, saying `nothing`, where there are none.
    """
    chunk, found = list[S](), False
    for row in (row for group in read_groups(images, ImageRow) for row in group):
        if row.split != split:
            continue
        image = np.asarray(decode_png(row.png, where=f"image {row.image_id} of {images}"), dtype=np.uint8)
        if (subject := make(row, image)) is None:
            continue
        found = True
        chunk.append(subject)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
    if not found:
        raise MedstressError(nothing)


def batches(subjects: Sequence[S], size: int) -> Iterator[Batch[S]]:
    """Batches of `size`, or of as many as share a shape where these are fewer."""
    by_shape: dict[tuple[int, ...], list[S]] = {}
    for subject in subjects:
        by_shape.setdefault(subject.image.shape, []).append(subject)
    for alike in by_shape.values():
        own = min(size, len(alike))
        for start in range(0, len(alike), own):
            yield Batch(alike[start : start + own], own)


def units(cut: Iterable[Batch[S]], together: int) -> Iterator[list[Batch[S]]]:
    """Consecutive batches with at least `together` images, of which the last ones may be fewer."""
    unit: list[Batch[S]] = []
    for batch in cut:
        unit.append(batch)
        if sum(len(one.subjects) for one in unit) >= together:
            yield unit
            unit = []
    if unit:
        yield unit


def to_pixels(images: Sequence[Image], device: torch.device) -> Tensor:
    """Images of one size as float32 [n, C, H, W], 0..255."""
    stacked = torch.from_numpy(np.stack(images)).to(device, torch.float32)
    return stacked[:, None] if stacked.ndim == 3 else stacked.permute(0, 3, 1, 2).contiguous()


def to_images(pixels: Tensor) -> list[Image]:
    """The images as they are stored; the values of `pixels`, [n, C, H, W], are whole."""
    stored = pixels.to("cpu", torch.uint8).permute(0, 2, 3, 1).numpy()
    return [np.ascontiguousarray(image[..., 0] if image.shape[2] == 1 else image) for image in stored]
