"""Brightness, contrast, saturation, pixels and JPEG of the published scales."""

import io

import cv2
import numpy as np
from PIL import Image as Pillow

from medstress.perturb.colour import hsv_saturation, hsv_value
from medstress.perturb.protocol import Scene
from medstress.perturb.scales.protocol import Drawn, Severity
from medstress.perturb.scales.stored import stored
from medstress.pixels import Image


def brightness(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """The value of hue, saturation and value grows by an offset; on grey images the grey level.

    Severity: the offset, of 0..1.
    Quirk: values are cut off instead of rounded.
    """

    def render(severity: Severity) -> Image:
        if scene.image.ndim == 3:
            return stored(hsv_value(scene.image, 1, severity[0]), compat)
        levels = np.arange(256, dtype=np.float32) + np.float32(severity[0] * 255)
        return np.asarray(cv2.LUT(scene.image, stored(levels, compat)), dtype=np.uint8)

    return Drawn(render)


def contrast(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Differences from each channel's mean shrink: mean + factor * (I - mean). Severity: the factor.

    Quirk: values are cut off instead of rounded.
    """
    means = np.array(cv2.mean(scene.image)[: scene.image.shape[2] if scene.image.ndim == 3 else 1])

    def render(severity: Severity) -> Image:
        levels = means + severity[0] * (np.arange(256)[:, None] - means)
        return np.asarray(cv2.LUT(scene.image, stored(levels.astype(np.float32)[None], compat)), dtype=np.uint8)

    return Drawn(render)


def saturate(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """The saturation S of hue, saturation and value becomes factor * S + offset. Severity: factor, offset.

    Pixels without colour have no hue to show and stay as they are, and so do grey images.
    Quirk: pixels without colour turn red by the offset; values are cut off instead of rounded.
    """

    def render(severity: Severity) -> Image:
        factor, offset = severity
        if scene.image.ndim == 2:
            return scene.image.copy()
        vivid = stored(hsv_saturation(scene.image, factor, offset), compat)
        if offset > 0 and not compat:
            red, green, blue = cv2.split(scene.image)
            grey = (red == green) & (green == blue)
            vivid[grey] = scene.image[grey]
        return vivid

    return Drawn(render)


def _pixelated(scene: Scene, up: Pillow.Resampling) -> Drawn:
    picture = Pillow.fromarray(scene.image)
    width, height = picture.size

    def render(severity: Severity) -> Image:
        small = max(1, int(width * severity[0])), max(1, int(height * severity[0]))
        return np.array(picture.resize(small, Pillow.Resampling.BOX).resize((width, height), up))

    return Drawn(render)


def pixelate(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Averaged down to a share of the size and back up, both with Pillow's box filter. Severity: the share of the side.

    Quirk: none that changes pixels.
    """
    return _pixelated(scene, Pillow.Resampling.BOX)


def pixelate_nearest(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Averaged down to a share of the size and back up, both with Pillow's box filter. Severity: the share of the side.

    Quirk: the way up takes the nearest pixel.
    """
    return _pixelated(scene, Pillow.Resampling.NEAREST if compat else Pillow.Resampling.BOX)


def jpeg(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Written and read as a baseline JPEG by Pillow (libjpeg, colour 4:2:0). Severity: quality, a whole number, 1..100.

    Quirk: none that changes pixels.
    """
    picture = Pillow.fromarray(scene.image)

    def render(severity: Severity) -> Image:
        data = io.BytesIO()
        picture.save(data, "JPEG", quality=min(max(round(severity[0]), 1), 100))
        with Pillow.open(data) as decoded:
            return np.array(decoded)

    return Drawn(render)
