"""Parallel-beam projection and filtered back-projection on one fixed grid.

The grid has 192 x 192 cells, seen from 180 angles (one a degree) by 272 detectors one cell apart, which cover its
diagonal. Images of any size are brought to it, so what a sinogram costs does not depend on them. Attenuation is in
1 / cell, so line integrals have no unit.

Kak and Slaney, "Principles of Computerized Tomographic Imaging", IEEE Press 1988, chapter 3.
"""

from functools import cache

import cv2
import numpy as np
import numpy.typing as npt
from scipy import fft

Floats = npt.NDArray[np.float32]

SIDE = 192
ANGLES = 180
DETECTORS = 272

# A view and the one at right angles to it share one rotation of the grid.
_QUARTER = ANGLES // 2
_MARGIN = (DETECTORS - SIDE) // 2
_CENTRE = (DETECTORS - 1) / 2
_FILTER_LENGTH = 576


def angles() -> npt.NDArray[np.float64]:
    """The views' angles, radians: a detector at position t sees the line x cos + y sin = t."""
    return np.arange(ANGLES, dtype=np.float64) * (np.pi / ANGLES)


def positions() -> npt.NDArray[np.float64]:
    """The detectors' positions from the grid's centre, in cells."""
    return np.arange(DETECTORS, dtype=np.float64) - _CENTRE


def _rotation(view: int, centre: float) -> npt.NDArray[np.float64]:
    """The map from cells of a grid along a view's rays to the grid itself, both about their centres."""
    angle = angles()[view]
    cos, sin = np.cos(angle), np.sin(angle)
    shift = (centre - cos * _CENTRE + sin * _CENTRE, centre - sin * _CENTRE - cos * _CENTRE)
    return np.array([[cos, -sin, shift[0]], [sin, cos, shift[1]]])


def project(grid: Floats) -> Floats:
    """Line integrals [ANGLES, DETECTORS] through attenuation [SIDE, SIDE] in 1 / cell."""
    sinogram = np.empty((ANGLES, DETECTORS), np.float32)
    size = (DETECTORS, DETECTORS)
    for view in range(_QUARTER):
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        turned = cv2.warpAffine(grid, _rotation(view, (SIDE - 1) / 2), size, flags=flags)
        sinogram[view] = cv2.reduce(turned, 0, cv2.REDUCE_SUM)[0]
        sinogram[view + _QUARTER] = cv2.reduce(turned, 1, cv2.REDUCE_SUM)[:, 0]
    return sinogram


@cache
def _ramp() -> Floats:
    """The band-limited ramp filter with a Hann window, as gains of a real transform."""
    index = np.minimum(np.arange(_FILTER_LENGTH), _FILTER_LENGTH - np.arange(_FILTER_LENGTH))
    kernel = np.where(index % 2 == 1, -1 / (np.pi * np.maximum(index, 1)) ** 2, 0.0)
    kernel[0] = 0.25
    gain = fft.rfft(kernel).real * (0.5 + 0.5 * np.cos(np.pi * np.linspace(0, 1, _FILTER_LENGTH // 2 + 1)))
    return np.asarray(gain, dtype=np.float32)


def back_project(sinogram: Floats) -> Floats:
    """The attenuation [SIDE, SIDE] in 1 / cell whose line integrals [ANGLES, DETECTORS] these are.

    Linear, so errors of the line integrals give the errors of the image.
    """
    filtered = fft.irfft(fft.rfft(sinogram, _FILTER_LENGTH) * _ramp(), _FILTER_LENGTH)[:, :DETECTORS]
    filtered *= np.float32(np.pi / ANGLES)
    total = np.zeros((SIDE, SIDE), np.float32)
    for view in range(_QUARTER):
        smeared = np.add.outer(filtered[view + _QUARTER], filtered[view])
        back = cv2.invertAffineTransform(_rotation(view, (SIDE - 1) / 2))
        cv2.add(
            total, cv2.warpAffine(smeared, back, (SIDE, SIDE), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP), total
        )
    return total


def _frame(height: int, width: int) -> tuple[slice, slice]:
    """The cells that an image covers: its longer side fills the grid, its centre is the grid's."""
    longer = max(height, width)
    rows, columns = (max(1, round(SIDE * side / longer)) for side in (height, width))
    top, left = (SIDE - rows) // 2, (SIDE - columns) // 2
    return slice(top, top + rows), slice(left, left + columns)


def to_grid(image: Floats) -> Floats:
    """An image [H, W] on the grid; cells beyond it are 0."""
    rows, columns = _frame(*image.shape)
    grid = np.zeros((SIDE, SIDE), np.float32)
    shrinks = max(image.shape) > SIDE
    size = (columns.stop - columns.start, rows.stop - rows.start)
    grid[rows, columns] = cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return grid


def from_grid(grid: Floats, height: int, width: int) -> Floats:
    """The part of the grid that an image covers, as float32 [height, width]."""
    part = np.ascontiguousarray(grid[_frame(height, width)])
    return np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)
