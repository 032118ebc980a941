"""Images as a model sees them: clean, or in one cell of one perturbation."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from medstress.pixels import Image, decode_png
from medstress.records import CLEAN, ImageRow, PerturbedRow, WarpRow, read_groups

T = TypeVar("T")


@dataclass(frozen=True)
class View:
    """One image, as PNG, in one cell; "clean" with level 0 is the unperturbed image."""

    image_id: str
    perturbation: str
    level: int
    png: bytes
    warp: WarpRow | None


@dataclass
class Pace:
    """How many images the model was asked about, and for how many seconds; what the journal knew is not in it."""

    images: int = 0
    seconds: float = 0.0

    @property
    def images_per_second(self) -> float | None:
        """None where everything came from the journal."""
        return round(self.images / self.seconds, 2) if self.seconds else None


def read_views(images: Path, perturbed: Sequence[Path], split: str) -> Iterator[list[View]]:
    """The views of each row group: of the clean images of a split, then of each perturbed record."""
    yield from clean_views(images, lambda row: row.split == split)
    yield from perturbed_views(perturbed)


def clean_views(images: Path, wanted: Callable[[ImageRow], bool], *, pixels: bool = True) -> Iterator[list[View]]:
    """The views of the wanted clean images, by row group; without `pixels` their PNG is empty."""
    for clean in read_groups(images, ImageRow, pixels=pixels):
        if views := [View(row.image_id, CLEAN, 0, row.png, None) for row in clean if wanted(row)]:
            yield views


def perturbed_views(perturbed: Sequence[Path], *, pixels: bool = True) -> Iterator[list[View]]:
    """The views of each perturbed record, by row group; without `pixels` their PNG is empty."""
    for path in perturbed:
        for group in read_groups(path, PerturbedRow, pixels=pixels):
            if group:
                yield [View(row.image_id, row.perturbation, row.level, row.png, row.warp) for row in group]


def decoded(dataset: str, views: Sequence[View], threads: int) -> list[Image]:
    """The pixels of views; a GPU answers faster than one CPU thread decodes large images."""

    def pixels(view: View) -> Image:
        where = f"{dataset}, {view.perturbation} level {view.level}, {view.image_id}"
        return np.asarray(decode_png(view.png, where=where), dtype=np.uint8)

    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        return list(pool.map(pixels, views))


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The items in their order, each made by a thread while the one before it is in use."""
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item
