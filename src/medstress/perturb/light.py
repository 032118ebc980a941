"""From stored values to light and back, for cameras: glare and over-exposure add up in light, not in stored values."""

import cv2
import numpy as np
import numpy.typing as npt

from medstress.pixels import Image

GAMMA = 2.2
"""A camera stores the light that it measures as light^(1 / GAMMA), so a factor g on light is g^(1 / GAMMA) there."""

_LIGHT = ((np.arange(256) / 255) ** GAMMA).astype(np.float32)


def light_of(image: Image) -> npt.NDArray[np.float32]:
    """The light behind the stored values, float32, same shape, 0..1, 1 for white."""
    return np.asarray(cv2.LUT(image, _LIGHT), dtype=np.float32)


def stored(light: npt.NDArray[np.float32]) -> Image:
    """What a camera stores of light that is not negative, uint8, same shape; more than 1 is white."""
    return np.asarray(cv2.convertScaleAbs(cv2.pow(light, 1 / GAMMA), alpha=255), dtype=np.uint8)


def for_channels(plane: npt.NDArray[np.float32], image: Image) -> npt.NDArray[np.float32]:
    """A plane [H, W] in the shape of the image: repeated for each channel in colour."""
    return plane if image.ndim == 2 else np.asarray(cv2.merge([plane] * image.shape[2]))


def brightest(image: Image) -> npt.NDArray[np.uint8]:
    """The brightest channel of each pixel, uint8 [H, W]."""
    if image.ndim == 2:
        return image
    red, green, blue = cv2.split(image)
    return np.asarray(cv2.max(cv2.max(red, green), blue), dtype=np.uint8)


def lit(image: Image) -> npt.NDArray[np.float32]:
    """Where the scope's field of view is, float32 [H, W] in 0..1: 0 where all is black around, 1 from 30 % of the most.

    What a lamp adds has to vanish with it: no light comes from behind the field stop.
    """
    reach = 2 * (min(image.shape[:2]) // 48) + 1
    local = np.asarray(cv2.blur(brightest(image), (reach, reach)), dtype=np.float32)
    return np.asarray(np.minimum(local / np.float32(max(0.3 * float(local.max()), 1)), 1))
