"""The way pixels take into a SAM and logits take back, and gradients through what rounds."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from medstress.pixels import Image

_CPU = torch.device("cpu")

Weights = npt.NDArray[np.float64]
"""A filter along one axis as a matrix [wanted, size]."""


@dataclass(frozen=True)
class Frame:
    """An image's own size, and the size that it has inside the model's square input (at its top left), in pixels."""

    height: int
    width: int
    scaled_height: int
    scaled_width: int


class PixelPath(Protocol):
    """How one family of checkpoints wants its images, and how its answers are brought back to their size."""

    @property
    def side(self) -> int:
        """Of the model's square input, in pixels."""
        ...

    def frame(self, image: Image) -> Frame:
        """Where an image [H, W] or [H, W, 3] lies in the input."""
        ...

    def pixels(self, image: Image, device: torch.device = _CPU) -> Tensor:
        """The input [3, side, side], float32, of an image, uint8 [H, W] (taken as R = G = B) or [H, W, 3] RGB."""
        ...

    def smooth(self, pixels: Tensor) -> Tensor:
        """As `pixels` without rounding to whole grey levels, differentiable: [C, H, W], 0..255, to [3, side, side]."""
        ...

    def to_image(self, low: Tensor, frame: Frame) -> Tensor:
        """Low-resolution logits [n, l, l] as logits [n, H, W] of one image."""
        ...


def resized(pixels: Tensor, down: Weights, across: Weights) -> Tensor:
    """Channels [C, H, W] resized by two matrices, [h, H] and [w, W], in float64: [C, h, w]."""
    left, right = (torch.from_numpy(weights).to(pixels.device) for weights in (down, across))
    return left @ pixels.double() @ right.T


# Remembered as arrays: a tensor that was made in inference mode would be of no use for gradients afterwards.
@lru_cache(maxsize=32)
def bilinear_weights(size: int, wanted: int) -> Weights:
    """Pillow's bilinear filter along one axis as a matrix [wanted, size], float64; a row sums to 1.

    A triangle about the centre of each new pixel, as wide as two old pixels or, when shrinking, two new ones.
    """
    scale = size / wanted
    reach = max(scale, 1.0)
    centres = (np.arange(wanted) + 0.5)[:, None] * scale
    columns = np.arange(size)[None]
    weights = np.maximum(1 - np.abs(columns + 0.5 - centres) / reach, 0)
    # Pillow takes whole pixels, those whose index lies between the rounded ends of the triangle.
    weights *= (columns >= np.trunc(centres - reach + 0.5)) & (columns < np.trunc(centres + reach + 0.5))
    found: Weights = weights / weights.sum(1, keepdims=True)
    return found
