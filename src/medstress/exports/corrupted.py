"""Makes the perturbed record of one data set and one type from corrupted images that lie on disk."""

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from medstress.arrays import Array, read_npz
from medstress.datasets.corrupted import Stored, file_problems, missing_files, place_of, stored_files
from medstress.datasets.labelled import plane
from medstress.datasets.resize import frame_of, resize_image
from medstress.errors import MedstressError
from medstress.perturb.ssim import StructuralSimilarity
from medstress.perturb.workers import in_order
from medstress.pixels import decode_png, encode_png
from medstress.records import ImageRow, PerturbedRow, SampleRow, read_groups, read_rows, record_writer
from medstress.specs import CorruptedSpec, PerturbSpec

log = logging.getLogger("medstress")

Item = tuple[ImageRow, list[Array]]
"""A clean image and the stored ones of its levels."""


def read_corrupted(
    spec: PerturbSpec, root: Path, images: Path, samples: Path, output: Path, *, workers: int = 1
) -> dict[str, int]:
    """Write the perturbed record of the images of `spec.split`; returns the number of cells of each status.

    Paths in `spec.corrupted` are relative to `root`. Only images of the record are taken, by the place that their id
    says, image by image with all levels as in :func:`medstress.perturb.build.perturb_dataset`. A cell's strength is its
    level, its status `table`; its SSIM is measured. Where a file is missing and may be, the record has no rows. Raises
    MedstressError for a missing file otherwise, and for files whose arrays, lengths, sizes or labels are not those of
    the clean images.
    """
    assert spec.corrupted is not None
    source, levels = spec.corrupted.source, sorted(spec.levels)
    files = stored_files(source, spec.corrupted.original, spec.split, levels, root)
    missing = missing_files(files)
    if missing and source.missing == "error":
        listed = "\n".join(f"    {path}" for path in missing)
        raise MedstressError(f"{spec.dataset}: corrupted images of {spec.perturbation} are missing:\n{listed}")
    counts: dict[str, int] = {}
    with record_writer(output, PerturbedRow) as writer:
        if missing:
            log.info("%s: left out, since there is no %s", spec.perturbation, ", ".join(map(str, missing)))
            return counts
        sizes = _checked(spec, spec.corrupted, files, images, samples)
        make = partial(_rows_of, spec, spec.corrupted, files)
        for _, rows in in_order(make, _items(spec, files, sizes, images), workers):
            writer.write(rows)
            counts["table"] = counts.get("table", 0) + len(rows)
    return counts


def _checked(
    spec: PerturbSpec, stored: CorruptedSpec, files: dict[int, Stored], images: Path, samples: Path
) -> dict[Path, int]:
    """How many images each file holds at a level. Raises MedstressError with what is wrong with all files."""
    labels_of = {row.sample_id: row.labels for row in read_rows(samples, SampleRow)}
    ids = _ids(spec, images)
    if not ids:
        raise MedstressError(f"{images}: no image is in the split {spec.split!r}. Check the card's split and limit.")
    labels = {place_of(image_id, spec.split): labels_of[image_id] for image_id in ids}
    each = dict.fromkeys(files.values())
    if problems := [line for item in each for line in file_problems(item, labels, stored.classes, None)]:
        raise MedstressError("\n".join(f"{spec.dataset}: {line}" for line in problems))
    return {item.pair.path: item.count() for item in each}


def _ids(spec: PerturbSpec, images: Path) -> list[str]:
    groups = read_groups(images, ImageRow, pixels=False)
    return [row.image_id for group in groups for row in group if row.split == spec.split]


def _items(spec: PerturbSpec, files: dict[int, Stored], sizes: dict[Path, int], images: Path) -> Iterator[Item]:
    places = [place_of(image_id, spec.split) for image_id in _ids(spec, images)]
    streams = [
        read_npz(
            item.pair.path, item.pair.images, [item.start(level, sizes[item.pair.path]) + place for place in places]
        )
        for level, item in files.items()
    ]
    clean = (row for group in read_groups(images, ImageRow) for row in group if row.split == spec.split)
    for row, *made in zip(clean, *streams, strict=True):
        yield row, made


def _rows_of(spec: PerturbSpec, stored: CorruptedSpec, files: dict[int, Stored], item: Item) -> list[PerturbedRow]:
    """All levels of one image."""
    row, made = item
    clean = decode_png(row.png, where=f"image {row.image_id} of {spec.dataset}")
    similarity = StructuralSimilarity(clean)
    rows = []
    for (level, file), values in zip(files.items(), made, strict=True):
        pixels = plane(values)
        height, width = pixels.shape[:2]
        image = resize_image(pixels, frame_of(height, width, stored.size), spec.background)
        if image.shape != clean.shape:
            raise MedstressError(
                f"{file.pair.path}: {row.image_id} at level {level} has the shape {image.shape}, and the clean image "
                f"{clean.shape}. Take both of one size."
            )
        rows.append(
            PerturbedRow(
                image_id=row.image_id,
                perturbation=spec.perturbation,
                level=level,
                png=encode_png(image),
                valid=None,
                warp=None,
                strength=float(level),
                ssim=similarity(image),
                band_low=None,
                band_high=None,
                seed=0,
                status="table",
            )
        )
    return rows
