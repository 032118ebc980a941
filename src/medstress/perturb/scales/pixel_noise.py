"""Noise of the published scales: Gaussian, shot, impulse and speckle.

Strengths are those of intensities in 0..1. Every channel of a colour image has noise of its own.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import special

from medstress.perturb.protocol import Scene
from medstress.perturb.scales.protocol import Drawn, Severity
from medstress.perturb.scales.stored import stored
from medstress.pixels import Image

Floats = npt.NDArray[np.float32]

# Buckets of the uniform number in the tables of shot noise.
_BUCKET_BITS = 12
_BUCKETS = 1 << _BUCKET_BITS


def gaussian_noise(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Every value gets a normal number with standard deviation sigma: I + sigma * n. Severity: sigma, of 0..1.

    Quirk: values are cut off instead of rounded.
    """
    field = rng.standard_normal(scene.image.shape, dtype=np.float32)

    def render(severity: Severity) -> Image:
        noisy = field * np.float32(severity[0] * 255)
        noisy += scene.image
        return stored(noisy, compat)

    return Drawn(render)


def speckle(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Every value is multiplied by a normal number about 1: I * (1 + sigma * n). Severity: sigma.

    Quirk: values are cut off instead of rounded.
    """
    scaled = rng.standard_normal(scene.image.shape, dtype=np.float32)
    scaled *= scene.image

    def render(severity: Severity) -> Image:
        noisy = scaled * np.float32(severity[0])
        noisy += scene.image
        return stored(noisy, compat)

    return Drawn(render)


def impulse_noise(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """A share of the values turns black or white, half of them each; channels on their own. Severity: the share.

    Quirk: none that changes pixels.
    """
    field = rng.random(scene.image.shape, dtype=np.float32)

    def render(severity: Severity) -> Image:
        half = np.float32(severity[0] / 2)
        noisy = scene.image.copy()
        noisy[field < half] = 0
        noisy[field >= 1 - half] = 255
        return noisy

    return Drawn(render)


@dataclass(frozen=True)
class _PoissonTables:
    """Shot noise for one light level, for every grey value.

    sums: float64 [256 * counts], grey value + P(count <= k), which grows from end to end. values: uint8 [counts], the
    pixel that a count becomes. direct: uint8 [256 * buckets], the pixel by grey value and bucket of the uniform number.
    mixed: bool [256 * buckets], where a bucket holds more than one count.
    """

    sums: npt.NDArray[np.float64]
    values: Image
    direct: Image
    mixed: npt.NDArray[np.bool_]


@lru_cache(maxsize=16)
def _poisson_tables(photons: float, compat: bool) -> _PoissonTables:
    # Counts above `photons` are all white.
    counts = np.arange(math.ceil(photons) + 1)
    means = np.arange(256)[:, None] * photons / 255
    below = np.asarray(special.pdtr(counts[None, :], means), dtype=np.float64)
    below[:, -1] = 1
    values = stored((counts * (255 / photons)).astype(np.float32), compat)
    # Which count each bucket starts with; behind the last bucket, which count it ends with.
    places = np.ceil(below * _BUCKETS).astype(np.int64) + np.arange(256)[:, None] * (_BUCKETS + 1)
    first = np.bincount(places.ravel(), minlength=256 * (_BUCKETS + 1)).reshape(256, -1).cumsum(axis=1)
    first[:, -1] -= 1
    mixed = first[:, 1:] != first[:, :-1]
    return _PoissonTables(
        (below + np.arange(256)[:, None]).ravel(), values, values[first[:, :-1]].ravel(), mixed.ravel()
    )


def shot_noise(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Photons are counted: Poisson(lambda * I) / lambda. Severity: lambda, the mean count of a white pixel.

    One uniform number a value is drawn; the count is its quantile, so that a field serves every lambda.
    Quirk: values are cut off instead of rounded.
    """
    flat = scene.image.ravel()
    uniform = rng.random(flat.shape, dtype=np.float32)
    buckets = (uniform * np.float32(_BUCKETS)).astype(np.int32)
    buckets += flat.astype(np.int32) << _BUCKET_BITS

    def render(severity: Severity) -> Image:
        tables = _poisson_tables(severity[0], compat)
        noisy = tables.direct[buckets]
        exact = np.flatnonzero(tables.mixed[buckets])
        grey = flat[exact]
        places = np.searchsorted(tables.sums, grey + uniform[exact].astype(np.float64), side="right")
        noisy[exact] = tables.values[places - grey * np.int64(len(tables.values))]
        return noisy.reshape(scene.image.shape)

    return Drawn(render)
