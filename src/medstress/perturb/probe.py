"""The beams of an ultrasound image, found from the shape of its field of view."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from medstress.pixels import Image

_Floats = npt.NDArray[np.float32]

# The outline is searched on a copy of about this size; grey levels up to the threshold count as outside the field.
_OUTLINE_SIDE = 128
_BLACK = 8
# A sector's first rows are at most this share of its widest row, and its edges open by at least this much per row.
_NARROW_TOP = 0.8
_OPENING = 0.2
# Fewer visible edge rows than this share of the height say nothing about an angle.
_EDGE_ROWS = 0.12


@dataclass(frozen=True)
class Beams:
    """Where each pixel lies in the fan of beams.

    apex: x, y in pixels where the beams meet; None for a linear probe, whose beams are the columns. across: float32
    [H, W], 0 at the first beam and 1 at the last. along: float32 [H, W], depth along the beam, 0 at the probe and 1 at
    the deepest echo. inside: bool [H, W], the field of view. Coordinates are clipped to 0..1.
    """

    apex: tuple[float, float] | None
    across: _Floats
    along: _Floats
    inside: npt.NDArray[np.bool_]


def find_beams(image: Image) -> Beams:
    """The beams of an image, uint8 [H, W] or [H, W, 3]: fan-shaped fields are sectors, all others linear.

    The field is the convex hull of the largest part that is not black. If it widens from top to bottom, straight
    lines through its left and right edge cross where the beams come from, for phased and curved arrays alike.
    """
    height, width = image.shape[:2]
    scale = max(1.0, max(height, width) / _OUTLINE_SIDE)
    size = (max(1, round(width / scale)), max(1, round(height / scale)))
    bright = image if image.ndim == 2 else image.max(axis=2)
    part, hull = _field(np.asarray(cv2.resize(bright, size, interpolation=cv2.INTER_AREA), dtype=np.uint8))
    field = cv2.resize(hull.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR) >= 0.5
    # The centre of a pixel of the small copy, in pixels of the image.
    stretch = (width / size[0], height / size[1])
    edges = _edges(hull)
    if edges is None:
        return _linear(hull, stretch, field)
    return _sector(part, stretch, field, *edges)


def _field(bright: Image) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """The largest part of the image that is not black, without specks and thin lines, and its convex hull."""
    whole = np.ones(bright.shape, bool)
    lit = (bright > _BLACK).astype(np.uint8)
    lit = cv2.morphologyEx(lit, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))  # type: ignore[assignment]
    lit = cv2.morphologyEx(lit, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))  # type: ignore[assignment]
    count, labels, stats, _ = cv2.connectedComponentsWithStats(lit, connectivity=8)
    if count < 2:
        return whole, whole
    part = labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    points = np.argwhere(part)[:, ::-1].astype(np.int32)
    hull = np.zeros(bright.shape, np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(points), 1)
    return part, hull.astype(bool)


_Line = tuple[float, float]
"""x = first + second * y."""


def _line(y: npt.NDArray[np.int64], x: npt.NDArray[np.int64]) -> _Line:
    """Least squares in whole numbers, which are the same on every machine."""
    count, sum_y, sum_x = len(y), int(y.sum()), int(x.sum())
    slope = (count * int((y * x).sum()) - sum_y * sum_x) / (count * int((y * y).sum()) - sum_y**2)
    return (sum_x - slope * sum_y) / count, slope


def _edges(hull: npt.NDArray[np.bool_]) -> tuple[_Line, _Line] | None:
    """The straight left and right edge of a field that opens downwards; None where it does not."""
    height, width = hull.shape
    rows = np.flatnonzero(hull.any(axis=1))
    first, last = hull[rows].argmax(axis=1), width - 1 - hull[rows, ::-1].argmax(axis=1)
    spans = last - first + 1
    near_top = min(len(rows) - 1, max(1, len(rows) // 20))
    widest = int(np.argmax(spans))
    if spans[near_top] > _NARROW_TOP * spans[widest]:
        return None
    order = np.arange(len(rows))
    fan = (order >= near_top) & (order <= widest)
    left, right = fan & (first > 0), fan & (last < width - 1)
    if min(left.sum(), right.sum()) < max(3, _EDGE_ROWS * height):
        return None
    lines = _line(rows[left], first[left]), _line(rows[right], last[right] + 1)
    return lines if lines[1][1] - lines[0][1] >= _OPENING else None


def _linear(hull: npt.NDArray[np.bool_], stretch: tuple[float, float], field: npt.NDArray[np.bool_]) -> Beams:
    height, width = field.shape
    rows, columns = np.flatnonzero(hull.any(axis=1)), np.flatnonzero(hull.any(axis=0))
    left, right = columns[0] * stretch[0], (columns[-1] + 1) * stretch[0]
    top, bottom = rows[0] * stretch[1], (rows[-1] + 1) * stretch[1]
    across = (np.arange(width, dtype=np.float32) + np.float32(0.5 - left)) / np.float32(right - left)
    along = (np.arange(height, dtype=np.float32) + np.float32(0.5 - top)) / np.float32(bottom - top)
    return _clipped(None, np.broadcast_to(across, field.shape), np.broadcast_to(along[:, None], field.shape), field)


def _sector(
    part: npt.NDArray[np.bool_], stretch: tuple[float, float], field: npt.NDArray[np.bool_], left: _Line, right: _Line
) -> Beams:
    crossing = (left[0] - right[0]) / (right[1] - left[1])
    apex = (left[0] + left[1] * crossing) * stretch[0] - 0.5, (crossing + 0.5) * stretch[1] - 0.5
    bend = stretch[0] / stretch[1]
    angles = math.atan(left[1] * bend), math.atan(right[1] * bend)
    row, column = np.nonzero(part)
    reach = np.hypot((column + 0.5) * stretch[0] - 0.5 - apex[0], (row + 0.5) * stretch[1] - 0.5 - apex[1])
    near, far = float(np.percentile(reach, 0.5)), float(reach.max()) + max(stretch) / 2
    x = np.arange(field.shape[1], dtype=np.float32) - np.float32(apex[0])
    y = np.arange(field.shape[0], dtype=np.float32) - np.float32(apex[1])
    # The angle from the vertical: x and y change places.
    radius, angle = cv2.cartToPolar(
        np.ascontiguousarray(np.broadcast_to(y[:, None], field.shape)),
        np.ascontiguousarray(np.broadcast_to(x, field.shape)),
    )
    angle = np.where(angle > math.pi, angle - np.float32(2 * math.pi), angle)
    across = (angle - np.float32(angles[0])) / np.float32(angles[1] - angles[0])
    return _clipped(apex, across, (radius - np.float32(near)) / np.float32(far - near), field)


def _clipped(
    apex: tuple[float, float] | None,
    across: npt.NDArray[np.floating],
    along: npt.NDArray[np.floating],
    field: npt.NDArray[np.bool_],
) -> Beams:
    inside = field & (across >= 0) & (across <= 1) & (along >= 0) & (along <= 1)
    return Beams(apex, _unit(across), _unit(along), np.asarray(inside, dtype=np.bool_))


def _unit(values: npt.NDArray[np.floating]) -> _Floats:
    return np.asarray(np.clip(values, 0, 1), dtype=np.float32)
