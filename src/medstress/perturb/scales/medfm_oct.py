"""The OCT types of MedFM-Robust: shadow, blink, row motion, defocus and speckle.

Places with `compat` are drawn from the level alone, so they are the same in every image.
"""

import math

import numpy as np
import numpy.typing as npt

from medstress.perturb.planes import split
from medstress.perturb.protocol import Scene
from medstress.perturb.scales.medfm_base import blurred_as_published
from medstress.perturb.scales.medfm_study import NOMINAL_SIDE, fixed_places, ours, saved
from medstress.perturb.scales.protocol import Drawn, Severity
from medstress.perturb.warp import rows
from medstress.pixels import Image
from medstress.rows import WarpRow

# Width of the focused beam in our oct_defocus, share of the width of the scan, and mean height of a published blink.
_SPOT = 0.001
_BLINK_HEIGHT = 0.035
_EDGE = 0.25


def _most_stripes(level: float) -> int:
    return min(3, round(level))


def shadow(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Black stripes from top to bottom, each a share p of the width times .7 to 1.3. Severity: p, level.

    There are 1 to min(3, level) of them. By default our oct_shadow on their mean share, p * (1 + min(3, level)) / 2.
    Quirk: the same places in every image; stripes go up to the top, before any tissue.
    """
    if not compat:
        return ours("oct_shadow", scene, rng, lambda severity: severity[0] * (1 + _most_stripes(severity[-1])) / 2)
    clean, width = split(scene.image), scene.image.shape[1]

    def render(severity: Severity) -> Image:
        p, places = severity[0], fixed_places(severity, 900)
        kept = np.ones(width)
        for _ in range(places.randint(1, _most_stripes(severity[-1]) + 1)):
            wide = max(3.0, width * p * places.uniform(0.7, 1.3))
            off = np.abs(np.arange(width) - places.uniform(0, width)) - wide / 2
            kept = np.minimum(kept, np.clip(1 + off / (_EDGE * wide), 0, 1))
        return saved(clean * kept.astype(np.float32))

    return Drawn(render)


def blink(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Black bands of rows with soft edges. Severity: their number n, level.

    By default our oct_blink on n times their mean height, 3.5 % of the image.
    Quirk: the same places in every image.
    """
    if not compat:
        return ours("oct_blink", scene, rng, lambda severity: severity[0] * _BLINK_HEIGHT)
    clean, height = split(scene.image), scene.image.shape[0]

    def render(severity: Severity) -> Image:
        places = fixed_places(severity, 910)
        kept = np.ones(height)
        for _ in range(int(severity[0])):
            high = places.uniform(max(2, height / 50), max(5, height / 20))
            off = np.abs(np.arange(height) - places.uniform(0, height)) - high / 2
            kept = np.minimum(kept, np.clip(1 + off / (_EDGE * high), 0, 1))
        return saved(clean * kept.astype(np.float32)[:, None])

    return Drawn(render)


def published_row_shifts(severity: Severity, height: int, width: int) -> npt.NDArray[np.int64]:
    """How far the study moves each row to the right, whole pixels [height]: 1 to `level` blocks of rows."""
    places, most = fixed_places(severity, 920), int(width * severity[0])
    shifts = np.zeros(height, np.int64)
    for _ in range(places.randint(1, round(severity[-1]) + 1)):
        high = places.randint(height // 8, height // 3)
        top = places.randint(0, height - high)
        shifts[top : top + high] += places.randint(-most, most + 1)
    return shifts


def row_motion(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Rows are shifted sideways by up to p of the width. Severity: p, level. By default our oct_row_motion at p.

    Quirk: 1 to `level` blocks of rows move, the same in every image; the edge is repeated. Masks move along all the
    same.
    """
    if not compat:
        return ours("oct_row_motion", scene, rng, lambda severity: severity[0])
    clean = split(scene.image)
    height, width = scene.image.shape[:2]

    def warp(severity: Severity) -> WarpRow:
        return rows(published_row_shifts(severity, height, width).astype(np.float64))

    def render(severity: Severity) -> Image:
        shifts = published_row_shifts(severity, height, width)
        origin = np.clip(np.arange(width) - shifts[:, None], 0, width - 1)
        return saved(clean[:, np.arange(height)[:, None], origin])

    return Drawn(render, warp)


def defocus(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """The image is blurred. Severity: sigma in pixels.

    By default our oct_defocus, at the Rayleigh ranges that widen the focused beam, .1 % of the width, to sigma / 256 of
    the width.
    Quirk: Gaussian blur in all directions, the same as the base type.
    """
    if compat:
        return blurred_as_published(scene)
    return ours("oct_defocus", scene, rng, lambda severity: severity[0] / NOMINAL_SIDE / _SPOT)


def _contrast(severity: Severity) -> float:
    return math.sqrt(math.expm1(min(severity[0], 1.0) ** 2))


def speckle(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Grain multiplies the image: log-normal numbers of mean 1, sigma p, alike for all channels. Severity: p, level.

    By default our oct_speckle of the same contrast in intensity, sqrt(exp(p^2) - 1).
    Quirk: the same grain in every image; it multiplies grey levels of the logarithmic display instead of intensities.
    """
    if not compat:
        return ours("oct_speckle", scene, rng, _contrast)
    clean = split(scene.image)

    def render(severity: Severity) -> Image:
        field = fixed_places(severity, 930).lognormal(0, severity[0], scene.image.shape[:2])
        gain = (field / field.mean()).astype(np.float32)
        return saved(np.clip(clean * gain, clean.min(), clean.max()))

    return Drawn(render)
