"""Where an attack may go: a ball around the stored image, and a part of the picture."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from medstress.pixels import Box, Mask

Region = Literal["image", "inside_box", "outside_box"]
Norm = Literal["linf", "l2"]
"""Of a change: the largest of its values, or the root of the sum of their squares over an image."""

# Where rounding shortens an L2 change, it is stretched by at most this, found to 1 in 2 ** _HALVINGS of it.
_MOST_STRETCHED = 256.0
_HALVINGS = 24
# A change whose rounding is longer by less than this share is as long as it was.
_SAME_LENGTH = 1e-4


def into_ball(pixels: Tensor, clean: Tensor, radius: float, norm: Norm = "linf") -> Tensor:
    """Images brought back within `radius` of `clean`, in every pixel or as a whole, and within 0..255.

    All float32 [n, C, H, W]. For linf they are the nearest such images. For l2 they are cut to 0..255, and then the
    change is scaled down where it is too long.
    """
    if norm == "linf":
        return pixels.clamp((clean - radius).clamp(min=0.0), (clean + radius).clamp(max=255.0))
    change = pixels.clamp(0.0, 255.0) - clean
    return clean + change * (radius / _length(change).clamp(min=radius)).to(change)


def onto_grid(pixels: Tensor, clean: Tensor, radius: float, norm: Norm = "linf") -> Tensor:
    """As :func:`into_ball`, in whole grey levels, as images are stored; `clean` must be whole.

    What is stored is never further than `radius` from what was stored. For linf the projection comes after the
    rounding. For l2, rounding makes a change longer, or loses the small values that most of it consists of: so the
    largest multiple of the change is taken whose rounding is neither longer than the radius nor than the change was.
    """
    if norm == "linf":
        return into_ball(pixels.round(), clean, math.floor(radius))
    change = into_ball(pixels, clean, radius, norm) - clean
    most = (_length(change) * (1 + _SAME_LENGTH)).clamp(max=radius)

    def stored(factor: Tensor) -> Tensor:
        return (clean + (change * factor.to(change)).round()).clamp(0.0, 255.0)

    low, high = torch.zeros_like(most), torch.full_like(most, _MOST_STRETCHED)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        # Whole numbers, whose squares add up exactly in float64.
        fits = _length(stored(middle) - clean) <= most
        low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
    return stored(low)


def steepest(gradient: Tensor, norm: Norm) -> Tensor:
    """The step of length 1 in a norm that a gradient [n, C, H, W] climbs fastest along; none where it is zero."""
    if norm == "linf":
        return gradient.sign()
    return (gradient / _length(gradient).clamp(min=torch.finfo(torch.float64).tiny)).to(gradient)


def random_offset(rng: np.random.Generator, shape: Sequence[int], norm: Norm) -> npt.NDArray[np.float32]:
    """A draw from the ball of radius 1, float32.

    linf: uniform. l2: a uniform direction and a uniform length, as torchattacks' PGDL2 has it (Kim, arXiv 2010.01950);
    uniform in volume, nearly every start of an image would lie on the edge.
    """
    if norm == "linf":
        return rng.random(shape, dtype=np.float32) * 2 - 1
    drawn = rng.standard_normal(shape)
    return (drawn * (rng.random() / np.linalg.norm(drawn))).astype(np.float32)


def _length(change: Tensor) -> Tensor:
    """L2 norm of each image, float64 [n, 1, 1, 1]: float32 would lose the squares of small gradients."""
    length: Tensor = torch.linalg.vector_norm(change, dim=(1, 2, 3), keepdim=True, dtype=torch.float64)
    return length


def region_of(region: Region, boxes: Sequence[Box], height: int, width: int) -> Mask:
    """The pixels [height, width] that may change; one belongs to a box if its centre does.

    Several boxes count as one: inside is inside any of them, outside is outside all.
    """
    if region == "image":
        return np.ones((height, width), bool)
    inside = np.zeros((height, width), bool)
    rows, columns = np.arange(height) + 0.5, np.arange(width) + 0.5
    for x0, y0, x1, y1 in boxes:
        inside |= ((rows >= y0) & (rows < y1))[:, None] & ((columns >= x0) & (columns < x1))
    return inside if region == "inside_box" else ~inside
