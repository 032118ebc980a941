"""Gradients through what rounds: from stored images to the input of a network."""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from medstress.pixels import Image


class Path(Protocol):
    """How a network wants its images: as they are stored, and without rounding to whole grey levels."""

    def pixels(self, image: Image, device: torch.device) -> Tensor:
        """The input [3, side, side], float32, of an image, uint8 [H, W] (taken as R = G = B) or [H, W, 3] RGB."""
        ...

    def smooth(self, pixels: Tensor) -> Tensor:
        """As `pixels` without rounding, differentiable: [C, H, W], 0..255, to [3, side, side]."""
        ...


def straight_through(path: Path, pixels: Tensor) -> Tensor:
    """The input [3, side, side] of an image [C, H, W], C = 1 or 3, 0..255, with gradients.

    For whole grey levels these are the very values of `path.pixels`, which is what is scored; the gradient is that of
    `path.smooth`, since that of rounding is zero nearly everywhere (the straight-through estimator: Bengio, Léonard,
    Courville, arXiv 1308.3432). Between whole levels values follow `path.smooth` from the nearest stored image.
    """
    with torch.no_grad():
        stored = pixels.round().clamp(0, 255)
        image = np.ascontiguousarray(stored.to(torch.uint8).permute(1, 2, 0).cpu().numpy())
        exact = path.pixels(image if image.shape[2] == 3 else image[..., 0], pixels.device)
        anchor = path.smooth(stored)
    return exact + (path.smooth(pixels) - anchor)
