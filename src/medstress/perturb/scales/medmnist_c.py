"""MedMNIST-C: 21 corruptions, of which each of 12 data sets has some, 131 pairs in all, at five levels.

Its lengths are meant for images of 224 pixels. Here they grow with the shorter side, except with `compat`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from medstress.names import TypeName
from medstress.perturb.optics import disk_kernel
from medstress.perturb.protocol import Scene
from medstress.perturb.scales import blurs, digital, enhance, marks, multipliers, pixel_noise
from medstress.perturb.scales.luma import on_grey_as_colour
from medstress.perturb.scales.medmnist_c_values import PUBLISHED_BLACK_CORNER, PUBLISHED_INK_SIDES, SEVERITIES
from medstress.perturb.scales.protocol import Drawn, Published, Scale, Severity, elementwise
from medstress.perturb.scales.stored import stored
from medstress.pixels import Image, to_uint8

Realise = Callable[[Scene, np.random.Generator, bool], Drawn]

_NO_TAP = 1e-9


def gaussian_noise(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Every value gets a normal number with standard deviation sigma. Severity: sigma, of intensities in 0..1.

    Quirk: grey images get three channels of noise that are averaged to luma, which leaves .67 of sigma; values are cut
    off instead of rounded.
    """
    return _noisy(pixel_noise.gaussian_noise, scene, rng, compat)


