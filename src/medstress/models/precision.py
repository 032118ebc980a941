"""How a network runs on its device: number formats, compilation, and how much fits the memory."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from medstress.cards.learned import Learned
from medstress.errors import MedstressError

MOST_IMAGES = 40
"""Images whose embeddings are held at a time; a unit of predict has no more."""

_FORMATS = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Precision:
    """A device's kind, and the format that autocast gives to matrix products there; None is fp32."""

    device: str = "cpu"
    format: torch.dtype | None = None

    def encoder(self) -> AbstractContextManager[object]:
        """For what costs the time: in the card's format."""
        return nullcontext() if self.format is None else torch.autocast(self.device, self.format)

    def prompts(self) -> AbstractContextManager[object]:
        """For what coordinates go through, always fp32: bf16 has 8 bits, which is 4 pixels of 1024."""
        return torch.autocast(self.device, enabled=False)


def precision_of(card: Learned, device: torch.device) -> Precision:
    """The precision of a card on a device: fp32 on a CPU, whatever the card says.

    fp32 on a GPU then means it: no TF32 products. Raises MedstressError where the GPU has no bf16.
    """
    if device.type != "cuda":
        return Precision(device.type)
    if card.precision == "fp32":
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
    if card.precision == "bf16" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise MedstressError(
            f"model card {card.name}: precision is bf16, which {torch.cuda.get_device_name(device)} does not have. "
            "Write `precision: fp16` or `precision: fp32`."
        )
    return Precision(device.type, _FORMATS.get(card.precision))


def largest_batch(fits: Callable[[int], bool], limit: int) -> int:
    """The largest number of images from 1 to `limit` that fits, 0 if none does; what fits must fit in smaller numbers.

    Doubles until it does not fit, then halves the interval.
    """
    good, tried = 0, 1
    while tried <= limit and fits(tried):
        good, tried = tried, tried * 2
    bad = min(tried, limit + 1)
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    return good


def fits_memory(attempt: Callable[[], object]) -> bool:
    """Whether something runs without the GPU's memory running out; what lies there unused is given back first."""
    torch.cuda.empty_cache()
    try:
        attempt()
    except torch.OutOfMemoryError:
        return False
    return True


def out_of_memory(card: str, batch: int, largest: int) -> MedstressError:
    """The error for people when `batch` images did not fit and `largest` would; 0 where not even one does."""
    advice = (
        f"The largest batch that fits now is {largest}: write `batch: {largest}`, or `batch: auto` to have it found "
        "before each run."
        if largest
        else "Not even one fits: write `precision: bf16`, free the GPU of other programs, or take one with more memory."
    )
    return MedstressError(f"model card {card}: the GPU's memory ran out with batch {batch}. {advice}")
