"""What is asked, in blocks of one size: kernels choose their order of summation by the shape of their input."""

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

import torch

from medstress.cards.learned import Learned
from medstress.models.precision import out_of_memory

T = TypeVar("T")


def blocks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Consecutive parts of `items`, the last one perhaps shorter."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def filled(items: Sequence[T], size: int) -> list[T]:
    """The items and as many repeats of the last one as make `size`."""
    return [*items, *[items[-1]] * (size - len(items))]


class Batched(Protocol):
    """A model that takes `batch` images at a time and can find out how many fit the memory."""

    batch: int

    def largest_batch(self) -> int:
        """How many images fit at a time; 0 if none."""
        ...


def fit_batch(model: Batched, card: Learned, device: torch.device) -> None:
    """Set the batch of a model on a device as its card says; `auto` is 1 on a CPU, where more gains nothing.

    Raises MedstressError where a GPU cannot hold a single image.
    """
    if card.batch != "auto":
        model.batch = card.batch
    elif device.type == "cuda":
        model.batch = model.largest_batch()
        if not model.batch:
            raise out_of_memory(card.name, 1, 0)
