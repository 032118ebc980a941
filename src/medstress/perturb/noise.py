"""Noise: additive, impulsive and multiplicative."""

import math

import numpy as np
import numpy.typing as npt
from scipy import special

from medstress.perturb.protocol import Perturbation, Realisation, Scene
from medstress.pixels import Image, to_uint8

# Means up to which the Poisson distribution is summed up; above, an expansion of its quantiles is as good.
_FEW_PHOTONS = 10.0


def _gaussian_noise(scene: Scene, rng: np.random.Generator) -> Realisation:
    """Electronics add noise that is alike everywhere, whatever the signal.

    clip(I + sigma * n), n ~ N(0, 1) for every pixel and channel.

    Source: Gonzalez and Woods, Digital Image Processing, 3rd edition, 2008 (noise models).
    """
    field = rng.standard_normal(scene.image.shape, dtype=np.float32)
    clean = scene.image.astype(np.float32)

    def render(sigma: float) -> Image:
        noisy = field * np.float32(sigma)
        noisy += clean
        return to_uint8(noisy)

    return Realisation(render)


def _speckle(scene: Scene, rng: np.random.Generator) -> Realisation:
    """Coherent waves interfere: noise that grows with the signal.

    clip(I * (1 + s * n)), n ~ N(0, 1) for every pixel and channel.

    Source: Goodman, "Some fundamental properties of speckle", Journal of the Optical Society of America, 1976 (its
    standard deviation is proportional to the mean).
    """
    scaled = rng.standard_normal(scene.image.shape, dtype=np.float32)
    clean = scene.image.astype(np.float32)
    scaled *= clean

    def render(gain: float) -> Image:
        noisy = scaled * np.float32(gain)
        noisy += clean
        return to_uint8(noisy)

    return Realisation(render)


def _salt_and_pepper(scene: Scene, rng: np.random.Generator) -> Realisation:
    """Dead and hot pixels, or bits lost on the way: pixels turn black or white, with all their channels.

    I' = 0 where u < p / 2, 255 where u >= 1 - p / 2, and I elsewhere, with u uniform in 0..1 for every pixel and p
    the share of pixels that are hit.

    Source: Gonzalez and Woods, Digital Image Processing, 3rd edition, 2008 (noise models).
    """
    field = rng.random(scene.image.shape[:2], dtype=np.float32)
    clean = scene.image

    def render(probability: float) -> Image:
        noisy = clean.copy()
        noisy[field < np.float32(probability / 2)] = 0
        noisy[field >= np.float32(1 - probability / 2)] = 255
        return noisy

    return Realisation(render)


def _shot_noise(scene: Scene, rng: np.random.Generator) -> Realisation:
    """Light arrives in photons, so a value is a count, and the fewer photons there are, the more counts scatter.

    Poisson(L * x) / L for every pixel and channel, x in 0..1, where L photons make white. The strength is 1 / sqrt(L),
    the noise of a white pixel relative to its value. Counts are quantiles of the Poisson distribution at uniform
    numbers drawn once: of the distribution itself up to a mean of 10, of its expansion for large means above.

    Source: Poisson, Recherches sur la probabilite des jugements, 1837; Giles, "Algorithm 955: approximation of the
    inverse Poisson cumulative distribution function", ACM TOMS 2016, for the expansion.
    """
    clean = scene.image.ravel()
    uniform = rng.random(clean.size)
    # The expansion is m + sqrt(m) z + (2 + z^2) / 6 - (2 z + z^3) / (72 sqrt(m)), rounded down.
    normal = special.ndtri(uniform).astype(np.float32)
    root = np.sqrt(clean, dtype=np.float32)
    second = root * normal
    third = (2 + normal * normal) / 6
    fourth = -normal * third / (12 * np.maximum(root, 1))
    by_level = clean + uniform
    order = np.argsort(by_level)
    by_level = by_level[order]

    def render(relative: float) -> Image:
        photons = 1 / (255 * relative**2)
        brightest = min(int(_FEW_PHOTONS / photons), 255)
        few = int(np.searchsorted(by_level, brightest + 1))
        if few < clean.size:
            counts = second * np.float32(math.sqrt(photons))
            counts += third
            counts += fourth * np.float32(1 / math.sqrt(photons))
            counts += clean * np.float32(photons)
            np.floor(counts, out=counts)
            counts *= np.float32(1 / photons)
            noisy = to_uint8(counts)
        else:
            noisy = np.empty_like(clean)
        noisy[order[:few]] = _few_photons(by_level[:few], brightest, photons)
        return noisy.reshape(scene.image.shape)

    return Realisation(render)


