"""What is asked, in blocks of one size: kernels choose their order of summation by the shape of their input."""

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

import torch

from medstress.cards.model import Learned
from medstress.errors import MedstressError
from medstress.models.precision import out_of_memory
from medstress.models.segmentation.sam_preprocess import check_box
from medstress.pixels import Box, Image

T = TypeVar("T")


def blocks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Consecutive parts of `items`, the last one perhaps shorter."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def filled(items: Sequence[T], size: int) -> list[T]:
    """The items and as many repeats of the last one as make `size`."""
    return [*items, *[items[-1]] * (size - len(items))]


def require_boxes(images: Sequence[Image], boxes: Sequence[Sequence[Box]]) -> None:
    """Raise MedstressError with every box that is empty or reaches outside its image."""
    problems = []
    for index, (image, group) in enumerate(zip(images, boxes, strict=True)):
        height, width = image.shape[:2]
        said = (check_box(box, height, width) for box in group)
        problems += [f"image {index} of {len(images)}: {problem}." for problem in said if problem]
    if problems:
        raise MedstressError("\n".join(problems))


class Batched(Protocol):
    """A segmenter that takes `batch` images at a time and can find out how many fit the memory."""

    batch: int

    def largest_batch(self) -> int:
        """How many images fit at a time; 0 if none."""
        ...


def fit_batch(segmenter: Batched, card: Learned, device: torch.device) -> None:
    """Set the batch of a segmenter on a device as its card says; `auto` is 1 on a CPU, where more gains nothing.

    Raises MedstressError where a GPU cannot hold a single image.
    """
    if card.batch != "auto":
        segmenter.batch = card.batch
    elif device.type == "cuda":
        segmenter.batch = segmenter.largest_batch()
        if not segmenter.batch:
            raise out_of_memory(card.name, 1, 0)
