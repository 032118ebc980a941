"""Glints of a lamp on wet mucosa: small ellipses that appear one after another where mirroring is likely."""

import math
from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from medstress.perturb.light import brightest
from medstress.perturb.planes import Plane, blurred_inside
from medstress.perturb.relief import relief, spread
from medstress.pixels import Image, Mask

_Ints = npt.NDArray[np.int64]

# Candidates for glints, half the length of the shortest and of the longest in shorter sides, and the least share of the
# length that is the breadth. Finer images show more and shorter ones.
_GLINTS, _SHORTEST, _LONGEST, _NARROWEST = 1800, 0.004, 0.024, 0.3
_COARSE_SIDE, _FINEST = 256, 2.5
# A glint grows to its size over this share of the range of scales.
_GROWTH = 0.15
FULL_GROWN = 1 + _GROWTH
"""The scale at which all glints have their size."""
# The scale of pixels that no glint reaches.
_NEVER = np.float32(2)
# Around ellipses, so many pixels are looked at together.
_TOGETHER = 2**18
# Ragged outlines reach out to this distance, 1 being the even one.
_OUTERMOST = 1.4


def _likelihood(image: Image, inside: Mask, rng: np.random.Generator) -> Plane:
    """How likely each place mirrors the lamp, float32 [H, W]: bright ridges near the lamp's axis, never the lumen."""
    height, width = inside.shape
    unit = min(height, width)
    bright = brightest(image).astype(np.float32)
    [local] = blurred_inside([bright], inside, max(0.012 * unit, 0.8))
    [around] = blurred_inside([bright], inside, max(0.07 * unit, 2.0))
    local *= inside
    usual = max(float(np.percentile(local[inside], 95)), 1.0)
    step = np.clip((local / np.float32(usual) - np.float32(0.45)) * 5, 0, 1)
    ridge = cv2.exp(np.clip((local / np.maximum(around, 1) - 1) * 10, -3, 3))
    x, y = rng.uniform(0.35, 0.65, 2) * (width - 1, height - 1)
    across = (np.arange(width, dtype=np.float32)[None, :] - np.float32(x)) / np.float32(0.3 * unit)
    down = (np.arange(height, dtype=np.float32)[:, None] - np.float32(y)) / np.float32(0.3 * unit)
    film = cv2.exp(np.float32(1.2) * spread(relief(rng, inside.shape, 0.06), inside.shape))
    return np.asarray(step * ridge * film / (1 + (across**2 + down**2) ** 2), dtype=np.float32)


def _inside_ellipses(ellipses: Plane, height: int, width: int) -> Iterator[tuple[_Ints, _Ints, Plane]]:
    """The pixels in and near ellipses [6, n]: x, y, half axes, cosine and sine of the angle of the first.

    Comes in parts: index of the ellipse, index of the pixel, and its distance from the centre, 1 at the outline.
    """
    reaches = np.ceil(_OUTERMOST * ellipses[2]).astype(int)
    for reach in np.unique(reaches):
        [some] = np.nonzero(reaches == reach)
        steps = np.arange(-reach, reach + 1)
        for part in np.array_split(some, math.ceil(len(some) * len(steps) ** 2 / _TOGETHER)):
            x, y, length, breadth, cosine, sine = ellipses[:, part, None, None]
            column = x.astype(int) + steps
            row = y.astype(int) + steps[:, None]
            right, below = (column - x).astype(np.float32), (row - y).astype(np.float32)
            along, aside = (right * cosine + below * sine) / length, (below * cosine - right * sine) / breadth
            distance = np.sqrt(along * along + aside * aside)
            near = (distance < _OUTERMOST) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
            which = np.broadcast_to(part[:, None, None], near.shape)
            yield which[near], (row * width + column)[near], distance[near]


def draw_glints(image: Image, inside: Mask, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """When glints reach each pixel, as they grow one after another with a scale from 0 to FULL_GROWN.

    Returns the scale at which a glint reaches the pixel, and how many pixels it grows there per unit of scale, float32
    [H, W] each.
    """
    height, width = inside.shape
    unit = min(height, width)
    fineness = min(max(unit / _COARSE_SIDE, 1), _FINEST)
    count, shortest = round(_GLINTS * fineness), _SHORTEST / fineness
    x, y = rng.uniform(0, width, count), rng.uniform(0, height, count)
    column, row = x.astype(int), y.astype(int)
    likelihood = _likelihood(image, inside, rng)
    likely = likelihood[row, column].astype(np.float64)
    # Weighted sampling without replacement: the shortest waiting times come first.
    waiting = rng.exponential(1, count) / np.maximum(likely, 1e-12)
    order = np.argsort(waiting)[: np.count_nonzero(likely)]
    length = unit * shortest * (_LONGEST / shortest) ** (rng.random(count) ** 2)
    breadth = np.maximum(length * rng.uniform(_NARROWEST, 1, count), 0.6)
    # Glints lie along ridges, across the slope of the brightness.
    smooth = cv2.GaussianBlur(brightest(image).astype(np.float32), (0, 0), max(0.02 * unit, 1.0))
    across, down = (cv2.Sobel(smooth, cv2.CV_32F, *axis)[row, column] for axis in ((1, 0), (0, 1)))
    angle = np.arctan2(across, -down) + rng.normal(0, 0.4, count)
    ellipses = np.stack([x, y, length, breadth, np.cos(angle), np.sin(angle)])[:, order].astype(np.float32)
    start = np.arange(len(order)) / max(len(order), 1)
    ragged = 1 + np.float32(0.22) * spread(relief(rng, inside.shape, 0.012), inside.shape).ravel()
    onsets, speeds = np.full(height * width, _NEVER, np.float32), np.ones(height * width, np.float32)
    for which, pixel, distance in _inside_ellipses(ellipses, height, width):
        onset = (start[which] + _GROWTH * distance * ragged[pixel]).astype(np.float32)
        [reached] = np.nonzero(distance * ragged[pixel] < 1)
        np.minimum.at(onsets, pixel[reached], onset[reached])
        earliest = reached[onset[reached] == onsets[pixel[reached]]]
        speeds[pixel[earliest]] = ellipses[3, which[earliest]] / _GROWTH
    onsets[likelihood.ravel() <= 0] = _NEVER
    return onsets.reshape(height, width), speeds.reshape(height, width)