def _few_photons(by_level: npt.NDArray[np.float64], brightest: int, photons: float) -> npt.NDArray[np.uint8]:
    """Noisy grey values, uint8 [n], of pixels that catch few photons each.

    by_level: float64 [n], ascending, grey value plus uniform number of each pixel. brightest: the highest grey value
    among them. photons: a grey level's worth of photons.
    """
    means = photons * np.arange(brightest + 1)
    most = math.ceil(means[-1] + 7 * math.sqrt(means[-1]) + 7)
    counts = np.arange(most + 1)
    # exp(-m) m^k / k!, term by term.
    terms = np.empty((len(means), len(counts)))
    terms[:, 0] = np.exp(-means)
    np.divide(means[:, None], counts[1:], out=terms[:, 1:])
    cumulative = np.cumsum(np.cumprod(terms, axis=1), axis=1)
    cumulative[:, -1] = 1
    # Pixels of a level are ascending in their uniform number, so all with the same count lie together.
    ends = np.searchsorted(by_level, (np.minimum(cumulative, 1) + np.arange(len(means))[:, None]).ravel())
    values = np.minimum(np.rint(counts / photons), 255).astype(np.uint8)
    return np.repeat(np.tile(values, len(means)), np.diff(ends, prepend=0))


def _impulse_noise(scene: Scene, rng: np.random.Generator) -> Realisation:
    """Single values are lost: each channel of each pixel, for itself, turns 0 or 255, with probability p / 2 each.

    I' = 0 where u < p / 2, 255 where u >= 1 - p / 2, and I elsewhere, with u uniform in 0..1 for every channel of every
    pixel. In a colour image that makes coloured dots, where salt and pepper makes black and white ones.

    Source: Gonzalez and Woods, Digital Image Processing, 3rd edition, 2008, section 5.2; per channel as in Hendrycks
    and Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations", ICLR 2019.
    """
    field = rng.random(scene.image.shape, dtype=np.float32)
    clean = scene.image

    def render(probability: float) -> Image:
        noisy = np.where(field < np.float32(probability / 2), np.uint8(0), clean)
        return np.where(field >= np.float32(1 - probability / 2), np.uint8(255), noisy)

    return Realisation(render)


GAUSSIAN_NOISE = Perturbation(
    "gaussian_noise", _gaussian_noise, unit="standard deviation, grey levels", mildest=0.25, typical=15, strongest=400
)
SPECKLE = Perturbation(
    "speckle", _speckle, unit="standard deviation of the gain", mildest=0.005, typical=0.3, strongest=40
)
SALT_AND_PEPPER = Perturbation(
    "salt_and_pepper", _salt_and_pepper, unit="share of pixels", mildest=0.0001, typical=0.02, strongest=0.9
)
SHOT_NOISE = Perturbation(
    "shot_noise", _shot_noise, unit="relative noise of white", mildest=0.002, typical=0.085, strongest=20
)
IMPULSE_NOISE = Perturbation(
    "impulse_noise", _impulse_noise, unit="share of values", mildest=0.0001, typical=0.013, strongest=0.9
)

TYPES = (GAUSSIAN_NOISE, SALT_AND_PEPPER, SPECKLE, SHOT_NOISE, IMPULSE_NOISE)
