"""Endoscopy: highlights on wet mucosa, blood, and over-exposure near the lamp. Bubbles are in endo_bubbles."""

import math
from collections.abc import Iterator

import cv2
import numpy as np

from medstress.perturb.discs import coverage, scale_at
from medstress.perturb.glints import FULL_GROWN, draw_glints
from medstress.perturb.light import GAMMA, field_of_view, light_of, stored
from medstress.perturb.planes import Plane, blurred_inside, join, split
from medstress.perturb.protocol import Perturbation, Realisation, Scene
from medstress.perturb.relief import relief, spread
from medstress.pixels import Image


def _endo_specular(scene: Scene, rng: np.random.Generator) -> Realisation:
    """Wet mucosa mirrors the lamp where its surface faces it: small white glints with sharp edges, in clusters.

    Glints are ragged ellipses along the ridges, half as long as up to 2.4 % of the shorter side. They lie all over the
    field of view and grow to their size in random order, sooner where a glint is likelier, until the share s of the
    field is white. How likely: b * r * f / (1 + (d / .3)^4). b rises from 0 to 1 between 45 and 65 % of the brightness
    of bright mucosa, r = exp(10 * (brightness / brightness around - 1)) is large on ridges, f is a random film of
    liquid, and d the distance from the lamp's axis in shorter sides.

    Source: Cox and Munk, "Measurement of the roughness of the sea surface from photographs of the sun's glitter",
    Journal of the Optical Society of America, 1954 (mirror facets of a random surface).
    """
    inside = field_of_view(scene.image)
    onsets, speeds = draw_glints(scene.image, inside, rng)
    covered = coverage(onsets, inside)
    within = inside.astype(np.float32)
    clean = split(scene.image)

    def render(share: float) -> Image:
        # How far inside its glint a pixel lies, in pixels; the optics soften the edge by another one.
        white = np.float32(min(scale_at(covered, share), FULL_GROWN)) - onsets
        white *= speeds
        white += np.float32(0.5)
        np.clip(white, 0, 1, out=white)
        white = np.asarray(cv2.GaussianBlur(white, (3, 3), 0.6), dtype=np.float32) * within
        return join(plane + (np.float32(255) - plane) * white for plane in clean)

    return Realisation(render)


# Absorption of whole blood (150 g haemoglobin a litre, partly oxygenated) in a camera's red, green and blue band, 1/um.
_ABSORPTION = np.array([0.004, 0.025, 0.030], np.float32)
# What a thick layer sends back, relative to the mucosa around it, as stored.
_BACKSCATTER = np.array([0.5, 0.12, 0.12], np.float32)
_GREY_ABSORPTION, _GREY_BACKSCATTER = np.array([0.018], np.float32), np.array([0.28], np.float32)
_POOL = 0.09
# Standard deviation of the mucosa's height, um.
_HEIGHT = 160


def _endo_blood(scene: Scene, rng: np.random.Generator) -> Realisation:
    """Blood fills the hollows of the mucosa and spreads as its level rises: a red film that swallows green and blue.

    Under a film of thickness d = max(0, level - height) light is lost both ways: stored = B + (clean - B) * T^(1/2.2)
    with T = exp(-2 * mu * d), mu = 40, 250 and 300 1/cm in red, green and blue, and B what thick blood sends back:
    50, 12 and 12 % of the mucosa's smoothed value. Grey images have mu = 180 1/cm and 28 %. The height is a smooth
    random surface with a standard deviation of 160 um, drawn once; level 0 is its deepest point.

    Source: Jacques, "Optical properties of biological tissues: a review", Physics in Medicine and Biology, 2013
    (Beer-Lambert, absorption of haemoglobin).
    """
    shape = scene.image.shape
    inside = field_of_view(scene.image)
    coarse = relief(rng, shape, _POOL)
    fine = relief(rng, shape, _POOL / 3)
    height = spread(coarse, shape) + np.float32(0.25) * spread(fine, shape)
    height = (height - height.min()) * np.float32(_HEIGHT)
    # No film lies outside the field of view.
    height[~inside] = np.inf
    clean = split(scene.image)
    colour = len(clean) == 3
    absorption = (_ABSORPTION if colour else _GREY_ABSORPTION) * np.float32(-2 / GAMMA)
    backscatter = _BACKSCATTER if colour else _GREY_BACKSCATTER
    thick = blurred_inside(clean, inside, max(min(shape[:2]) / 14, 1.0))

    def render(level: float) -> Image:
        depth = np.maximum(np.float32(level) - height, 0)

        def seen() -> Iterator[Plane]:
            for plane, smooth, loss, returned in zip(clean, thick, absorption, backscatter, strict=True):
                thickest = smooth * returned
                film = np.asarray(cv2.exp(depth * loss), dtype=np.float32)
                film *= plane - thickest
                film += thickest
                yield film

        return join(seen())

    return Realisation(render)


