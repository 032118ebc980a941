"""Brightness and contrast: what a display or a gain setting does to all pixels alike."""

import cv2
import numpy as np

from medstress.perturb.protocol import Perturbation, Realisation, Scene
from medstress.pixels import Image

_LEVELS = np.arange(256, dtype=np.float64)


def _table_lookup(image: Image, table: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Image:
    return np.asarray(cv2.LUT(image, np.clip(np.rint(table), 0, 255).astype(np.uint8)), dtype=np.uint8)


def _brightness(scene: Scene, rng: np.random.Generator) -> Realisation:
    """A display or a gain is set too bright or too dark.

    clip(I + b), towards the end of the range that is farther from the mean, where there is room to change: darker
    images get brighter, and bright ones darker.

    Source: Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and
    perturbations", ICLR 2019 (brightness as a corruption).
    """
    sign = 1 if scene.image.mean() < 127.5 else -1

    def render(offset: float) -> Image:
        return _table_lookup(scene.image, _LEVELS + sign * offset)

    return Realisation(render)


def _contrast(scene: Scene, rng: np.random.Generator) -> Realisation:
    """Contrast is lost about the image's mean, until all is one grey.

    I' = mean + (1 - c) * (I - mean), with the mean of all pixels and channels.

    Source: Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and
    perturbations", ICLR 2019 (contrast as a corruption).
    """
    mean = scene.image.mean()

    def render(loss: float) -> Image:
        return _table_lookup(scene.image, mean + (1 - loss) * (_LEVELS - mean))

    return Realisation(render)


BRIGHTNESS = Perturbation("brightness", _brightness, unit="offset, grey levels", mildest=1, typical=30, strongest=200)
CONTRAST = Perturbation(
    "contrast", _contrast, unit="share of contrast lost", mildest=0.005, typical=0.4, strongest=0.95
)

TYPES = (BRIGHTNESS, CONTRAST)
