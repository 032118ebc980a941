"""The dermoscopy types of MedFM-Robust: vignette, light reflection and hair. They grow with the level alone."""

import math

import cv2
import numpy as np
import numpy.typing as npt

from medstress.perturb.light import GAMMA
from medstress.perturb.planes import split
from medstress.perturb.protocol import Scene
from medstress.perturb.scales.medfm_study import bell, clip_channels, from_centre, ours, saved
from medstress.perturb.scales.protocol import Drawn, Severity
from medstress.pixels import Image

# What makes our glare change an image, on the mean over places, as much as the study's spot does.
_LUMINANCE = 6.7
# Hairs that are drawn, for a tenfold multiplier on the largest published count; points of each; their least length.
_MOST_HAIRS, _POINTS, _SHORTEST = 150, 100, 50


def _stops_in_corner(severity: Severity) -> float:
    left = max(1 - math.sqrt(2) * severity[0], 0.01)
    return -GAMMA * math.log2(left)


def vignette(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Light falls with the distance d from the middle: I * (1 - a * d / (shorter side / 2)). Severity: a.

    By default our vignette, at the stops of light that make the corner of a square image as dark: stored values are
    light^(1/2.2), so -2.2 * log2(1 - 1.414 a).
    Quirk: the stretch of saving alone.
    """
    if not compat:
        return ours("vignette", scene, rng, _stops_in_corner)
    height, width = scene.image.shape[:2]
    clean, distance = split(scene.image), from_centre(height, width) / np.float32(min(height, width) / 2)
    return Drawn(lambda severity: saved(clean * np.clip(1 - np.float32(severity[0]) * distance, 0, 1)))


def light_reflection(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """One soft bright spot in the middle half of the image: adds a * max * exp(-r^2 / (2 sigma^2)).

    Severity: a, and the shorter side over sigma. By default our light_reflection with a luminance of 6.7 a^2, which
    changes a dermoscopic image by as much on the mean.
    Quirk: values are clipped to each channel's range.
    """
    if not compat:
        return ours("light_reflection", scene, rng, lambda severity: _LUMINANCE * severity[0] ** 2)
    height, width = scene.image.shape[:2]
    clean = split(scene.image)
    brightest = clean.max(axis=(1, 2), keepdims=True)
    across, down = rng.uniform(0.25, 0.75, 2)

    def render(severity: Severity) -> Image:
        amount, share = severity
        spot = bell(height, width, across * width, down * height, min(height, width) / max(share, 1))
        return saved(clip_channels(clean + np.float32(amount) * brightest * spot, clean))

    return Drawn(render)


def _curves(rng: np.random.Generator, height: int, width: int) -> npt.NDArray[np.int32]:
    """Hairs as points of cubic Bezier curves, whole pixels [hairs, points, 2], x and y."""
    half = min(height, width) / 2
    start = rng.uniform(0, 1, (_MOST_HAIRS, 1, 2)) * (width, height)
    angle = rng.uniform(0, math.pi, _MOST_HAIRS)
    length = rng.uniform(_SHORTEST if half > _SHORTEST else half / 2, half, _MOST_HAIRS)[:, None, None]
    bend = rng.uniform(0.1, 0.4, _MOST_HAIRS)[:, None, None] * length
    forward = np.stack([np.cos(angle), np.sin(angle)], axis=1)[:, None]
    aside = np.stack([-np.sin(angle), np.cos(angle)], axis=1)[:, None]
    t = np.linspace(0, 1, _POINTS)[None, :, None]
    # With control points at thirds of the length, the way along it is t itself.
    points = start + t * length * forward + 3 * t * (1 - t) * bend * aside
    return np.asarray(np.rint(points), dtype=np.int32)


def _hair_cover(curves: npt.NDArray[np.int32], thickness: int, height: int, width: int) -> npt.NDArray[np.float32]:
    cover = np.zeros((height, width), np.uint8)
    taper = 1 - 0.5 * np.abs(2 * np.linspace(0, 1, _POINTS) - 1)
    widths = np.maximum(np.rint(thickness * taper), 1).astype(int).tolist()
    for curve in curves.tolist():
        for begin, end, wide in zip(curve, curve[1:], widths, strict=False):
            cv2.line(cover, begin, end, 255, wide)
    return np.asarray(cv2.GaussianBlur(cover, (3, 3), 0), dtype=np.float32) / np.float32(255)


def hair(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Dark curved hairs lie over the skin. Severity: their number and thickness in pixels. By default our hair.

    Quirk: hairs end everywhere in the image, are 50 pixels to half the shorter side long (half of the latter at least
    where the image is too small for that, where the study fails), and have a fifth of the image's least grey level.
    """
    if not compat:
        return ours("hair", scene, rng, lambda severity: severity[0])
    height, width = scene.image.shape[:2]
    clean, curves = split(scene.image), _curves(rng, height, width)
    dark = np.float32(0.2) * clean.min(axis=(1, 2), keepdims=True)

    def render(severity: Severity) -> Image:
        number, thickness = (int(value) for value in severity)
        cover = _hair_cover(curves[:number], max(1, thickness), height, width)
        return saved(clean + cover * (dark - clean))

    return Drawn(render)
