"""Bubbles on the mucosa: they refract what lies below and mirror the lamp."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from medstress.perturb.lenses import pixels_of
from medstress.perturb.light import field_of_view, lit
from medstress.perturb.planes import Plane, join, split
from medstress.perturb.protocol import Perturbation, Realisation, Scene
from medstress.perturb.warp import lenses, warp_image
from medstress.pixels import Image, Mask
from medstress.rows import WarpRow

_Floats = npt.NDArray[np.float64]

# Radii in shorter sides. Froth has few large bubbles and many small ones between them, as small as a finer image can
# show: 4 pixels, but no smaller than the last figure.
_LARGEST, _SMALL, _SMALLEST = 0.12, 0.016, 0.006
_SMALL_PIXELS = 4
# Places that are tried where the smallest bubbles have a radius of one side; froth is dense where many are.
_TRIALS = 0.4
# In images more oblong than this, bubbles leave more room than they would need to.
_MOST_OBLONG = 3.0
_REFRACTION = 0.65


def _froth(rng: np.random.Generator, inside: Mask) -> _Floats:
    """Circles [n, 3] that lie in the field of view and do not overlap: x, y and radius in pixels.

    Large ones are placed first; later ones shrink into the gaps that are left.
    """
    height, width = inside.shape
    unit = min(height, width)
    smallest = min(max(_SMALL_PIXELS / unit, _SMALLEST), _SMALL)
    trials = int(_TRIALS / smallest**2 * min(max(height, width) / unit, _MOST_OBLONG))
    trial = rng.uniform(0, 1, (trials, 2)) * (width, height)
    wanted = unit * smallest * (_LARGEST / smallest) ** rng.beta(1.0, 1.2, trials)
    wanted[:40] = np.sort(wanted[:40])[::-1]
    # From each pixel's centre to the nearest one outside; a trial may lie .7 pixels from its pixel's centre.
    room = cv2.distanceTransform(np.pad(inside.astype(np.uint8), 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    free = room[trial[:, 1].astype(int) + 1, trial[:, 0].astype(int) + 1] - 1.2
    placed: list[tuple[float, float, float]] = []
    while (fitting := np.minimum(wanted, free * 0.98) >= unit * smallest).any():
        index = int(np.argmax(fitting))
        x, y = trial[index]
        radius = min(wanted[index], free[index] * 0.98)
        placed.append((x, y, radius))
        np.minimum(free, np.sqrt((trial[:, 0] - x) ** 2 + (trial[:, 1] - y) ** 2) - radius, out=free)
    return np.array(placed).reshape(-1, 3)[rng.permutation(len(placed))]


def _smooth_step(values: Plane) -> Plane:
    inside = np.clip(values, 0, 1)
    return np.asarray(inside * inside * (3 - 2 * inside))


@dataclass(frozen=True)
class _Shading:
    """What bubbles do to the pixels [n] inside them: stored = gain * refracted + white."""

    pixel: npt.NDArray[np.int32]
    circle: npt.NDArray[np.int32]
    gain: npt.NDArray[np.float32]
    white: npt.NDArray[np.float32]


def _shading(circles: _Floats, light: Plane) -> _Shading:
    """Rim, mirrored lamp and crescent of circles [n, 4] under the light [H, W] in 0..1, circle after circle."""
    height, width = light.shape
    inside = pixels_of(circles, height, width)
    distance = np.sqrt(inside.across**2 + inside.down**2)
    rim = _smooth_step((distance - 0.55) / 0.35) * _smooth_step((1 - distance) / 0.1)
    lamp = _smooth_step((0.22 - np.hypot(inside.across + 0.38, inside.down + 0.42)) / 0.1)
    crescent = _smooth_step(1 - np.abs(distance - 0.78) / 0.12) * _smooth_step(
        (inside.across + inside.down - 0.75) / 0.35
    )
    # Bubbles of few pixels have no room for a rim and a mirrored lamp.
    room = np.clip(circles[:, 2] / 3, 0, 1).astype(np.float32)[inside.circle]
    mirrored = room * light[inside.row, inside.column] * np.maximum(0.95 * lamp, 0.45 * crescent)
    gain = (1 - mirrored) * (1 - 0.6 * room * rim)
    pixel = inside.row * width + inside.column
    return _Shading(pixel, inside.circle, gain, 255 * mirrored)


def _endo_bubbles(scene: Scene, rng: np.random.Generator) -> Realisation:
    """Transparent bubbles cover the mucosa, magnify what lies under them, darken at the rim and mirror the lamp.

    Inside a bubble of radius R the pixel at distance d of its middle shows what lies at d * (1 - 0.65 * (1 - (d/R)^2)).
    Towards the rim light is lost to total reflection, up to 60 % at 0.9 R; a sharp white spot mirrors the lamp and a
    dim crescent on the other side its reflection from the back. Bubbles are drawn once and do not overlap; strength is
    the share of the field of view that they cover: one after another grows from nothing to its size, until no more fit.

    Source: Hecht, Optics, Pearson, 2017 (refraction at spherical surfaces); Ali et al., "An objective comparison of
    detection and segmentation algorithms for artefacts in clinical endoscopy", Scientific Reports, 2020.
    """
    height, width = scene.image.shape[:2]
    inside = field_of_view(scene.image)
    light = lit(scene.image, inside)
    froth = _froth(rng, inside)
    # The centre of the top left pixel is (0, 0).
    full = np.column_stack([froth[:, :2] - 0.5, froth[:, 2], np.full(len(froth), _REFRACTION)])
    areas = np.pi * froth[:, 2] ** 2 / np.count_nonzero(inside)
    before = np.cumsum(areas) - areas
    shading = _shading(full, light)

    def circles(share: float) -> _Floats:
        """All bubbles in their full size but the last, which is still growing."""
        shown = full[before < share].copy()
        if len(shown):
            last = len(shown) - 1
            shown[last, 2] *= np.sqrt(min((share - before[last]) / areas[last], 1))
        return np.asarray(shown)

    def warp(share: float) -> WarpRow:
        return lenses(circles(share))

    def render(share: float) -> Image:
        bubbles = circles(share)
        moved = warp_image(scene.image, lenses(bubbles), scene.background)
        gain, white = np.ones(height * width, np.float32), np.zeros(height * width, np.float32)
        done = np.searchsorted(shading.circle, len(bubbles) - 1)
        growing = _shading(bubbles[-1:], light)
        for part, count in ((shading, done), (growing, len(growing.pixel))):
            gain[part.pixel[:count]] = part.gain[:count]
            white[part.pixel[:count]] = part.white[:count]
        gain, white = gain.reshape(height, width), white.reshape(height, width)
        return join(plane * gain + white for plane in split(moved))

    return Realisation(render, warp)


ENDO_BUBBLES = Perturbation(
    "endo_bubbles",
    _endo_bubbles,
    unit="share of the field of view",
    mildest=0.0002,
    typical=0.22,
    strongest=0.68,
    moves_pixels=True,
    modalities=frozenset({"endoscopy"}),
)

TYPES = (ENDO_BUBBLES,)
