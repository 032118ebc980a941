"""Smooth random surfaces: mucosa, films of liquid, the roughness of skin."""

import math

import cv2
import numpy as np
import numpy.typing as npt

_Floats = npt.NDArray[np.float32]

CELLS = 2.0
"""A surface is drawn on a grid with this many cells to its width, whatever the size of the image.

Its slope has the standard deviation 1 / (sqrt(2) * CELLS) a cell, in each direction.
"""

# White noise with deviation 1 has this one after the Gaussian.
_SMOOTHED = 1 / (2 * math.sqrt(math.pi) * CELLS)


def relief(rng: np.random.Generator, shape: tuple[int, ...], width: float) -> _Floats:
    """A random surface for an image of `shape` on a coarse grid, float32 [h, w], expected mean 0, deviation 1.

    It is white noise after a Gaussian with a standard deviation of `width`, in shorter sides of the image.
    """
    unit = min(shape[:2])
    cells = [math.ceil(CELLS / width * side / unit) + 1 for side in shape[:2]]
    noise = rng.standard_normal(cells, dtype=np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), CELLS, borderType=cv2.BORDER_REFLECT)
    return np.asarray(smooth / np.float32(_SMOOTHED), dtype=np.float32)


def spread(coarse: _Floats, shape: tuple[int, ...]) -> _Floats:
    """A coarse grid as a field over the image, float32 [H, W]."""
    return np.asarray(cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC), dtype=np.float32)
