"""Makes the perturbed record of one data set and one perturbation."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2

from medstress.errors import MedstressError
from medstress.perturb.calibrate import BANDS, calibrate, displace
from medstress.perturb.protocol import Perturbation, Scene
from medstress.perturb.warp import valid_pixels
from medstress.pixels import decode_png, encode_mask, encode_png
from medstress.records import ImageRow, PerturbedRow, read_groups, record_writer
from medstress.seeds import generator, seed_of
from medstress.specs import PerturbSpec


def perturb_image(perturbation: Perturbation, spec: PerturbSpec, row: ImageRow) -> list[PerturbedRow]:
    """All levels of one image, in the order of the levels.

    The draw depends on (data set, image id, perturbation) alone.
    """
    clean = decode_png(row.png, where=f"image {row.image_id} of {spec.dataset}")
    seed = seed_of(spec.dataset, row.image_id, perturbation.name)
    realisation = perturbation.realise(Scene(clean, spec.background), generator(seed))
    make = displace if perturbation.moves_pixels else calibrate
    rows = []
    for cell in make(perturbation, realisation, clean, sorted(spec.levels)):
        band = (None, None) if cell.status == "table" else BANDS[cell.level]
        warp = None if realisation.warp is None else realisation.warp(cell.strength)
        rows.append(
            PerturbedRow(
                image_id=row.image_id,
                perturbation=perturbation.name,
                level=cell.level,
                png=encode_png(cell.image),
                valid=None if warp is None else encode_mask(valid_pixels(row.height, row.width, warp)),
                warp=warp,
                strength=cell.strength,
                ssim=cell.ssim,
                band_low=band[0],
                band_high=band[1],
                seed=seed,
                status=cell.status,
            )
        )
    return rows


def _one_thread() -> None:
    # Work is spread over processes; threads inside each would only compete.
    cv2.setNumThreads(1)


def perturb_dataset(
    perturbation: Perturbation, spec: PerturbSpec, images: Path, output: Path, *, workers: int = 1
) -> dict[str, int]:
    """Write the perturbed record of the images of `spec.split`; returns the number of cells of each status.

    The bytes do not depend on `workers`. Images are read and written one row group at a time. Raises MedstressError
    where the perturbation does not fit the data set's modality or no image is in the split.
    """
    if perturbation.modalities and spec.modality not in perturbation.modalities:
        fits = ", ".join(sorted(perturbation.modalities))
        raise MedstressError(
            f"{perturbation.name} is for {fits}, and {spec.dataset} holds {spec.modality}: leave it out of the study"
        )
    counts: dict[str, int] = {}
    with record_writer(output, PerturbedRow) as writer:
        for rows in _perturbed(perturbation, spec, images, workers):
            for row in rows:
                counts[row.status] = counts.get(row.status, 0) + 1
            writer.write(rows)
        if not counts:
            raise MedstressError(
                f"{images}: no image is in the split {spec.split!r}. Check the card's split and limit."
            )
    return counts


def _perturbed(
    perturbation: Perturbation, spec: PerturbSpec, images: Path, workers: int
) -> Iterator[list[PerturbedRow]]:
    one = partial(perturb_image, perturbation, spec)
    groups = ([row for row in group if row.split == spec.split] for group in read_groups(images, ImageRow))
    if workers == 1:
        _one_thread()
        for group in groups:
            yield from map(one, group)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        for group in groups:
            yield from pool.map(one, group)
