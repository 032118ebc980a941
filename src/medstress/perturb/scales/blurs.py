"""Blur of the published scales: Gaussian, glass, out of focus, motion and zoom."""

import cv2
import numpy as np
import numpy.typing as npt

from medstress.perturb.optics import disk_kernel, glass_offsets, glass_shuffle, line_taps, zoom_image
from medstress.perturb.protocol import Scene
from medstress.perturb.scales.protocol import Drawn, Severity
from medstress.perturb.scales.stored import stored
from medstress.pixels import Image
from medstress.seeds import generator

Floats = npt.NDArray[np.float32]


def smoothed(image: npt.NDArray[np.uint8 | np.float32], sigma: float) -> Floats:
    """Convolution with a Gaussian cut at 4 sigma, edges repeated: float32, the shape of the image.

    image: uint8 or float32 [H, W] or [H, W, 3]. sigma: in pixels; 0 leaves the image as it is.
    """
    reach = int(4 * sigma + 0.5)
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2)) if reach else np.ones(1)
    kernel = (weights / weights.sum()).astype(np.float32)
    return np.asarray(cv2.sepFilter2D(image, cv2.CV_32F, kernel, kernel, borderType=cv2.BORDER_REPLICATE))


def gaussian_blur(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Convolution with a Gaussian cut at 4 sigma; edges are repeated. Severity: sigma in pixels.

    Quirk: values are cut off instead of rounded.
    """
    return Drawn(lambda severity: stored(smoothed(scene.image, severity[0]), compat))


def _symmetric_offsets(
    height: int, width: int, shift: int, passes: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    offsets = np.zeros((passes, height, width, 2), np.int64)
    inside = offsets[:, shift : height - shift, shift : width - shift]
    inside[:] = rng.integers(-shift, shift + 1, inside.shape, np.int8)
    return offsets


def glass_blur(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Ground glass: blurred, neighbours exchanged at random, blurred again.

    Scans from the last pixel to the first exchange each pixel with one that lies up to `shift` away in x and y.
    Severity: sigma of both Gaussian blurs in pixels, shift in pixels, number of scans.
    Quirk: the exchange is none, since it copies the neighbour and loses what was there; offsets are -shift to
    shift - 1, so the scene drifts; values are cut off instead of rounded.
    """
    height, width = scene.image.shape[:2]
    seed = int(rng.integers(1 << 63))

    def render(severity: Severity) -> Image:
        sigma, shift, passes = severity[0], round(severity[1]), round(severity[2])
        offsets = (glass_offsets if compat else _symmetric_offsets)(height, width, shift, passes, generator(seed))
        blurred = stored(smoothed(scene.image, sigma), compat)
        return stored(smoothed(glass_shuffle(blurred, offsets, not compat), sigma), compat)

    return Drawn(render)


def defocus_blur(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Convolution with a disk, softened by a small Gaussian. Severity: radius, sigma of the softening, in pixels.

    Quirk: the disk is mirrored where it touches the edge of its grid, which brightens by up to a hundredth; values are
    cut off instead of rounded.
    """
    clean = scene.image.astype(np.float32)

    def render(severity: Severity) -> Image:
        radius, alias_sigma = severity
        return stored(np.asarray(cv2.filter2D(clean, -1, disk_kernel(radius, alias_sigma, compat))), compat)

    return Drawn(render)


def motion_blur(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """ImageMagick's motion blur: a one-sided Gaussian line at an angle from -45 to 45 degrees, drawn once.

    Severity: radius and sigma of the line in pixels.
    Quirk: values are cut off instead of rounded.
    """
    degrees = rng.uniform(-45, 45)
    clean = scene.image.astype(np.float32)

    def render(severity: Severity) -> Image:
        radius, sigma = severity
        kernel, anchor = line_taps(radius, sigma, degrees)
        blurred = cv2.filter2D(clean, -1, kernel, anchor=anchor, borderType=cv2.BORDER_REPLICATE)
        return stored(np.asarray(blurred), compat)

    return Drawn(render)


def zoom_factors(end: float, step: float) -> list[float]:
    """The enlargements of a zoom blur: from 1 in steps, without `end`, counted and rounded as numpy.arange does."""
    return [float(factor) for factor in np.arange(1, end, step)]


def _zoom_blur(scene: Scene, centred: bool, compat: bool) -> Drawn:
    clean = scene.image.astype(np.float32)

    def render(severity: Severity) -> Image:
        factors = zoom_factors(*severity)
        total = clean.copy()
        for factor in factors:
            total += zoom_image(clean, factor, centred)
        total /= len(factors) + 1
        return stored(total, compat)

    return Drawn(render)


def zoom_blur(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """The mean of the image and of its enlargements about the centre. Severity: end of the factors (not reached), step.

    Quirk: values are cut off instead of rounded.
    """
    return _zoom_blur(scene, True, compat)


def zoom_blur_trimmed(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """The mean of the image and of its enlargements about the centre. Severity: end of the factors (not reached), step.

    Quirk: enlargements are trimmed below and on the right only, so the scene drifts to the top left; values are cut off
    instead of rounded.
    """
    return _zoom_blur(scene, not compat, compat)
