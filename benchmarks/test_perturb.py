"""Speed of calibration, with scikit-image in the same run. Run by `make bench`, which prints the ratios."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from skimage.metrics import structural_similarity

from medstress.perturb import PERTURBATIONS
from medstress.perturb.calibrate import calibrate
from medstress.perturb.protocol import Scene
from medstress.perturb.ssim import StructuralSimilarity
from medstress.pixels import Image, encode_png
from medstress.seeds import generator
from tests.conftest import embedded_image, in_colour

cv2.setNumThreads(1)

LEVELS = [1, 2, 3, 4, 5]


def _scaled(image: Image, side: int) -> Image:
    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


IMAGES: dict[str, Callable[[], list[Image]]] = {
    "grey256": lambda: [
        _scaled(embedded_image(name), 256) for name in ("brain_mri_tumour", "lung_ct_tumour", "nuclei")
    ],
    "rgb256": lambda: [in_colour(_scaled(embedded_image(name), 256)) for name in ("lung_ct_tumour", "nuclei")],
    "grey512": lambda: [_scaled(embedded_image(name), 512) for name in ("brain_mri_tumour", "lung_ct_tumour")],
}
sizes = pytest.mark.parametrize("size", list(IMAGES))


def _noisy(image: Image) -> Image:
    return np.clip(image + generator(0).normal(0, 15, image.shape), 0, 255).astype(np.uint8)


@sizes
def test_ssim_medstress(benchmark, size):
    image = IMAGES[size]()[0]
    other, similarity = _noisy(image), StructuralSimilarity(image)
    benchmark(similarity, other)


@sizes
def test_ssim_scikit_image(benchmark, size):
    image = IMAGES[size]()[0]
    other = _noisy(image)
    benchmark(structural_similarity, image, other, data_range=255, channel_axis=2 if image.ndim == 3 else None)


@sizes
@pytest.mark.parametrize("name", [item.name for item in PERTURBATIONS.values() if not item.moves_pixels])
def test_five_levels(benchmark, size, name):
    """All five levels of one type on real images: realise, search, PNG."""
    images, perturbation = IMAGES[size](), PERTURBATIONS[name]
    benchmark.extra_info["stored_images"] = len(images) * len(LEVELS)

    def run() -> None:
        for index, image in enumerate(images):
            realisation = perturbation.realise(Scene(image), generator(index))
            for cell in calibrate(perturbation, realisation, image, LEVELS):
                encode_png(cell.image)

    benchmark.pedantic(run, rounds=5, warmup_rounds=1)
