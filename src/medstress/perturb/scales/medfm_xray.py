"""The X-ray types of MedFM-Robust, and its window: from its generator for models of vision and language.

That generator stretches all channels together when it saves.
"""

import math

import numpy as np
from scipy import ndimage

from medstress.perturb.planes import split
from medstress.perturb.protocol import Scene
from medstress.perturb.scales.medfm_study import ours, saved
from medstress.perturb.scales.protocol import Drawn, Severity
from medstress.pixels import Image

_SPREAD = 30.0
_DARKEST, _NARROWEST = 2.0**-12, 0.025


def scatter(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """A blurred copy is added: I + p * Gauss(I), sigma 30 pixels. Severity: p.

    By default our xray_scatter with p as the scatter-to-primary ratio.
    Quirk: the filter also runs across the channels, so that colours scatter grey; clipped to the range of the image.
    """
    if not compat:
        return ours("xray_scatter", scene, rng, lambda severity: severity[0])
    clean = split(scene.image)
    veil = np.asarray(ndimage.gaussian_filter(clean, _SPREAD if len(clean) > 1 else (0, _SPREAD, _SPREAD)))
    low, high = clean.min(), clean.max()
    return Drawn(lambda severity: saved(np.clip(clean + np.float32(severity[0]) * veil, low, high), together=True))


def underexposure(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """All values times a gain below 1. Severity: the gain. By default our xray_underexposure, by -log2(gain) stops.

    Quirk: saving takes the gain back, so nothing happens.
    """
    if not compat:
        return ours("xray_underexposure", scene, rng, lambda severity: -math.log2(max(severity[0], _DARKEST)))
    clean = split(scene.image)
    return Drawn(lambda severity: saved(clean * np.float32(severity[0]), together=True))


def overexposure(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """All values times a gain above 1. Severity: the gain. By default our xray_overexposure, by log2(gain) stops.

    Quirk: clipped to the range of the image; radiographs get whiter, where more exposure makes a film blacker.
    """
    if not compat:
        return ours("xray_overexposure", scene, rng, lambda severity: math.log2(severity[0]))
    clean = split(scene.image)
    low, high = clean.min(), clean.max()
    return Drawn(lambda severity: saved(np.clip(clean * np.float32(severity[0]), low, high), together=True))


def grid(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Lines of the anti-scatter grid: every fourth row times 1 - p. Severity: p. By default our xray_grid of depth p.

    Quirk: the lines are four pixels apart and one wide in every image.
    """
    if not compat:
        return ours("xray_grid", scene, rng, lambda severity: severity[0])
    clean = split(scene.image)

    def render(severity: Severity) -> Image:
        lined = clean.copy()
        lined[:, ::4] *= np.float32(max(1 - severity[0], 0))
        return saved(lined, together=True)

    return Drawn(render)


def window_level(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """The window's centre moves by up to p of its width, which shrinks to 1 - p / 2. Severity: p. By default our own.

    Quirk: the window is the range of the image, of grey levels even where intensities are known; the move is uniform
    from -p to p, so that a level only bounds it.
    """
    if not compat:
        return ours("window_level", scene, rng, lambda severity: severity[0])
    clean, share = split(scene.image), rng.uniform(-1, 1)
    low, high = clean.min(), clean.max()
    spread = high - low

    def render(severity: Severity) -> Image:
        p = severity[0]
        middle = (low + high) / 2 + np.float32(share * p) * spread
        values = (clean - middle) / np.float32(max(1 - p / 2, _NARROWEST)) + (low + high) / 2
        return saved(np.clip(values, low, high), together=True)

    return Drawn(render)
