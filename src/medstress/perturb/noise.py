"""Noise: additive, impulsive and multiplicative."""

import numpy as np

from medstress.perturb.protocol import Perturbation, Realisation, Scene
from medstress.pixels import Image, to_uint8


def _gaussian_noise(scene: Scene, rng: np.random.Generator) -> Realisation:
    """clip(I + sigma * n), n ~ N(0, 1) for every pixel and channel."""
    field = rng.standard_normal(scene.image.shape, dtype=np.float32)
    clean = scene.image.astype(np.float32)

    def render(sigma: float) -> Image:
        noisy = field * np.float32(sigma)
        noisy += clean
        return to_uint8(noisy)

    return Realisation(render)


def _speckle(scene: Scene, rng: np.random.Generator) -> Realisation:
    """clip(I * (1 + s * n)), n ~ N(0, 1) for every pixel and channel: noise that grows with the signal."""
    scaled = rng.standard_normal(scene.image.shape, dtype=np.float32)
    clean = scene.image.astype(np.float32)
    scaled *= clean

    def render(gain: float) -> Image:
        noisy = scaled * np.float32(gain)
        noisy += clean
        return to_uint8(noisy)

    return Realisation(render)


def _salt_and_pepper(scene: Scene, rng: np.random.Generator) -> Realisation:
    """Each pixel (all its channels) turns black or white, with probability p / 2 each."""
    field = rng.random(scene.image.shape[:2], dtype=np.float32)
    clean = scene.image

    def render(probability: float) -> Image:
        noisy = clean.copy()
        noisy[field < np.float32(probability / 2)] = 0
        noisy[field >= np.float32(1 - probability / 2)] = 255
        return noisy

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

TYPES = (GAUSSIAN_NOISE, SALT_AND_PEPPER, SPECKLE)
