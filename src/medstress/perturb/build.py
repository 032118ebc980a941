"""Makes the perturbed record of one data set and one perturbation."""

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np

from medstress.errors import MedstressError
from medstress.names import Modality
from medstress.perturb.levels import make_levels, require_fit
from medstress.perturb.protocol import Perturbation, Scene
from medstress.perturb.scales.protocol import Published
from medstress.perturb.warp import valid_pixels
from medstress.perturb.workers import in_order
from medstress.pixels import decode_png, encode_mask, encode_png
from medstress.records import ImageRow, PerturbedRow, read_groups, record_writer
from medstress.seeds import seed_of
from medstress.specs import PerturbSpec

log = logging.getLogger("medstress")


def scene_of(spec: PerturbSpec, row: ImageRow) -> Scene:
    """What a record says of an image. Raises MedstressError where its bytes are damaged."""
    where = f"image {row.image_id} of {spec.dataset}"
    raw = None
    if row.raw_png is not None:
        assert row.slope is not None
        assert row.intercept is not None
        raw = decode_png(row.raw_png, where=where) * np.float32(row.slope) + np.float32(row.intercept)
    window = None if spec.window is None else (spec.window.low, spec.window.high)
    return Scene(decode_png(row.png, where=where), spec.background, modality_of(spec, row), raw, window)


def modality_of(spec: PerturbSpec, row: ImageRow) -> Modality | None:
    """The modality of an image: the data set's, or where this has several the image's own, None if nobody said it."""
    return spec.modality or next((name for name in get_args(Modality) if name == row.modality), None)


def perturb_image(kind: Perturbation | Published, spec: PerturbSpec, row: ImageRow) -> list[PerturbedRow]:
    """All levels of one image, in the order of the levels.

    The draw depends on (data set, image id, perturbation) alone.
    """
    seed = seed_of(spec.dataset, row.image_id, spec.perturbation)
    return [
        PerturbedRow(
            image_id=row.image_id,
            perturbation=spec.perturbation,
            level=made.cell.level,
            png=encode_png(made.cell.image),
            valid=None if made.warp is None else encode_mask(valid_pixels(row.height, row.width, made.warp)),
            warp=made.warp,
            strength=made.cell.strength,
            ssim=made.cell.ssim,
            band_low=None if made.band is None else made.band[0],
            band_high=None if made.band is None else made.band[1],
            seed=seed,
            status=made.cell.status,
        )
        for made in make_levels(kind, scene_of(spec, row), sorted(spec.levels), seed, spec.severity)
    ]


def perturb_dataset(
    kind: Perturbation | Published, spec: PerturbSpec, images: Path, output: Path, *, workers: int = 1
) -> dict[str, int]:
    """Write the perturbed record of the images of `spec.split`; returns the number of cells of each status.

    The bytes do not depend on `workers`. Images are read and written one row group at a time. Of a data set of several
    modalities, the images that the perturbation fits are perturbed, of which there may be none. Raises MedstressError
    where the perturbation does not fit the data set's modality or no image is in the split.
    """
    if spec.modality is not None:
        require_fit(kind, spec.modality, spec.dataset)
    counts: dict[str, int] = {}
    with record_writer(output, PerturbedRow) as writer:
        for rows in _perturbed(kind, spec, images, workers):
            for row in rows:
                counts[row.status] = counts.get(row.status, 0) + 1
            writer.write(rows)
        if not counts and kind.fits(spec.modality):
            raise MedstressError(
                f"{images}: no image is in the split {spec.split!r}. Check the card's split and limit."
            )
        if not counts:
            modalities = " or ".join(sorted(kind.modalities))
            log.warning("%s: no image of the split %s is of the modality %s", spec.dataset, spec.split, modalities)
    return counts


def _perturbed(
    kind: Perturbation | Published, spec: PerturbSpec, images: Path, workers: int
) -> Iterator[list[PerturbedRow]]:
    rows = (
        row
        for group in read_groups(images, ImageRow)
        for row in group
        if row.split == spec.split and kind.fits(modality_of(spec, row))
    )
    return (made for _, made in in_order(partial(perturb_image, kind, spec), rows, workers))
