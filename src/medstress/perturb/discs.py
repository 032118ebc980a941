"""Discs that grow and become more: bubbles and spots at every size in one map.

Disc i has its centre, its size w and its onset o; at scale s its radius is w * (s - o). A pixel at distance d is
inside once s exceeds d / w + o. So the smallest of these over all discs, drawn once, gives the union at every scale.
"""

import math

import numpy as np
import numpy.typing as npt

from medstress.pixels import Mask

Onsets = npt.NDArray[np.float32]
"""float32 [H, W]: the scale at which the discs reach a pixel."""

# Enough pixels to know which share of them a scale covers.
_SAMPLE = 65536


def draw_discs(
    height: int, width: int, rng: np.random.Generator, *, count: int, smallest: float, delay: float
) -> Onsets:
    """Discs all over the image, `count` to the square of its shorter side.

    Sizes are log-uniform in smallest..1, onsets uniform in 0..delay; the first disc has size 1 and onset 0, so the
    scale is the radius of the largest as a share of the shorter side.
    """
    side = min(height, width)
    total = round(count * max(height, width) / side)
    x, y = rng.uniform(0, width - 1, total), rng.uniform(0, height - 1, total)
    size, start = np.exp(rng.uniform(math.log(smallest), 0, total)), rng.uniform(0, delay, total)
    size[0], start[0] = 1, 0
    rows, columns = np.arange(height, dtype=np.float32), np.arange(width, dtype=np.float32)
    onsets = np.full((height, width), np.inf, np.float32)
    distance = np.empty_like(onsets)
    for index in range(total):
        reach = np.float32(side * size[index])
        down, across = (rows - np.float32(y[index])) / reach, (columns - np.float32(x[index])) / reach
        np.add((down * down)[:, None], across * across, out=distance)
        np.sqrt(distance, out=distance)
        distance += np.float32(start[index])
        np.minimum(onsets, distance, out=onsets)
    return onsets


def coverage(onsets: Onsets, inside: Mask | None = None) -> npt.NDArray[np.float32]:
    """Sorted onsets of the pixels that count, [H, W], or of a sample of them: a table for `scale_at`."""
    counted = onsets[inside] if inside is not None and np.count_nonzero(inside) > 1 else onsets.ravel()
    return np.sort(counted[:: math.ceil(counted.size / _SAMPLE)])


def scale_at(covered: npt.NDArray[np.float32], share: float) -> float:
    """The scale at which the discs cover this share, 0..1, of the pixels that count."""
    position = min(max(share, 0.0), 1.0) * (len(covered) - 1)
    below = min(int(position), len(covered) - 2)
    low, high = float(covered[below]), float(covered[below + 1])
    return low + (position - below) * (high - low)
