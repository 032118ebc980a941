"""The pathology types of MedFM-Robust: stain variation, and bubbles and cracks of the mount.

Draws with `compat` come from the level alone, so they are the same in every image.
"""

import math

import cv2
import numpy as np
import numpy.typing as npt

from medstress.perturb.planes import split
from medstress.perturb.protocol import Scene
from medstress.perturb.scales.medfm_study import fixed_places, ours, saved
from medstress.perturb.scales.protocol import Drawn, Severity
from medstress.pixels import Image, to_uint8

Floats = npt.NDArray[np.float32]

# From here on the saturation changes from place to place.
_UNEVEN_FROM = 0.15
_STEPS = 60


def stain(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Hue, saturation and value change. Severity: p, level.

    By default our path_stain, in optical density, with all stains stronger or weaker by the factor 1 + p: ln(1 + p).
    Quirk: hue moves by up to 40p of 180, saturation and value by the factors 1 +- p and 1 +- .6p, drawn for a level,
    so the same for every image; above p = .15 saturation also changes from place to place. Grey images get a gain,
    which saving takes back.
    """
    if not compat:
        return ours("path_stain", scene, rng, lambda severity: math.log1p(severity[0]))
    height, width = scene.image.shape[:2]
    low, high = int(scene.image.min()), int(scene.image.max())

    def render(severity: Severity) -> Image:
        p, places = severity[0], fixed_places(severity, 1000)
        hue, saturation, value = places.uniform(-1, 1, 3) * (40 * p, p, 0.6 * p)
        if scene.image.ndim == 2:
            return saved(split(scene.image) * np.float32(1 + saturation))
        stretched = to_uint8((scene.image - np.float32(low)) * np.float32(255 / max(high - low, 1)))
        hsv = np.asarray(cv2.cvtColor(stretched, cv2.COLOR_RGB2HSV), dtype=np.float32)
        hsv *= np.array([1, 1 + saturation, 1 + value], np.float32)
        hsv[..., 0] = (hsv[..., 0] + np.float32(hue)) % 180
        if p > _UNEVEN_FROM:
            noise = places.standard_normal((height, width)).astype(np.float32)
            field = np.asarray(cv2.GaussianBlur(noise, (0, 0), min(height, width) / 8), dtype=np.float32)
            hsv[..., 1] *= 1 + np.float32(p) * field / np.float32(max(float(np.abs(field).max()), 1e-6))
        stained = cv2.cvtColor(np.clip(hsv, 0, (179, 255, 255)).astype(np.uint8), cv2.COLOR_HSV2RGB)
        return saved(split(np.asarray(stained, dtype=np.uint8)))

    return Drawn(render)


def _radii(severity: Severity) -> tuple[float, float]:
    """The least and the largest radius of the study's bubbles, shares of the shorter side."""
    size = min(severity[0], 15.0) / 5
    return 0.015 + 0.01 * size, 0.04 + 0.03 * size


def covered_share(severity: Severity) -> float:
    """The mean share of a square image that the study's bubbles cover."""
    small, large = _radii(severity)
    return severity[0] * math.pi * (small**2 + small * large + large**2) / 3


def _add_bubbles(planes: Floats, severity: Severity, places: np.random.RandomState) -> None:
    height, width = planes.shape[1:]
    unit = min(height, width)
    pale = np.percentile(planes, 92, axis=(1, 2)).astype(np.float32)[:, None, None]
    down, across = np.ogrid[:height, :width]
    for _ in range(int(severity[0])):
        radius = max(places.uniform(*_radii(severity)) * unit, 2.0)
        x, y = places.uniform(0, 1, 2) * (width, height)
        distance = (np.hypot(down - y, across - x) / radius).astype(np.float32)
        planes += np.where(distance < 1, np.float32(0.45) * (1 - distance**2), np.float32(0)) * (pale - planes)
        planes[:, (distance > 0.7) & (distance <= 0.9)] *= np.float32(1.08)
        planes[:, (distance > 0.9) & (distance <= 1.1)] *= np.float32(places.uniform(0.82, 0.92))


def _crack_gain(shape: tuple[int, int], number: int, places: np.random.RandomState) -> Floats:
    """What cracks multiply the pixels [H, W] with: each is 3 to 5 wobbling lines of darker and brighter pixels."""
    height, width = shape
    unit = min(height, width)
    gain = np.ones(shape, np.float32)
    for _ in range(number):
        x, y = places.uniform(0.1, 0.9, 2) * (width, height)
        for _ in range(places.randint(3, 6)):
            reach = places.uniform(0.05, 0.15) * unit
            angle = places.uniform(0, 2 * math.pi) + np.cumsum(places.normal(0, 0.15, _STEPS))
            column = np.rint(x + np.cumsum(np.cos(angle)) * reach / _STEPS).astype(int)
            row = np.rint(y + np.cumsum(np.sin(angle)) * reach / _STEPS).astype(int)
            dark, bright = places.uniform(0.65, 0.85, _STEPS), places.uniform(1.1, 1.25, _STEPS)
            factor = np.where(places.uniform(0, 1, _STEPS) < 0.5, dark, bright)
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            gain[row[inside], column[inside]] = factor[inside]
        down, across = np.ogrid[:height, :width]
        gain[np.hypot(down - y, across - x) < max(0.01 * unit, 1)] *= np.float32(0.88)
    return gain


def bubbles(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """A number n of pale bubbles with a dark rim, of 1.5 to 7 % of the shorter side, and cracks.

    Severity: n, cracks, level. By default our path_bubbles, without cracks, on the share of the area that n bubbles
    cover on average.
    Quirk: the same places in every image.
    """
    if not compat:
        return ours("path_bubbles", scene, rng, covered_share)
    clean = split(scene.image)

    def render(severity: Severity) -> Image:
        places, planes = fixed_places(severity, 1100), clean.copy()
        _add_bubbles(planes, severity, places)
        height, width = scene.image.shape[:2]
        planes *= _crack_gain((height, width), int(severity[1]), places)
        return saved(planes)

    return Drawn(render)
