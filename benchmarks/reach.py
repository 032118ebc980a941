"""Calibration against a dense scan on every embedded test image, as a table for docs/validation.md.

    python -m benchmarks.reach [--strengths 200] [TYPE ...]

For every type, on the gallery's pictures of its modalities and every test image of the embedded segmentation sets: the
levels that some of the scanned strengths reach, by scikit-image's SSIM, and how many of them the stored file has.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import cv2

from medstress.config import BANDS
from medstress.perturb import PERTURBATIONS
from medstress.perturb.protocol import Scene
from medstress.pixels import Image
from tests.perturb.reach import LEVELS, cells_as_stored, images_for, reached_by_scan, seed_for


@dataclass(frozen=True)
class Reach:
    """Counts over the images of one type: `scanned` and `stored` hold a number for each level."""

    images: int
    scanned: tuple[int, ...]
    stored: tuple[int, ...]
    missed: int


def _scaled(image: Image, side: int = 256) -> Image:
    factor = side / min(image.shape[:2])
    return image if factor >= 1 else cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


def measure(name: str, count: int) -> Reach:
    """Scan one type on all its images."""
    cv2.setNumThreads(1)
    perturbation = PERTURBATIONS[name]
    scanned, stored, missed, images = dict.fromkeys(LEVELS, 0), dict.fromkeys(LEVELS, 0), 0, 0
    for modality, picture, image in images_for(perturbation, every=True):
        scene, seed = Scene(_scaled(image), modality=modality), seed_for(perturbation, picture)
        found = reached_by_scan(perturbation, scene, seed, count)
        images += 1
        for cell, _, ssim in cells_as_stored(perturbation, scene, seed):
            low, high = BANDS[cell.level]
            inside = low <= ssim <= high
            scanned[cell.level] += cell.level in found
            stored[cell.level] += inside
            missed += cell.level in found and not inside
    return Reach(images, tuple(scanned.values()), tuple(stored.values()), missed)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("types", nargs="*")
    parser.add_argument("--strengths", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    names = arguments.types or [name for name, kind in PERTURBATIONS.items() if kind.table is None]
    print("| type | images | reached by the scan, levels 1 to 5 | in band on the stored file | missed |")
    print("|---|---|---|---|---|")
    total = missed = 0
    with ProcessPoolExecutor(arguments.workers) as pool:
        for name, reach in zip(names, pool.map(partial(measure, count=arguments.strengths), names), strict=True):
            total, missed = total + sum(reach.scanned), missed + reach.missed
            scanned, stored = (" ".join(map(str, numbers)) for numbers in (reach.scanned, reach.stored))
            print(f"| {name} | {reach.images} | {scanned} | {stored} | {reach.missed} |", flush=True)
    print(f"\n{total} cells are reached by the scan; {total - missed} of them ({1 - missed / total:.2%}) are in band.")


if __name__ == "__main__":
    main()
