"""SURE-VQA's corruptions: blur, brightness and noise at three levels, and their composition by probability."""

import cv2
import numpy as np
import numpy.typing as npt

from medstress.perturb.protocol import Scene
from medstress.perturb.scales import multipliers
from medstress.perturb.scales.protocol import Drawn, Published, Scale, Severity, elementwise
from medstress.pixels import Image, to_uint8

REFERENCE_SIDE = 336
"""Side of the images that the study's model sees, to which its blur is referred."""

_NOISE_SIGMA = 25.5
_KERNELS: tuple[Severity, ...] = ((5,), (7,), (11,))
_GAINS: tuple[Severity, ...] = ((1.1, 2.0), (2.5, 4.0), (4.5, 6.0))
_MEANS: tuple[Severity, ...] = ((0.0, 0.06), (0.09, 0.15), (0.18, 0.25))
_PROBABILITIES: Severity = (0.5, 0.5, 0.5)


def _blurred(image: Image, size: float, compat: bool) -> Image:
    pixel = 1 if compat else min(image.shape[:2]) / REFERENCE_SIDE
    sigma = (0.3 * ((size - 1) / 2 - 1) + 0.8) * pixel
    half = max(1, round((size - 1) / 2 * pixel))
    if compat:
        return np.asarray(cv2.GaussianBlur(image, (2 * half + 1, 2 * half + 1), 0), dtype=np.uint8)
    taps = cv2.getGaussianKernel(2 * half + 1, sigma, cv2.CV_32F)
    blurred = cv2.sepFilter2D(image, cv2.CV_32F, taps, taps, borderType=cv2.BORDER_REFLECT_101)
    return to_uint8(np.asarray(blurred, dtype=np.float32))


def _within(fraction: float, low: float, high: float) -> float:
    return low + fraction * (high - low)


def _brightened(image: Image, gain: float) -> Image:
    return np.asarray(cv2.LUT(image, to_uint8(np.arange(256, dtype=np.float32) * np.float32(gain))), dtype=np.uint8)


def _noised(image: Image, field: npt.NDArray[np.float32], mean: float) -> Image:
    offset = field + np.float32(255 * mean)
    return to_uint8(image + (offset[..., None] if image.ndim == 3 else offset))


def _noise_field(scene: Scene, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    return rng.standard_normal(scene.image.shape[:2], dtype=np.float32) * np.float32(_NOISE_SIGMA)


def gaussian_blur(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Convolution with a Gaussian cut off at k pixels, sigma = .3 * ((k - 1) / 2 - 1) + .8, as OpenCV derives it.

    Severity: k, an odd number, in pixels of an image whose shorter side is 336, as the model sees it.
    Quirk: k is in pixels of the stored image, so that a radiograph of 3000 pixels is hardly blurred, and OpenCV's own
    arithmetic on bytes is used.
    """
    return Drawn(lambda severity: _blurred(scene.image, severity[0], compat))


def brightness(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """All values times a gain, which is drawn between two limits, and cut off at white. Severity: the limits.

    Quirk: none that changes pixels.
    """
    fraction = rng.random()
    return Drawn(lambda severity: _brightened(scene.image, _within(fraction, *severity)))


def gaussian_noise(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Normal noise, alike in all channels, with a mean drawn between two limits. Severity: the limits, of 0..1.

    The standard deviation is 25.5 grey levels at every level; what grows is the mean, so a level is as much brighter as
    it is noisier.
    Quirk: none that changes pixels.
    """
    fraction, field = rng.random(), _noise_field(scene, rng)
    return Drawn(lambda severity: _noised(scene.image, field, _within(fraction, *severity)))


def chosen(fires: Severity, probabilities: Severity, pick: float, compat: bool) -> list[bool]:
    """Which of the three happen. fires, pick: uniform numbers, for each and for the one that has to happen anyway.

    That one is drawn by the probabilities, so that what has none never happens; with `compat` the three are alike.
    """
    happens = [fire < probability for fire, probability in zip(fires, probabilities, strict=True)]
    weights = (1.0, 1.0, 1.0) if compat else probabilities
    if any(happens) or not any(weights):
        return happens
    ends = np.cumsum(weights)
    forced = int(np.searchsorted(ends, pick * ends[-1], side="right"))
    return [index == forced for index in range(3)]


def compound(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Blur, then brightness, then noise, each with a probability of its own; if none is drawn, one all the same.

    Severity: the parameters of blur, brightness and noise, then their probabilities. At the .5 set here for each, one
    image in eight gets the one that is drawn all the same.
    Quirk: that one is drawn with equal chances, so that all probabilities 0 still spoil every image, and what has the
    probability 0 happens; blur as that of gaussian_blur.
    """
    fires, pick = tuple(rng.random(3)), rng.random()
    bright, mean = rng.random(2)
    field = _noise_field(scene, rng)

    def render(severity: Severity) -> Image:
        size, low_gain, high_gain, low_mean, high_mean = severity[:5]
        blur, brighten, noise = chosen(fires, severity[5:], pick, compat)
        image = scene.image.copy()
        if blur:
            image = _blurred(image, size, compat)
        if brighten:
            image = _brightened(image, _within(bright, low_gain, high_gain))
        if noise:
            image = _noised(image, field, _within(mean, low_mean, high_mean))
        return image

    return Drawn(render)


def compound_multiplied(severity: Severity, factor: float) -> Severity:
    """The parameters of each corruption multiplied as they are alone; the probabilities stay."""
    return (
        *multipliers.counts(severity[:1], factor),
        *multipliers.gain(severity[1:3], factor),
        *elementwise(severity[3:5], factor),
        *severity[5:],
    )


_SIZE = (f"size of the kernel, pixels at a side of {REFERENCE_SIDE}",)
_GAIN_LIMITS = ("least gain", "largest gain")
_MEAN_LIMITS = ("least mean, of 0..1", "largest mean, of 0..1")
_CHANCES = ("probability of blur", "probability of brightness", "probability of noise")

_TYPES = (
    Published("gaussian_blur", "blur", gaussian_blur, _KERNELS, _SIZE, multipliers.counts),
    Published("brightness", "brightness", brightness, _GAINS, _GAIN_LIMITS, multipliers.gain),
    Published("gaussian_noise", "noise", gaussian_noise, _MEANS, _MEAN_LIMITS),
    Published(
        "compound",
        "blur, brightness, noise",
        compound,
        tuple(
            (*size, *gains, *means, *_PROBABILITIES)
            for size, gains, means in zip(_KERNELS, _GAINS, _MEANS, strict=True)
        ),
        (*_SIZE, *_GAIN_LIMITS, *_MEAN_LIMITS, *_CHANCES),
        compound_multiplied,
    ),
)

SCALE = Scale(
    "sure_vqa",
    source="Kahl and others, SURE-VQA: Systematic understanding of robustness evaluation in medical VQA tasks, 2024",
    variants={"": {published.name: published for published in _TYPES}},
    note="Levels 1 to 3 are low, medium and high. Noise grows in its mean only. Blur is referred to a side of 336 "
    "pixels, except with compat.",
)
