"""Endoscopy: highlights on wet mucosa, blood, and over-exposure near the lamp. Bubbles are in endo_bubbles."""

import math

import cv2
import numpy as np

from medstress.perturb.light import GAMMA, brightest, for_channels, light_of, lit, stored
from medstress.perturb.protocol import Perturbation, Realisation, Scene
from medstress.perturb.relief import CELLS, relief, spread
from medstress.pixels import Image, to_uint8

# Standard deviation of the film's surface, in shorter sides.
_RIPPLE = 0.018
_WET = 0.12


def _endo_specular(scene: Scene, rng: np.random.Generator) -> Realisation:
    """The wet mucosa mirrors the lamp wherever its surface faces it: many small white spots with sharp edges.

    The slope that a point lacks to mirror the lamp is n(x) = slope(x) - c * (x - x0), with a random relief for the
    surface and x0 the place that faces lamp and lens. A pixel is white where |n| / (brightness * wetness) is among the
    lowest share s of all pixels; the edge is one pixel wide. So spots gather where the scene faces the lamp and is
    bright or wet, and grow and join with s.

    Source: Cox and Munk, "Measurement of the roughness of the sea surface from photographs of the sun's glitter",
    Journal of the Optical Society of America, 1954 (mirror facets of a random surface).
    """
    shape = scene.image.shape
    height, width = shape[:2]
    unit = min(height, width)
    surface = relief(rng, shape, _RIPPLE)
    slopes = [np.asarray(slope, dtype=np.float32) * np.float32(CELLS) for slope in np.gradient(surface)]
    at = rng.uniform(0.3, 0.7, 2) * (height - 1, width - 1)
    down, across = spread(slopes[0], shape), spread(slopes[1], shape)
    down -= (np.arange(height, dtype=np.float32)[:, None] - np.float32(at[0])) * np.float32(2 / unit)
    across -= (np.arange(width, dtype=np.float32)[None, :] - np.float32(at[1])) * np.float32(2 / unit)
    reach = 2 * (unit // 16) + 1
    light = np.asarray(cv2.blur(brightest(scene.image), (reach, reach)), dtype=np.float32)
    light = lit(scene.image) * (np.float32(0.1) + light / np.float32(max(float(light.max()), 1))) + np.float32(1e-3)
    wet = np.asarray(cv2.exp(np.float32(0.4) * spread(relief(rng, shape, _WET), shape)), dtype=np.float32)
    slope = np.sqrt(down**2 + across**2) / (light * wet)
    ordered = np.sort(slope, axis=None)
    # How far inside its spot a pixel lies, in pixels, is what its slope lacks to the limit over the slope's own change.
    change = np.hypot(cv2.Sobel(slope, cv2.CV_32F, 1, 0, scale=1 / 8), cv2.Sobel(slope, cv2.CV_32F, 0, 1, scale=1 / 8))
    sharpness = for_channels(1 / np.maximum(cv2.blur(change, (5, 5)), np.float32(1e-6)), scene.image)
    slope = for_channels(slope, scene.image)
    clean = scene.image.astype(np.float32)
    towards_white = 255 - clean

    def render(share: float) -> Image:
        place = share * (len(ordered) - 1)
        low = int(place)
        high = min(low + 1, len(ordered) - 1)
        limit = ordered[low] + (ordered[high] - ordered[low]) * np.float32(place - low)
        cover = limit - slope
        cover *= sharpness
        np.clip(cover, 0, 1, out=cover)
        cover *= towards_white
        cover += clean
        return to_uint8(cover)

    return Realisation(render)


# Absorption of whole blood (150 g haemoglobin a litre, partly oxygenated) in a camera's red, green and blue band, 1/um.
_ABSORPTION = np.array([0.004, 0.025, 0.030], np.float32)
# What a thick layer sends back, relative to the mucosa around it, as stored.
_BACKSCATTER = np.array([0.5, 0.12, 0.12], np.float32)
_GREY_ABSORPTION, _GREY_BACKSCATTER = np.float32(0.018), np.float32(0.28)
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
    colour = scene.image.ndim == 3
    shape = scene.image.shape
    coarse = relief(rng, shape, _POOL)
    fine = relief(rng, shape, _POOL / 3)
    height = spread(coarse, shape) + np.float32(0.25) * spread(fine, shape)
    height = for_channels((height - height.min()) * np.float32(_HEIGHT), scene.image)
    absorption = (_ABSORPTION if colour else _GREY_ABSORPTION) * np.float32(-2 / GAMMA)
    clean = scene.image.astype(np.float32)
    reach = 2 * (min(shape[:2]) // 8) + 1
    thick = np.asarray(cv2.blur(clean, (reach, reach)), dtype=np.float32) * for_channels(lit(scene.image), scene.image)
    thick *= _BACKSCATTER if colour else _GREY_BACKSCATTER
    difference = clean - thick

    def render(level: float) -> Image:
        depth = np.maximum(np.float32(level) - height, 0)
        depth *= absorption
        seen = np.asarray(cv2.exp(depth), dtype=np.float32)
        seen *= difference
        seen += thick
        return to_uint8(seen)

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
    unit = math.sqrt(height * width)
    x, y = rng.uniform(0.3, 0.7, 2) * (width - 1, height - 1)
    across = (np.arange(width, dtype=np.float32)[None, :] - np.float32(x)) / np.float32(0.35 * unit)
    down = (np.arange(height, dtype=np.float32)[:, None] - np.float32(y)) / np.float32(0.35 * unit)
    nearness = np.float32(math.log(2)) / (1 + across**2 + down**2)
    clean = light_of(scene.image)
    cell = max(unit / _BLOOM_CELLS, 1)
    cells = (max(round(width / cell), 1), max(round(height / cell), 1))
    sigma = 0.06 * unit / cell

    def render(stops: float) -> Image:
        gain = np.asarray(cv2.exp(nearness * np.float32(stops)), dtype=np.float32)
        light = clean * for_channels(gain, scene.image)
        excess = cv2.resize(np.maximum(light - 1, 0), cells, interpolation=cv2.INTER_AREA)
        bloom = cv2.resize(cv2.GaussianBlur(excess, (0, 0), sigma), (width, height), interpolation=cv2.INTER_LINEAR)
        return stored(np.asarray(cv2.scaleAdd(bloom, 0.03, light), dtype=np.float32))

    return Realisation(render)


ENDO_SPECULAR = Perturbation(
    "endo_specular",
    _endo_specular,
    unit="share of the area",
    mildest=0.00005,
    typical=0.09,
    strongest=0.9,
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
