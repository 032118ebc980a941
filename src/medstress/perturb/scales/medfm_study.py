"""What the types of MedFM-Robust share: how its generators place and save things, and which type of ours answers.

Images of the study are floats in 0..255, 256 pixels wide and high.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from medstress.perturb.planes import Planes
from medstress.perturb.protocol import Scene
from medstress.perturb.registry import PERTURBATIONS
from medstress.perturb.scales.protocol import Drawn, Severity
from medstress.perturb.scales.stored import stored_planes
from medstress.pixels import Image

Floats = npt.NDArray[np.float32]

NOMINAL_SIDE = 256
"""Side of the study's images: a length in pixels is this many times a share of the side."""

_SEED = 42


def ours(name: str, scene: Scene, rng: np.random.Generator, strength: Callable[[Severity], float]) -> Drawn:
    """Our own type `name`, at the strength in its own unit that `strength` makes of a severity, inside its range."""
    kind = PERTURBATIONS[name]
    realisation = kind.realise(scene, rng)
    warp = realisation.warp
    return Drawn(
        lambda severity: realisation.render(kind.round(strength(severity))),
        None if warp is None else lambda severity: warp(kind.round(strength(severity))),
    )


def saved(values: Planes, together: bool = False) -> Image:
    """Planes in any range as the study saves them: stretched from their least to their largest value to 0..255.

    Each channel for itself, or all of them `together`; values are cut off instead of rounded. What is constant keeps
    its value. Overwrites the planes.
    """
    for part in (values,) if together else values:
        _stretch(part)
    return stored_planes(values, True)


def _stretch(values: Floats) -> None:
    low, high = values.min(), values.max()
    if high > low:
        values -= low
        values /= high - low
        values *= 255


def clip_channels(values: Planes, clean: Planes) -> Planes:
    """Every plane clipped to the range of the clean one. Overwrites the values."""
    low, high = clean.min(axis=(1, 2), keepdims=True), clean.max(axis=(1, 2), keepdims=True)
    return np.clip(values, low, high, out=values)


def fixed_places(severity: Severity, step: int) -> np.random.RandomState:
    """The study's generator for a type, which knows only the level (a severity's last entry), not the image.

    Every draw is the same for all images of a size. `step` is the study's own constant for the type.
    """
    return np.random.RandomState(_SEED + round(severity[-1]) * step)


def from_centre(height: int, width: int) -> Floats:
    """Distance of each pixel from the middle of the image, in pixels: float32 [height, width]."""
    down, across = np.arange(height) - height / 2, np.arange(width) - width / 2
    return np.asarray(np.hypot(down[:, None], across), dtype=np.float32)


def bell(height: int, width: int, x: float, y: float, sigma: float) -> Floats:
    """A Gaussian about x, y, float32 [height, width], 1 at its middle."""
    down = np.exp(-((np.arange(height) - y) ** 2) / (2 * sigma**2))
    across = np.exp(-((np.arange(width) - x) ** 2) / (2 * sigma**2))
    return np.asarray(np.outer(down, across), dtype=np.float32)
