"""Brightness, contrast, gamma and saturation, as Pillow, torchvision and MedMNIST-C change them."""

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from medstress.perturb.protocol import Scene
from medstress.perturb.scales import digital
from medstress.perturb.scales.luma import on_grey_as_colour
from medstress.perturb.scales.protocol import Drawn, Severity
from medstress.pixels import Image

_LEVELS = np.arange(256, dtype=np.float64)


def _looked_up(image: Image, table: npt.NDArray[np.float64]) -> Image:
    return np.asarray(cv2.LUT(image, np.clip(np.rint(table), 0, 255).astype(np.uint8)), dtype=np.uint8)


def _blended(scene: Scene, pivot: int, compat: bool) -> Drawn:
    ramp = Pillow.fromarray(_LEVELS.astype(np.uint8)[None])
    flat = Pillow.new("L", ramp.size, pivot)

    def render(severity: Severity) -> Image:
        if compat:
            table = np.asarray(Pillow.blend(flat, ramp, severity[0]), dtype=np.float64)[0]
        else:
            table = pivot + severity[0] * (_LEVELS - pivot)
        return _looked_up(scene.image, table)

    return Drawn(render)


def brightness(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """The image is blended with black: f * I. Severity: f, above 1 brighter, below 1 darker.

    Quirk: values are cut off instead of rounded, exactly as Pillow's ImageEnhance does.
    """
    return _blended(scene, 0, compat)


def contrast(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """The image is blended with the whole-numbered mean m of its grey version: m + f * (I - m). Severity: f.

    Quirk: values are cut off instead of rounded, exactly as Pillow's ImageEnhance does.
    """
    histogram = Pillow.fromarray(scene.image).convert("L").histogram()
    count = scene.image.shape[0] * scene.image.shape[1]
    mean = sum(level * pixels for level, pixels in enumerate(histogram)) / count
    return _blended(scene, int(mean + 0.5), compat)


def gamma(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Every value is raised to a power: 255 * (I / 255)^g. Severity: g, above 1 darker, below 1 brighter.

    Quirk: values are those of torchvision's table, floor(255.999 * (I / 255)^g), up to a level away.
    """

    def render(severity: Severity) -> Image:
        power = (_LEVELS / 255) ** severity[0]
        return _looked_up(scene.image, np.floor((255 + 1 - 1e-3) * power) if compat else 255 * power)

    return Drawn(render)


def _saturate(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    drawn = digital.saturate(scene, rng, compat)
    return Drawn(lambda severity: drawn.render((1, severity[0])))


def saturate(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """HSV saturation plus c, clipped to 0..1; grey pixels stay grey. Severity: c.

    Quirk: grey has the hue 0, so grey pixels turn reddish; values are cut off instead of rounded.
    """
    if compat and scene.image.ndim == 2:
        return on_grey_as_colour(_saturate, scene, rng)
    return _saturate(scene, rng, compat)
