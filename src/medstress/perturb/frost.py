"""Frost on the window: feathers of ice, generated."""

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from medstress.perturb.protocol import Perturbation, Realisation, Scene
from medstress.perturb.weather import as_planes, deviation, veiled
from medstress.pixels import Image, to_uint8
from medstress.seeds import generator, seed_of

Floats = npt.NDArray[np.float32]

# A pane is drawn once a process; every image shows another part of one of the panes.
_PANES = 3
_PANE_SIDE = 1024
# Ice branches at 60 degrees, the angle of its hexagonal lattice.
_BRANCHING = math.pi / 3
# Colours of clear glass, of thin and of thick ice, RGB.
_COLOURS = ((8, 14, 24), (112, 136, 164), (240, 246, 252))
# Light that ice scatters to the lens, RGB.
_SCATTERED = (226, 236, 247)


@dataclass(frozen=True)
class _Lines:
    """Straight lines in a pane: feet [n, 2] and lengths [n] in pixels, headings [n] in radians; float32."""

    feet: Floats
    headings: Floats
    lengths: Floats


def _branches(stems: _Lines, gap: float, share: float, rng: np.random.Generator) -> _Lines:
    """Side branches on both sides of the stems, about one in `gap` pixels.

    About `share` as long as what is left of the stem, so that a feather is broad at its foot.
    """
    counts = np.maximum((2 * stems.lengths / gap).astype(int), 1)
    stem = np.repeat(np.arange(len(counts)), counts)
    scatter = rng.random((4, len(stem)), dtype=np.float32)
    along = scatter[0] * stems.lengths[stem]
    heading = stems.headings[stem]
    feet = stems.feet[stem] + along[:, None] * np.stack([np.cos(heading), np.sin(heading)], axis=1)
    side = np.where(scatter[1] < 0.5, -1, 1).astype(np.float32)
    lengths = (stems.lengths[stem] - along) * (np.float32(2 * share) * scatter[2])
    return _Lines(feet, heading + side * np.float32(_BRANCHING) * (0.85 + 0.3 * scatter[3]), lengths)


def _draw(canvas: Image, lines: _Lines, brightness: int) -> None:
    """Anti-aliased, in 1/16 pixel."""
    tips = lines.feet + lines.lengths[:, None] * np.stack([np.cos(lines.headings), np.sin(lines.headings)], axis=1)
    ends = np.rint(np.stack([lines.feet, tips], axis=1) * 16).astype(np.int32)
    cv2.polylines(canvas, list(ends), False, brightness, 1, cv2.LINE_AA, 4)


def _smooth_noise(sigma: float, rng: np.random.Generator) -> Floats:
    """Normal noise [side, side] with a mean of 0 and a deviation of 1, smooth over `sigma` pixels."""
    # Drawn as coarse as its smoothness allows.
    coarse = max(int(sigma / 3), 1)
    side = _PANE_SIDE // coarse + 1
    noise = cv2.GaussianBlur(rng.standard_normal((side, side), dtype=np.float32), (0, 0), sigma / coarse)
    fine = np.asarray(cv2.resize(noise, (_PANE_SIDE, _PANE_SIDE), interpolation=cv2.INTER_CUBIC), dtype=np.float32)
    fine /= np.float32(deviation(fine))
    return fine


def _feathers(count: int, length: float, rng: np.random.Generator) -> Floats:
    """One layer of ice feathers, stems of about `length` pixels: float32 [side, side]."""
    scatter = rng.random((4, count), dtype=np.float32)
    stems = _Lines(
        (scatter[:2].T * 1.2 - 0.1) * np.float32(_PANE_SIDE),
        scatter[2] * np.float32(2 * math.pi),
        np.float32(length) * (0.5 + scatter[3]),
    )
    canvas = np.zeros((_PANE_SIDE, _PANE_SIDE), np.uint8)
    barbs = _branches(stems, 5, 0.2, rng)
    _draw(canvas, _branches(barbs, 5, 0.3, rng), 110)
    _draw(canvas, barbs, 170)
    _draw(canvas, stems, 255)
    # Feathers bend.
    x, y = np.meshgrid(np.arange(_PANE_SIDE, dtype=np.float32), np.arange(_PANE_SIDE, dtype=np.float32))
    for sigma, reach in ((90, 30), (16, 1.5)):
        x += np.float32(reach) * _smooth_noise(sigma, rng)
        y += np.float32(reach) * _smooth_noise(sigma, rng)
    bent = cv2.remap(canvas, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT).astype(np.float32)
    return np.asarray(bent + 1.2 * cv2.GaussianBlur(bent, (0, 0), 5), dtype=np.float32)


@lru_cache(maxsize=_PANES)
def _pane(index: int) -> Image:
    """How thick the ice is, uint8 [side, side]."""
    rng = generator(seed_of("frost pane", str(index)))
    thickness = np.maximum(_feathers(28, 420, rng), _feathers(110, 170, rng))
    thickness *= 1 + np.float32(0.2) * _smooth_noise(45, rng)
    thickness += 14 * _smooth_noise(0.9, rng) + 20 * _smooth_noise(6, rng)
    thickness += np.float32(35)
    thickness *= np.float32(255 / np.quantile(thickness, 0.995))
    return to_uint8(thickness)


def _part(height: int, width: int, rng: np.random.Generator) -> Image:
    """A random part, turned by a random angle, of a pane: uint8 [height, width]. Crystals grow with the image."""
    pane = _pane(int(rng.integers(_PANES)))
    step = rng.uniform(0.35, 0.6) * _PANE_SIDE / max(height, width)
    angle = rng.uniform(0, 2 * math.pi)
    cos, sin = step * math.cos(angle), step * math.sin(angle)
    at = rng.uniform(0, _PANE_SIDE, 2)
    x, y = (width - 1) / 2, (height - 1) / 2
    matrix = np.array([[cos, -sin, at[0] - cos * x + sin * y], [sin, cos, at[1] - sin * x - cos * y]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    part = cv2.warpAffine(pane, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(part, dtype=np.uint8)


def frost_texture(height: int, width: int, rng: np.random.Generator) -> Floats:
    """A picture of an icy window before the dark, float32 [height, width, 3] RGB in 0..255.

    Feathers of ice that branch at 60 degrees; another part of one of a few generated panes for each draw.
    """
    stops = np.linspace(0, 255, len(_COLOURS))
    colours = np.stack([np.interp(np.arange(256), stops, channel) for channel in zip(*_COLOURS, strict=True)], axis=1)
    return np.take(colours.astype(np.float32), _part(height, width, rng), axis=0)


def _frost(scene: Scene, rng: np.random.Generator) -> Realisation:
    """Feathers of ice grow on the window in front of the lens and thicken until nothing is seen through them.

    I * exp(-s * d) + (0.7 + 0.3 * d) * L * (1 - exp(-s * d)): d in 0..1 is the thickness of the ice, drawn once, s the
    optical depth where it is thickest, and L the bluish white light that thick ice scatters.

    Source: absorption as in Beer's law (Born and Wolf, Principles of Optics, 1959); the idea of frost as a corruption
    is of Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations",
    ICLR 2019.
    """
    height, width = scene.image.shape[:2]
    thickness = _part(height, width, rng).astype(np.float32) / np.float32(255)
    glow = (np.float32(0.7) + np.float32(0.3) * thickness) * as_planes(_SCATTERED, scene.image)
    return veiled(scene.image, thickness, glow)


FROST = Perturbation(
    "frost", _frost, unit="optical depth of the thickest ice", mildest=0.002, typical=0.4, strongest=60
)

TYPES = (FROST,)