# The excess light is spread on a grid with this many cells to the mean side.
_BLOOM_CELLS = 64


def _endo_overexposure(scene: Scene, rng: np.random.Generator) -> Realisation:
    """The lamp is too close: the tissue in front of it turns white, and charge spills from full pixels to others.

    light = clean * 2^(s / (1 + (r/w)^2)) with s stops at the brightest place, which is drawn once, and w = 0.35 of the
    mean side; 3 % of what exceeds white spreads with a Gaussian of 6 % of the mean side, and is added;
    stored = 255 * min(light, 1)^(1/2.2), for each channel alone.

    Source: Janesick, Scientific Charge-Coupled Devices, SPIE Press, 2001 (full well and blooming).
    """
    height, width = scene.image.shape[:2]
    inside = field_of_view(scene.image)
    unit = math.sqrt(height * width)
    x, y = rng.uniform(0.3, 0.7, 2) * (width - 1, height - 1)
    across = (np.arange(width, dtype=np.float32)[None, :] - np.float32(x)) / np.float32(0.35 * unit)
    down = (np.arange(height, dtype=np.float32)[:, None] - np.float32(y)) / np.float32(0.35 * unit)
    nearness = np.float32(math.log(2)) / (1 + across**2 + down**2)
    clean = light_of(scene.image)
    cell = max(unit / _BLOOM_CELLS, 1)
    cells = (max(round(width / cell), 1), max(round(height / cell), 1))
    sigma = 0.06 * unit / cell
    shown = inside * np.float32(0.03)

    def render(stops: float) -> Image:
        gain = np.asarray(cv2.exp(nearness * np.float32(stops)), dtype=np.float32)

        def exposed() -> Iterator[Plane]:
            for plane in clean:
                light = np.asarray(plane * gain, dtype=np.float32)
                _, excess = cv2.threshold(light - 1, 0, 0, cv2.THRESH_TOZERO)
                excess = cv2.resize(excess, cells, interpolation=cv2.INTER_AREA)
                spilled = cv2.GaussianBlur(excess, (0, 0), sigma)
                light += shown * cv2.resize(spilled, (width, height), interpolation=cv2.INTER_LINEAR)
                yield light

        return stored(exposed())

    return Realisation(render)


ENDO_SPECULAR = Perturbation(
    "endo_specular",
    _endo_specular,
    unit="share of the field of view",
    mildest=0.00005,
    typical=0.1,
    strongest=0.7,
    modalities=frozenset({"endoscopy"}),
)
ENDO_BLOOD = Perturbation(
    "endo_blood",
    _endo_blood,
    unit="level above the deepest point, um",
    mildest=1,
    typical=600,
    strongest=6000,
    modalities=frozenset({"endoscopy"}),
)
ENDO_OVEREXPOSURE = Perturbation(
    "endo_overexposure",
    _endo_overexposure,
    unit="stops",
    mildest=0.02,
    typical=3.3,
    strongest=16,
    modalities=frozenset({"endoscopy"}),
)

TYPES = (ENDO_SPECULAR, ENDO_BLOOD, ENDO_OVEREXPOSURE)
