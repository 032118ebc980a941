"""Drops of dirty liquid on the lens."""

import math

import cv2
import numpy as np
import numpy.typing as npt

from medstress.perturb.planes import join, split
from medstress.perturb.protocol import Perturbation, Realisation, Scene
from medstress.perturb.weather import as_planes, deviation, growing_cover
from medstress.pixels import Image

Floats = npt.NDArray[np.float32]

_LIQUID = (96, 72, 46)
# Kinds of drops, drops of each kind in a square frame, and how far they may spread, in shares of the shorter side.
_KINDS = 8
_DROPS = 10
_RADII = (0.02, 0.14)
_GRID = 128
# Of what is seen through a drop, this share is the liquid's own colour.
_TURBIDITY = 0.7
# Grey levels that the light on a drop's edge adds and its shadow takes.
_GLOSS = 70.0


def _drops(height: int, width: int, rng: np.random.Generator) -> Floats:
    """How early each pixel [height, width] gets wet as drops fall and spread; the highest values first.

    Drops of one kind fall together and are h - distance / r; they differ in h and in r, and run a little.
    """
    side = min(height, width)
    # Drops are large: a coarse grid is fine enough.
    coarse = max(side / _GRID, 1.0)
    rows, columns = math.ceil(height / coarse), math.ceil(width / coarse)
    count = math.ceil(_DROPS * height * width / side**2)
    field = np.full((rows, columns), -np.inf, np.float32)
    for kind in range(_KINDS):
        dry = np.ones((rows, columns), np.uint8)
        dry[rng.integers(rows, size=count), rng.integers(columns, size=count)] = 0
        radius = side / coarse * rng.uniform(*_RADII)
        distance = cv2.distanceTransform(dry, cv2.DIST_L2, cv2.DIST_MASK_5)
        spread = cv2.addWeighted(distance, -1 / radius, distance, 0, -0.8 * kind / _KINDS)
        np.maximum(field, spread, out=field)
    uneven = rng.standard_normal((rows // 5 + 2, columns // 5 + 2), dtype=np.float32) * np.float32(0.08)
    field += cv2.resize(uneven, (columns, rows), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def _out_of_focus(plane: Floats) -> Floats:
    """The plane [H, W] blurred by a Gaussian of a fortieth of the shorter side, on a coarse grid where that is wide."""
    height, width = plane.shape
    sigma = max(min(height, width) / 40, 1.0)
    coarse = max(sigma / 3, 1.0)
    small = cv2.resize(plane, (round(width / coarse), round(height / coarse)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / coarse)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def _spatter(scene: Scene, rng: np.random.Generator) -> Realisation:
    """Drops of dirty liquid land on the lens: behind them the scene is tinted and out of focus, and their rims shine.

    I + m * (B - I) + g * 4 m (1 - m) * e: m in 0..1 is the cover, by drops drawn once that spread as their share grows;
    B is the blurred scene mixed with the liquid's colour; e is the slope of the drops towards the light.

    Source: Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations",
    ICLR 2019 (spatter), for drops with a height, a threshold and an embossed rim.
    """
    height, width = scene.image.shape[:2]
    drops = _drops(height, width, rng)
    cover = growing_cover(drops, 0.25)
    clean = split(scene.image)
    blurred = np.stack([_out_of_focus(plane) for plane in clean])
    tint = as_planes(_LIQUID, scene.image) * np.float32(_TURBIDITY)
    change = np.asarray(blurred * np.float32(1 - _TURBIDITY) + tint - clean, dtype=np.float32)
    # Light comes from the upper left.
    towards = np.array([[-1, -1, 0], [-1, 0, 1], [0, 1, 1]], np.float32)
    slope = np.asarray(cv2.filter2D(drops, -1, towards), dtype=np.float32)
    shine = np.clip(slope * np.float32(0.5 / deviation(slope)), -1, 1) * np.float32(4 * _GLOSS)

    def render(share: float) -> Image:
        wet = cover(share)
        rim = wet - wet * wet
        rim *= shine
        seen = change * wet
        seen += rim
        seen += clean
        return join(seen)

    return Realisation(render)


SPATTER = Perturbation("spatter", _spatter, unit="share of the frame", mildest=0.0005, typical=0.22, strongest=0.999)

TYPES = (SPATTER,)
