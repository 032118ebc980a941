"""Speed of calibration, with scikit-image in the same run. Run by `make bench`, which prints the ratios."""

from typing import get_args

import cv2
import numpy as np
import pytest
from skimage.metrics import structural_similarity

from medstress.names import Modality
from medstress.perturb import PERTURBATIONS
from medstress.perturb.build import perturb_image
from medstress.perturb.protocol import Perturbation
from medstress.perturb.ssim import StructuralSimilarity
from medstress.pixels import Image, encode_png
from medstress.rows import ImageRow
from medstress.seeds import generator
from medstress.specs import PerturbSpec
from tests.conftest import embedded_image, images_of, in_colour

cv2.setNumThreads(1)

LEVELS = [1, 2, 3, 4, 5]
SIDES = {"grey256": 256, "rgb256": 256, "grey512": 512}
_IMAGES_OF_A_MODALITY = 3
# At 512 pixels the order of the types is the same, so a few tell enough.
_AT_512 = ("gaussian_noise", "motion_blur", "jpeg", "rotation", "mri_motion", "ct_metal_streaks", "path_bubbles")
_GENERAL: dict[str, Modality] = {"brain_mri_tumour": "mri", "lung_ct_tumour": "ct", "nuclei": "microscopy"}


def _sized(image: Image, size: str) -> Image:
    """The image as a square, grey or in colour as the size says; a grey image has three equal channels then."""
    side = SIDES[size]
    smaller = min(image.shape[:2]) > side
    square = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
    if size.startswith("rgb") and square.ndim == 2:
        square = cv2.cvtColor(square, cv2.COLOR_GRAY2RGB)
    elif size.startswith("grey") and square.ndim == 3:
        square = cv2.cvtColor(square, cv2.COLOR_RGB2GRAY)
    return np.asarray(square, dtype=np.uint8)


def _images(kind: Perturbation, size: str) -> list[tuple[Modality, Image]]:
    if kind.modalities:
        return [
            (modality, _sized(image, size))
            for modality in get_args(Modality)
            if modality in kind.modalities
            for image in list(images_of(modality).values())[:_IMAGES_OF_A_MODALITY]
        ]
    general = [(modality, embedded_image(name)) for name, modality in _GENERAL.items()]
    return [
        (modality, _sized(in_colour(image) if size.startswith("rgb") else image, size)) for modality, image in general
    ]


def _noisy(image: Image) -> Image:
    return np.clip(image + generator(0).normal(0, 15, image.shape), 0, 255).astype(np.uint8)


sizes = pytest.mark.parametrize("size", list(SIDES))


def _lung(size: str) -> Image:
    image = embedded_image("lung_ct_tumour")
    return _sized(in_colour(image) if size.startswith("rgb") else image, size)


@sizes
def test_ssim_medstress(benchmark, size):
    image = _lung(size)
    other, similarity = _noisy(image), StructuralSimilarity(image)
    benchmark(similarity, other)


@sizes
def test_ssim_scikit_image(benchmark, size):
    image = _lung(size)
    other = _noisy(image)
    benchmark(structural_similarity, image, other, data_range=255, channel_axis=2 if image.ndim == 3 else None)


@pytest.mark.parametrize(
    ("size", "name"),
    [(size, name) for size in SIDES for name in (_AT_512 if size == "grey512" else PERTURBATIONS)],
)
def test_five_levels(benchmark, size, name):
    """All five levels of one type on real images of its modality, from bytes to bytes: PNG, realise, search, PNG."""
    kind, work = PERTURBATIONS[name], []
    for index, (modality, image) in enumerate(_images(kind, size)):
        spec = PerturbSpec(
            dataset="bench", modality=modality, perturbation=name, levels=LEVELS, split="test", background=0
        )
        height, width = image.shape[:2]
        work.append((spec, ImageRow(str(index), "0", "test", modality, encode_png(image), height, width)))
    benchmark.extra_info["stored_images"] = len(work) * len(LEVELS)

    def run() -> None:
        for spec, row in work:
            perturb_image(kind, spec, row)

    benchmark.pedantic(run, rounds=3, warmup_rounds=1)
