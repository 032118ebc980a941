"""Blur: out of focus and in motion."""

import math

import cv2
import numpy as np
import numpy.typing as npt
from scipy import fft

from medstress.perturb.protocol import Perturbation, Realisation, Scene
from medstress.pixels import Image, to_uint8


def _gaussian_blur(scene: Scene, rng: np.random.Generator) -> Realisation:
    """The view is unsharp in all directions alike.

    Convolution with exp(-r^2 / (2 sigma^2)) / (2 pi sigma^2); the border is mirrored. With a mirrored border the cosine
    transform turns the convolution into a product with exp(-sigma^2 w^2 / 2), so a rendering costs one inverse
    transform whatever sigma is.

    Source: Martucci, "Symmetric convolution and the discrete sine and cosine transforms", IEEE Transactions on Signal
    Processing, 1994.
    """
    spectrum = fft.dctn(scene.image.astype(np.float32), axes=(0, 1), norm="ortho")
    height, width = scene.image.shape[:2]
    rows = (np.pi * np.arange(height) / height) ** 2
    columns = (np.pi * np.arange(width) / width) ** 2

    def render(sigma: float) -> Image:
        gain = np.outer(np.exp(-(sigma**2) * rows / 2), np.exp(-(sigma**2) * columns / 2)).astype(np.float32)
        gain = gain.reshape(gain.shape + (1,) * (spectrum.ndim - 2))
        blurred = fft.idctn(spectrum * gain, axes=(0, 1), norm="ortho", overwrite_x=True)
        return to_uint8(np.asarray(blurred, dtype=np.float32))

    return Realisation(render)


def line_kernel(length: float, angle: float) -> npt.NDArray[np.float32]:
    """A line of `length` pixels through the centre at `angle` radians, anti-aliased: float32, odd sides, sum 1.

    Symmetric about its centre, so it moves nothing; a length of 1 is (nearly) the identity.
    """
    half = max(length - 1, 0) / 2
    radius = math.ceil(half) + 1
    # Points four to a pixel, each shared between its four neighbours by bilinear weights.
    positions = np.linspace(-half, half, 2 * math.ceil(4 * half) + 1)
    x, y = radius + positions * math.cos(angle), radius + positions * math.sin(angle)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    kernel = np.zeros((2 * radius + 2, 2 * radius + 2))
    for dx in (0, 1):
        for dy in (0, 1):
            weight = np.abs(1 - dx - (x - left)) * np.abs(1 - dy - (y - top))
            np.add.at(kernel, (top + dy, left + dx), weight)
    kernel = kernel[:-1, :-1]
    return np.asarray(kernel / kernel.sum(), dtype=np.float32)


def _motion_blur(scene: Scene, rng: np.random.Generator) -> Realisation:
    """The scene or the camera moves at constant speed while the image is taken.

    I' = mean of I(p + t (cos a, sin a)) over -l / 2 < t < l / 2, with l the length of the path and its angle a drawn
    once; the border is mirrored.

    Source: Gonzalez and Woods, Digital Image Processing, 3rd edition, 2008 (blur by linear motion).
    """
    angle = rng.uniform(0, math.pi)

    def render(length: float) -> Image:
        return np.asarray(cv2.filter2D(scene.image, cv2.CV_8U, line_kernel(length, angle)), dtype=np.uint8)

    return Realisation(render)


GAUSSIAN_BLUR = Perturbation(
    "gaussian_blur", _gaussian_blur, unit="standard deviation, pixels", mildest=0.2, typical=1.5, strongest=30
)
MOTION_BLUR = Perturbation("motion_blur", _motion_blur, unit="length, pixels", mildest=1.05, typical=7, strongest=120)

TYPES = (GAUSSIAN_BLUR, MOTION_BLUR)
