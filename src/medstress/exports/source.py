"""What is exported: the perturbed records of one data set, with the labels of its images."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from medstress.errors import MedstressError
from medstress.pixels import Image, decode_png
from medstress.records import ImageRow, PerturbedRow, read_groups, read_rows

Labels = Mapping[str, tuple[int, ...]]
"""Class indices of each image id: one, or several where a data set has several labels an image."""


@dataclass(frozen=True)
class Perturbed:
    """The images of one data set that were perturbed, in the record's order, and the record of each type.

    shape: of every image where they all have one; None where they differ.
    """

    images: Path
    records: Mapping[str, Path]
    ids: tuple[str, ...]
    levels: tuple[int, ...]
    shape: tuple[int, ...] | None

    def clean(self) -> Iterator[tuple[str, Image]]:
        """Each image as it was, with its id."""
        wanted = set(self.ids)
        for group in read_groups(self.images, ImageRow):
            for row in group:
                if row.image_id in wanted:
                    yield row.image_id, decode_png(row.png, where=f"{self.images}, {row.image_id}")

    def rows(self, name: str, level: int, *, pixels: bool = True) -> Iterator[PerturbedRow]:
        """One type at one level, an image a row. Raises MedstressError where the record has other images."""
        expected = iter(self.ids)
        for group in read_groups(self.records[name], PerturbedRow, pixels=pixels):
            for row in group:
                if row.level == level:
                    if row.image_id != next(expected, None):
                        raise MedstressError(f"{self.records[name]}: not the images of {self.images}. Make it again.")
                    yield row

    def at_level(self, name: str, level: int) -> Iterator[Image]:
        """The pixels of one type at one level, in the order of `ids`."""
        for row in self.rows(name, level):
            yield decode_png(row.png, where=f"{self.records[name]}, {row.image_id}, level {level}")


def find_perturbed(study: Path, dataset: str) -> Perturbed:
    """The records of a data set below results/{study}. Raises MedstressError where there are none."""
    images = study / "datasets" / dataset / "images.parquet"
    records = {path.stem: path for path in sorted((study / "perturbed" / dataset).glob("*.parquet"))}
    if not images.is_file() or not records:
        known = sorted(path.name for path in (study / "perturbed").glob("*") if path.is_dir())
        raise MedstressError(
            f"{study / 'perturbed' / dataset}: no perturbed images. "
            + (f"The study has {', '.join(known)}." if known else "Run the study first.")
        )
    first = pq.read_table(next(iter(records.values())), columns=["image_id", "level"])
    ids = tuple(dict.fromkeys(first["image_id"].to_pylist()))
    levels = tuple(sorted(set(first["level"].to_pylist())))
    shapes = {(row.height, row.width) for row in read_rows(images, ImageRow, pixels=False) if row.image_id in set(ids)}
    found = Perturbed(images, records, ids, levels, None)
    if len(shapes) > 1:
        return found
    channels = {image.shape for _, image in found.clean()}
    return Perturbed(images, records, ids, levels, next(iter(channels)) if len(channels) == 1 else None)


def read_labels(path: Path, ids: Sequence[str]) -> Labels:
    """The labels of a CSV sheet: `image_id`, then one column a label. Raises MedstressError with all that is wrong."""
    with path.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    columns = [name for name in (rows[0] if rows else {}) if name != "image_id"]
    if not rows or "image_id" not in rows[0] or not columns:
        raise MedstressError(f"{path}: expected a column image_id and a column for each label")
    labels, problems = {}, []
    for row in rows:
        try:
            labels[row["image_id"]] = tuple(int(row[name]) for name in columns)
        except (TypeError, ValueError):
            problems.append(
                f"{path}: {row['image_id']}: labels are class indices, not {[row[name] for name in columns]}"
            )
    if missing := sorted(set(ids) - {row["image_id"] for row in rows}):
        problems.append(f"{path}: {len(missing)} images have no label: {', '.join(missing[:5])}")
    if problems:
        raise MedstressError("\n".join(problems))
    return labels
