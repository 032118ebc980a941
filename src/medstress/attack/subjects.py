"""What is attacked: images with their objects, in batches of one size."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from medstress.pixels import Box, Image, Mask, decode_mask, decode_png
from medstress.records import ImageRow, ObjectRow, SampleRow, read_groups, read_rows

# Images that are in memory at a time, of which batches are made.
_CHUNK = 64


@dataclass(frozen=True)
class Subject:
    """One image, uint8 [H, W] or [H, W, 3], with its objects (sample id and object) and their true masks [H, W]."""

    image_id: str
    png: bytes
    image: Image
    objects: tuple[tuple[str, ObjectRow], ...]
    masks: tuple[Mask, ...]

    @property
    def boxes(self) -> list[Box]:
        """The prompt of each object: the clean box."""
        return [item.box for _, item in self.objects]


@dataclass(frozen=True)
class Batch:
    """Images of one size that are attacked together, in the model as `size` images."""

    subjects: list[Subject]
    size: int

    @property
    def filled(self) -> list[Subject]:
        """The images, the last one repeated: kernels choose their order of summation by the shape of what they get."""
        return [*self.subjects, *[self.subjects[-1]] * (self.size - len(self.subjects))]


def read_subjects(images: Path, samples: Path, split: str) -> Iterator[list[Subject]]:
    """The images of a split that have objects, in the record's order, some at a time."""
    objects: dict[str, list[tuple[str, ObjectRow]]] = {}
    for sample in read_rows(samples, SampleRow):
        objects.setdefault(sample.image_id, []).extend((sample.sample_id, item) for item in sample.objects)
    chunk: list[Subject] = []
    for row in (row for group in read_groups(images, ImageRow) for row in group):
        if row.split != split or not objects.get(row.image_id):
            continue
        image = np.asarray(decode_png(row.png, where=f"image {row.image_id} of {images}"), dtype=np.uint8)
        asked = tuple(objects[row.image_id])
        masks = tuple(decode_mask(item.mask, row.height, row.width) for _, item in asked)
        chunk.append(Subject(row.image_id, row.png, image, asked, masks))
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def batches(subjects: Sequence[Subject], size: int) -> Iterator[Batch]:
    """Batches of `size`, or of as many as share a shape where these are fewer."""
    by_shape: dict[tuple[int, ...], list[Subject]] = {}
    for subject in subjects:
        by_shape.setdefault(subject.image.shape, []).append(subject)
    for alike in by_shape.values():
        own = min(size, len(alike))
        for start in range(0, len(alike), own):
            yield Batch(alike[start : start + own], own)


def to_pixels(images: Sequence[Image], device: torch.device) -> Tensor:
    """Images of one size as float32 [n, C, H, W], 0..255."""
    stacked = torch.from_numpy(np.stack(images)).to(device, torch.float32)
    return stacked[:, None] if stacked.ndim == 3 else stacked.permute(0, 3, 1, 2).contiguous()


def to_images(pixels: Tensor) -> list[Image]:
    """The images as they are stored; the values of `pixels`, [n, C, H, W], are whole."""
    stored = pixels.to("cpu", torch.uint8).permute(0, 2, 3, 1).numpy()
    return [np.ascontiguousarray(image[..., 0] if image.shape[2] == 1 else image) for image in stored]
