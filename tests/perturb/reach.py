"""What a type can reach on an image, found without medstress: a dense scan of strengths with scikit-image's SSIM."""

from collections.abc import Iterator
from functools import reduce
from operator import or_
from typing import get_args

import numpy as np
from skimage.metrics import structural_similarity

from medstress.config import BANDS
from medstress.names import Modality
from medstress.perturb.calibrate import Cell, calibrate
from medstress.perturb.protocol import Perturbation, Scene
from medstress.pixels import Image, decode_png, encode_png
from medstress.seeds import generator, seed_of
from tests.conftest import EMBEDDED_OF, embedded_test_images, gallery_images_of, images_of

LEVELS = list(BANDS)
# A type that fits every modality is scanned on these.
GENERAL: tuple[Modality, ...] = ("mri", "ct", "microscopy", "pathology", "xray")


def independent_ssim(clean: Image, image: Image) -> float:
    return float(structural_similarity(clean, image, data_range=255, channel_axis=2 if clean.ndim == 3 else None))


def images_for(perturbation: Perturbation, *, every: bool = False) -> Iterator[tuple[Modality, str, Image]]:
    """Images of the type's modalities, or of the general ones: of the gallery, and the first of each embedded data set.

    With `every`, all test images of the embedded data sets instead of the first.
    """
    for modality in get_args(Modality):
        if modality in (perturbation.modalities or GENERAL):
            found = images_of(modality)
            if every:
                embedded = [embedded_test_images(dataset) for dataset in EMBEDDED_OF.get(modality, ())]
                found = reduce(or_, embedded, gallery_images_of(modality))
            for name, image in found.items():
                yield modality, name, image


def reached_by_scan(perturbation: Perturbation, scene: Scene, seed: int, count: int) -> set[int]:
    """The levels whose band some strength of a dense scan meets, on one realisation."""
    realisation = perturbation.realise(scene, generator(seed))
    whole = np.arange(perturbation.mildest, perturbation.strongest + 1)
    strengths = whole if perturbation.whole else np.geomspace(perturbation.mildest, perturbation.strongest, count)
    used = dict.fromkeys(perturbation.round(float(strength)) for strength in strengths)
    seen = np.array([independent_ssim(scene.image, realisation.render(strength)) for strength in used])
    return {level for level, (low, high) in BANDS.items() if np.any((seen >= low) & (seen <= high))}


def cells_as_stored(perturbation: Perturbation, scene: Scene, seed: int) -> list[tuple[Cell, Image, float]]:
    """The calibrated cells with what a save and a load make of them, and the independent SSIM of that."""
    cells = calibrate(perturbation, perturbation.realise(scene, generator(seed)), scene.image, LEVELS)
    stored = [decode_png(encode_png(cell.image), where="test") for cell in cells]
    return [(cell, image, independent_ssim(scene.image, image)) for cell, image in zip(cells, stored, strict=True)]


def seed_for(perturbation: Perturbation, name: str) -> int:
    return seed_of("reach", name, perturbation.name)
