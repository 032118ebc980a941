"""Where an attack may go: a ball around the stored image, and a part of the picture."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from torch import Tensor

from medstress.pixels import Box, Mask

Region = Literal["image", "inside_box", "outside_box"]


def into_ball(pixels: Tensor, clean: Tensor, radius: float) -> Tensor:
    """The nearest images within `radius` of `clean` in every pixel, and within 0..255; all float32 [n, C, H, W]."""
    return pixels.clamp((clean - radius).clamp(min=0.0), (clean + radius).clamp(max=255.0))


def onto_grid(pixels: Tensor, clean: Tensor, radius: float) -> Tensor:
    """As :func:`into_ball`, in whole grey levels, as images are stored; `clean` must be whole.

    The projection comes after the rounding, so what is stored is never further than `radius` from what was stored.
    """
    return into_ball(pixels.round(), clean, math.floor(radius))


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
