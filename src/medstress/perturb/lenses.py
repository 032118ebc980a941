"""Circles that refract: which pixels lie in which, and where what they show comes from.

Inside a circle of radius R, at distance d of its centre, the perturbed image shows what the clean one has at
distance d * (1 - k * (1 - (d / R)^2)), k being the circle's strength. Circles do not overlap.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int32]
_Shares = npt.NDArray[np.float32]


@dataclass(frozen=True)
class LensPixels:
    """The pixels [n] inside circles: row and column, index of the circle, offset from its centre in radii."""

    row: _Ints
    column: _Ints
    circle: _Ints
    across: _Shares
    down: _Shares


def _ranges(first: _Ints, last: _Ints) -> tuple[_Ints, _Ints]:
    """All whole numbers of each range first..last, one after another: to which range each belongs, and the numbers."""
    counts = np.maximum(last - first + 1, 0)
    owner = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    before = (np.cumsum(counts) - counts).astype(np.int32)
    return owner, np.arange(len(owner), dtype=np.int32) + (first - before)[owner]


def pixels_of(circles: _Floats, height: int, width: int) -> LensPixels:
    """The pixels of an image that lie inside circles [n, 4]: x, y, radius, strength."""
    x, y, radius = circles[:, 0], circles[:, 1], circles[:, 2]
    top, bottom = np.ceil(y - radius).clip(0), np.floor(y + radius).clip(None, height - 1)
    circle, row = _ranges(top.astype(np.int32), bottom.astype(np.int32))
    half = np.sqrt(np.maximum(radius[circle] ** 2 - (row - y[circle]) ** 2, 0))
    left, right = np.ceil(x[circle] - half).clip(0), np.floor(x[circle] + half).clip(None, width - 1)
    chord, column = _ranges(left.astype(np.int32), right.astype(np.int32))
    circle, row = circle[chord], row[chord]
    centre_x, centre_y, reach = (part.astype(np.float32)[circle] for part in (x, y, np.maximum(radius, 1e-9)))
    across, down = column.astype(np.float32) - centre_x, row.astype(np.float32) - centre_y
    return LensPixels(row, column, circle, across / reach, down / reach)


def origins(circles: _Floats, height: int, width: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Where, in the clean image, what each pixel shows comes from: x and y, float32 [height, width]."""
    x = np.tile(np.arange(width, dtype=np.float32), (height, 1))
    y = np.tile(np.arange(height, dtype=np.float32)[:, None], (1, width))
    inside = pixels_of(circles, height, width)
    pull = (circles[:, 2] * circles[:, 3]).astype(np.float32)[inside.circle]
    pull *= np.maximum(1 - inside.across**2 - inside.down**2, 0)
    x[inside.row, inside.column] -= pull * inside.across
    y[inside.row, inside.column] -= pull * inside.down
    return x, y


def moved_points(points: _Floats, circles: _Floats) -> _Floats:
    """Where points [n, 2] of the clean image, x and y, are seen: the real root u of k u^3 + (1 - k) u = d / R."""
    moved = points.astype(np.float64, copy=True)
    for x, y, radius, strength in circles:
        offset = points - (x, y)
        inside = np.flatnonzero((offset**2).sum(axis=1) < radius**2)
        if not inside.size or strength < 1e-9:
            continue
        share = np.maximum(np.sqrt((offset[inside] ** 2).sum(axis=1)) / radius, 1e-12)
        linear = (1 - strength) / strength
        angle = np.arcsinh(1.5 * share / strength / linear * np.sqrt(3 / linear)) / 3
        root = 2 * np.sqrt(linear / 3) * np.sinh(angle)
        moved[inside] = (x, y) + offset[inside] * (root / share)[:, None]
    return moved
