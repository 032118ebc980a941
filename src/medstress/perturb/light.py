"""What lamps and cameras do: where light reaches the sensor, and from stored values to light and back.

Glare and over-exposure add up in light, not in stored values.
"""

import math
from collections.abc import Iterable

import cv2
import numpy as np

from medstress.perturb.planes import Plane, blurred_inside, looked_up, merged
from medstress.pixels import Image, Mask

GAMMA = 2.2
"""A camera stores the light that it measures as light^(1 / GAMMA), so a factor g on light is g^(1 / GAMMA) there."""

_LIGHT = ((np.arange(256) / 255) ** GAMMA).astype(np.float32)
# Light that is stored as 0.
_DARKEST = np.float32(1e-9)
# Darker than this share of the bright parts, and connected to the frame: outside the field of view.
_DARK = 0.08


def light_of(image: Image) -> list[Plane]:
    """The light behind the stored values, one plane a channel, 0..1, 1 for white."""
    return [looked_up(np.asarray(channel), _LIGHT) for channel in cv2.split(image)]


def stored(light: Iterable[Plane]) -> Image:
    """What a camera stores of planes of light, none of it negative; more than 1 is white."""
    channels = []
    for plane in light:
        # 255 * plane^(1 / GAMMA), four times as fast as a power.
        exponent = np.asarray(cv2.log(plane + _DARKEST), dtype=np.float32)
        exponent *= np.float32(1 / GAMMA)
        exponent += np.float32(math.log(255))
        channels.append(np.asarray(cv2.convertScaleAbs(cv2.exp(exponent)), dtype=np.uint8))
    return merged(channels)


def brightest(image: Image) -> Image:
    """The brightest channel of each pixel, uint8 [H, W]."""
    if image.ndim == 2:
        return image
    red, green, blue = cv2.split(image)
    return np.asarray(cv2.max(cv2.max(red, green), blue), dtype=np.uint8)


def field_of_view(image: Image) -> Mask:
    """The pixels [H, W] that a round or cut field of view shows: all but the dark areas that touch the frame.

    All of them where nothing would be left.
    """
    bright = brightest(image)
    dark = (bright <= _DARK * np.percentile(bright[::4, ::4], 98)).astype(np.uint8)
    _, areas = cv2.connectedComponents(dark, connectivity=4)
    frame = np.concatenate([areas[0], areas[-1], areas[:, 0], areas[:, -1]])
    outside = np.zeros(int(areas.max()) + 1, dtype=bool)
    outside[frame] = True
    outside[0] = False
    inside = np.asarray(~outside[areas])
    return inside if inside.any() else np.ones_like(inside)


def lit(image: Image, inside: Mask) -> Plane:
    """How much of the lamp's light the parts of a field of view return, float32 [H, W] in 0..1.

    1 from 30 % of the brightest part, 0 outside: what a lamp adds has to vanish with it.
    """
    [local] = blurred_inside([brightest(image).astype(np.float32)], inside, max(min(image.shape[:2]) / 80, 0.8))
    local *= inside
    return np.asarray(np.minimum(local / np.float32(max(0.3 * float(local.max()), 1)), 1))