def speckle(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Every value is multiplied by a normal number about 1 with standard deviation sigma. Severity: sigma.

    Quirk: grey images get three channels of noise that are averaged to luma, which leaves .67 of sigma; values are cut
    off instead of rounded.
    """
    return _noisy(pixel_noise.speckle, scene, rng, compat)


def impulse_noise(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """A share of the values turns black or white, half of them each; channels on their own. Severity: the share.

    Quirk: grey images get three channels of impulses that are averaged to luma, so that few are black or white and
    three times as many pixels are hit.
    """
    return _noisy(pixel_noise.impulse_noise, scene, rng, compat)


def shot_noise(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Photons are counted: Poisson(lambda * I) / lambda. Severity: lambda, the mean count of a white pixel.

    Quirk: grey images get three channels of noise that are averaged to luma, as if lambda were 2.2 times as large;
    values are cut off instead of rounded.
    """
    return _noisy(pixel_noise.shot_noise, scene, rng, compat)


def _noisy(realise: Realise, scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    if compat and scene.image.ndim == 2:
        return on_grey_as_colour(realise, scene, rng)
    return realise(scene, rng, compat)


def shrunk(kernel: npt.NDArray[np.float32], factor: float) -> npt.NDArray[np.float32]:
    """A square kernel smaller by `factor` <= 1 about its centre, taps shared by the nearest four, without empty rim.

    float32, odd sides, with the sum of the kernel.
    """
    half = kernel.shape[0] // 2
    # Taps too small to matter are denormal numbers in part, on which a convolution takes ten times as long.
    rows, columns = np.nonzero(kernel > _NO_TAP)
    rows, columns = rows - half, columns - half
    reach = int(np.ceil(max(np.abs(rows).max(), np.abs(columns).max()) * factor))
    y, x = rows * factor + reach, columns * factor + reach
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    # One more row and column for the neighbours of taps on the rim, whose weight is 0.
    small = np.zeros((2 * reach + 2, 2 * reach + 2))
    for down in (0, 1):
        for right in (0, 1):
            weight = np.abs(1 - down - (y - top)) * np.abs(1 - right - (x - left))
            np.add.at(small, (top + down, left + right), weight * kernel[rows + half, columns + half])
    return small[:-1, :-1].astype(np.float32)


def defocus_blur(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Convolution with a disk, softened by a small Gaussian. Severity: radius, sigma of the softening, in pixels.

    Quirk: the disk does not grow with the image, and is mirrored where it touches the edge of its grid; values are cut
    off instead of rounded.
    """
    pixel = marks.unit(scene, compat)
    clean = scene.image.astype(np.float32)

    def render(severity: Severity) -> Image:
        radius, softening = severity
        kernel = shrunk(disk_kernel(radius * max(pixel, 1), softening, compat), min(pixel, 1))
        return stored(np.asarray(cv2.filter2D(clean, -1, kernel), dtype=np.float32), compat)

    return Drawn(render)


def motion_blur(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """ImageMagick's motion blur: a one-sided Gaussian line at an angle from -45 to 45 degrees, drawn once.

    Severity: radius and sigma of the line in pixels.
    Quirk: the line does not grow with the image; values are cut off instead of rounded.
    """
    pixel = marks.unit(scene, compat)
    drawn = blurs.motion_blur(scene, rng, compat)
    return Drawn(lambda severity: drawn.render(elementwise(severity, pixel)))


def gaussian_blur(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Convolution with a Gaussian cut off at k pixels, sigma = .15 k + .35, as torchvision has it; border mirrored.

    Severity: k, an odd number.
    Quirk: the Gaussian does not grow with the image.
    """
    pixel = marks.unit(scene, compat)

    def render(severity: Severity) -> Image:
        size = severity[0]
        half = max(1, round((size - 1) / 2 * pixel))
        taps = cv2.getGaussianKernel(2 * half + 1, (0.15 * size + 0.35) * pixel, cv2.CV_32F)
        blurred = cv2.sepFilter2D(scene.image, cv2.CV_32F, taps, taps, borderType=cv2.BORDER_REFLECT_101)
        return to_uint8(np.asarray(blurred, dtype=np.float32))

    return Drawn(render)


@dataclass(frozen=True)
class _Kind:
    """What the data sets share of a corruption."""

    name: TypeName
    realise: Realise
    parameters: tuple[str, ...]
    multiplied: Callable[[Severity, float], Severity] = elementwise


_PIXELS = "pixels at a side of 224"
_FACTOR = ("factor",)

_KINDS: dict[str, _Kind] = {
    "pixelate": _Kind("pixelate", digital.pixelate, ("share of the side",), multipliers.scale),
    "jpeg_compression": _Kind("jpeg", digital.jpeg, ("quality",), multipliers.quality),
    "gaussian_noise": _Kind("gaussian_noise", gaussian_noise, ("standard deviation, of 0..1",)),
    "speckle_noise": _Kind("speckle", speckle, ("standard deviation of the gain",)),
    "impulse_noise": _Kind("impulse_noise", impulse_noise, ("share of the values",), multipliers.share),
    "shot_noise": _Kind("shot_noise", shot_noise, ("photons of a white pixel",), multipliers.inverse),
    "defocus_blur": _Kind("defocus_blur", defocus_blur, (f"radius, {_PIXELS}", "softening, pixels")),
    "motion_blur": _Kind("motion_blur", motion_blur, (f"radius, {_PIXELS}", f"standard deviation, {_PIXELS}")),
    "zoom_blur": _Kind("zoom_blur", blurs.zoom_blur, ("end of the zoom factors", "step"), multipliers.zoom),
    "gaussian_blur": _Kind("gaussian_blur", gaussian_blur, (f"size of the kernel, {_PIXELS}",), multipliers.counts),
    "brightness_up": _Kind("brightness_up", enhance.brightness, _FACTOR, multipliers.gain),
    "brightness_down": _Kind("brightness_down", enhance.brightness, _FACTOR, multipliers.gain),
    "contrast_up": _Kind("contrast_up", enhance.contrast, _FACTOR, multipliers.gain),
    "contrast_down": _Kind("contrast_down", enhance.contrast, _FACTOR, multipliers.gain),
    "gamma_corr_up": _Kind("gamma_up", enhance.gamma, ("exponent",), multipliers.gain),
    "gamma_corr_down": _Kind("gamma_down", enhance.gamma, ("exponent",), multipliers.gain),
    "saturate": _Kind("saturate", enhance.saturate, ("added saturation, of 0..1",)),
    "stain_deposit": _Kind(
        "stain_deposit", marks.stain_deposit, ("most drops", f"side, {_PIXELS}"), multipliers.first_count
    ),
    "bubble": _Kind("bubble", marks.bubble, (f"largest radius, {_PIXELS}", "most bubbles"), multipliers.counts),
    "black_corner": _Kind("black_corner", marks.black_corner, ("share of the shorter side",), multipliers.inverse),
    "characters": _Kind(
        "characters", marks.characters, ("most words", "most letters", "largest font size"), multipliers.first_count
    ),
}


def _published(original: str, severities: tuple[Severity, ...]) -> Published:
    kind = _KINDS[original]
    published = Published(kind.name, original, kind.realise, severities, kind.parameters, kind.multiplied)
    if original == "stain_deposit":
        sides = zip(severities, PUBLISHED_INK_SIDES, strict=True)
        return replace(published, as_published=tuple((most, float(side)) for (most, _), side in sides))
    if original == "black_corner":
        return replace(published, as_published=PUBLISHED_BLACK_CORNER)
    return published


def _by_name(corruptions: list[Published]) -> dict[str, Published]:
    return {published.name: published for published in corruptions}


SCALE = Scale(
    "medmnist_c",
    source="Di Salvo, Doerrich and Ledig, MedMNIST-C: Comprehensive benchmark and improved classifier robustness by "
    "simulating realistic image corruptions, 2024",
    variants={
        dataset: _by_name([_published(original, severities) for original, severities in corruptions.items()])
        for dataset, corruptions in SEVERITIES.items()
    },
    note="Defined for images of 224 pixels; lengths grow with the image, except with compat. Ink marks are generated.",
)
