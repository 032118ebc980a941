"""The endoscopy types of MedFM-Robust: specular reflection, bubbles, blood and over-exposure.

Places with `compat` are drawn from the level alone, so they are the same in every image.
"""

import math

import numpy as np
import numpy.typing as npt
from scipy import special

from medstress.perturb.light import GAMMA
from medstress.perturb.planes import split
from medstress.perturb.protocol import Scene
from medstress.perturb.scales.medfm_study import bell, fixed_places, ours, saved
from medstress.perturb.scales.protocol import Drawn, Severity
from medstress.perturb.warp import lenses, warp_image
from medstress.pixels import Image

# Mean area of the study's bubbles, in squares of the shorter side: pi times the mean square of radii in .03...12.
_BUBBLE_AREA = math.pi * (0.03**2 + 0.03 * 0.12 + 0.12**2) / 3
_STEEPEST_LENS = 0.7
_TRIALS = 200
# Standard deviation of the height of the mucosa in our blood, um, and how many of them below the mean its deepest point
# lies.
_HEIGHT, _DEEPEST = 165.0, 3.2


def _white_share(severity: Severity) -> float:
    p = severity[0]
    return (2 + 8 * p) * p * 4 * math.pi * (0.02 + 0.03 * p) ** 2


def specular(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Soft white spots, 2 + 8p in the middle two thirds, sigma 2 + 3p % of the shorter side, as bright as p.

    Severity: p, level. By default our endo_specular on the share of the area that is white to the same sum:
    (2 + 8p) * p * 4 pi (.02 + .03p)^2.
    Quirk: the same places in every image; the spots' profile is the root of a Gaussian, which is wider, not sharper.
    """
    if not compat:
        return ours("endo_specular", scene, rng, _white_share)
    height, width = scene.image.shape[:2]
    clean = split(scene.image)
    low, high = clean.min(), clean.max()

    def render(severity: Severity) -> Image:
        p, places = severity[0], fixed_places(severity, 500)
        sigma = min(height, width) * (0.02 + 0.03 * p)
        added = np.zeros((height, width), np.float32)
        for _ in range(int(max(1, 2 + 8 * p))):
            across, down = places.uniform(1 / 6, 5 / 6, 2)
            # The root of a Gaussian is one that is sqrt(2) times as wide.
            spot = bell(height, width, across * width, down * height, math.sqrt(2) * sigma)
            added += spot * (np.float32(p * places.uniform(0.8, 1.2)) * high)
        return saved(np.clip(clean + added, low, high))

    return Drawn(render)


def published_bubbles(severity: Severity, height: int, width: int) -> npt.NDArray[np.float64]:
    """The study's bubbles, [n, 4]: x, y, radius in pixels and strength of the lens.

    One that would overlap an earlier one is drawn anew, and left out where there is no room: masks move along.
    """
    p, places, unit = severity[0], fixed_places(severity, 600), min(height, width)
    lens = min(0.25 + 0.6 * p, _STEEPEST_LENS)
    circles: list[tuple[float, float, float, float]] = []
    for _ in range(int(max(3, 80 * p))):
        for _ in range(_TRIALS):
            radius = min(places.uniform(max(8, 0.03 * unit), max(20, 0.12 * unit)), unit / 4)
            x, y = places.uniform(radius, width - 1 - radius), places.uniform(radius, height - 1 - radius)
            if all(math.hypot(x - circle[0], y - circle[1]) > radius + circle[2] for circle in circles):
                circles.append((x, y, radius, lens))
                break
    return np.array(circles)


def bubbles(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """80p bubbles, at least 3, with radii of 3 to 12 % of the shorter side, magnify what lies under them.

    Severity: p, level.

    A lens of strength .25 + .6p, 2 to 4 highlights, a rim brighter by 15 + 25p % and a core by 5 + 10p % of the range.
    By default our endo_bubbles on as much of the area: 1.58p.
    Quirk: the same places in every image. Bubbles that would overlap are drawn anew, and masks move along.
    """
    if not compat:
        return ours("endo_bubbles", scene, rng, lambda severity: 80 * severity[0] * _BUBBLE_AREA)
    height, width = scene.image.shape[:2]
    spread = np.float32(np.ptp(scene.image))

    def circles(severity: Severity) -> npt.NDArray[np.float64]:
        return published_bubbles(severity, height, width)

    def render(severity: Severity) -> Image:
        p, found = severity[0], circles(severity)
        moved = split(warp_image(scene.image, lenses(found), scene.background))
        places = fixed_places(severity, 601)
        down, across = np.ogrid[:height, :width]
        for x, y, radius, _ in found:
            distance = np.hypot(down - y, across - x) / radius
            moved[:, (distance > 2 / 3) & (distance < 1)] *= np.float32(1.15 + 0.25 * p)
            moved[:, distance < 1 / 3] += np.float32(0.05 + 0.1 * p) * spread
            for _ in range(places.randint(2, 5)):
                angle, far = places.uniform(0, 2 * math.pi), places.uniform(0.2, 0.6) * radius
                highlight = bell(height, width, x + far * math.cos(angle), y + far * math.sin(angle), 0.08 * radius)
                moved += highlight * (spread / 2)
        return saved(np.clip(moved, scene.image.min(), scene.image.max()))

    return Drawn(render, lambda severity: lenses(circles(severity)))


def _blood_level(severity: Severity) -> float:
    return _HEIGHT * (_DEEPEST + float(special.ndtri(min(severity[0], 0.99))))


def blood(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """20p soft ellipses of blood: red times 1 - .1m, green and blue times 1 - .5m, grey times 1 - .4m.

    Severity: p, level.

    m is the largest of the ellipses times 5p, clipped to 0..1. By default our endo_blood up to the level under which
    about the share p of the mucosa lies: 165 um * (3.2 + z(p)), z being the quantile of the normal distribution.
    Quirk: the same places in every image.
    """
    if not compat:
        return ours("endo_blood", scene, rng, _blood_level)
    height, width = scene.image.shape[:2]
    clean = split(scene.image)
    lost = np.array([0.4] if len(clean) == 1 else [0.1, 0.5, 0.5], np.float32)[:, None, None]

    def render(severity: Severity) -> Image:
        p, places, unit = severity[0], fixed_places(severity, 700), min(height, width)
        cover = np.zeros((height, width), np.float32)
        for _ in range(int(max(1, 20 * p))):
            x, y = places.uniform(0, 1, 2) * (width, height)
            long, short = places.uniform(0.05, 0.15, 2) * unit
            angle = places.uniform(0, math.pi)
            across, down = np.arange(width) - x, (np.arange(height) - y)[:, None]
            along = (across * math.cos(angle) + down * math.sin(angle)) / long
            aside = (down * math.cos(angle) - across * math.sin(angle)) / short
            np.maximum(cover, np.exp(-(along**2) - aside**2).astype(np.float32), out=cover)
        return saved(clean * (1 - lost * np.clip(cover * np.float32(5 * p), 0, 1)))

    return Drawn(render)


def overexposure(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """15p soft discs in the middle half turn white: blended by m, their largest times 8p, clipped to 0..1.

    Severity: p, level.

    By default our endo_overexposure at the stops that bring the middle grey as far, 2.2 * log2(1 + 8p).
    Quirk: the same places in every image; white is each channel's largest value.
    """
    if not compat:
        return ours("endo_overexposure", scene, rng, lambda severity: GAMMA * math.log2(1 + 8 * severity[0]))
    height, width = scene.image.shape[:2]
    clean = split(scene.image)
    towards = clean.max(axis=(1, 2), keepdims=True) - clean

    def render(severity: Severity) -> Image:
        p, places = severity[0], fixed_places(severity, 800)
        cover = np.zeros((height, width), np.float32)
        for _ in range(int(max(1, 15 * p))):
            x, y = places.uniform(0.25, 0.75, 2) * (width, height)
            disc = bell(height, width, x, y, places.uniform(0.05, 0.15) * min(height, width))
            np.maximum(cover, disc, out=cover)
        return saved(clean + towards * np.minimum(cover * np.float32(8 * p), 1))

    return Drawn(render)
