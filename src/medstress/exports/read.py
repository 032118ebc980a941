"""Readers of corrupted data sets in the formats of other benchmarks, one image at a time."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from medstress.arrays import Array, read_npy, read_npz
from medstress.errors import MedstressError
from medstress.pixels import Image, decode_png
from medstress.records import CLEAN

_LEVELS = 5


@dataclass(frozen=True)
class ReadCell:
    """One image as another benchmark stored it.

    perturbation: the name that the files give it; "clean" with level 0 is the unperturbed image. index: its place in
    the data set. labels: class indices, empty where the format has none.
    """

    perturbation: str
    level: int
    index: int
    image: Image
    labels: tuple[int, ...]


def _labels(value: Array) -> tuple[int, ...]:
    return tuple(int(label) for label in np.atleast_1d(value))


def _image(value: Array, where: Path) -> Image:
    if value.dtype != np.uint8 or value.ndim not in (2, 3) or (value.ndim == 3 and value.shape[2] not in (1, 3)):
        raise MedstressError(f"{where}: expected uint8 images [H, W] or [H, W, 3], got {value.dtype} {value.shape}")
    return value[..., 0] if value.ndim == 3 and value.shape[2] == 1 else value


def _files(folder: Path, pattern: str) -> list[Path]:
    if not (found := sorted(folder.glob(pattern))):
        raise MedstressError(f"{folder}: no {pattern} found")
    return found


def _by_level(
    pairs: list[tuple[Array, Array]] | Iterator[tuple[Array, Array]], size: int, path: Path
) -> Iterator[ReadCell]:
    for place, (image, labels) in enumerate(pairs):
        yield ReadCell(path.stem, place // size + 1, place % size, _image(image, path), _labels(labels))


def _size(path: Path, count: int) -> int:
    if count % _LEVELS:
        raise MedstressError(f"{path}: {count} entries are not {_LEVELS} levels of one data set")
    return count // _LEVELS


def read_medmnist_c(folder: Path) -> Iterator[ReadCell]:
    """folder/{type}.npz with test_images and test_labels, five levels one after the other."""
    for path in _files(folder, "*.npz"):
        size = _size(path, sum(1 for _ in read_npz(path, "test_labels")))
        pairs = zip(read_npz(path, "test_images"), read_npz(path, "test_labels"), strict=True)
        yield from _by_level(pairs, size, path)


def read_medimeta_c(folder: Path) -> Iterator[ReadCell]:
    """folder/clean.npz and folder/{type}_severity_{level}.npz with images and labels."""
    for path in _files(folder, "*.npz"):
        match = re.fullmatch(r"(.+)_severity_(\d+)", path.stem)
        if match is None and path.stem != CLEAN:
            raise MedstressError(f"{path}: neither clean.npz nor TYPE_severity_LEVEL.npz")
        name, level = (match[1], int(match[2])) if match else (CLEAN, 0)
        pairs = zip(read_npz(path, "images"), read_npz(path, "labels"), strict=True)
        for index, (image, labels) in enumerate(pairs):
            yield ReadCell(name, level, index, _image(image, path), _labels(labels))


def read_cifar_c(folder: Path) -> Iterator[ReadCell]:
    """folder/{type}.npy, five levels one after the other, and folder/labels.npy."""
    labels = [_labels(value) for value in read_npy(folder / "labels.npy")]
    size = _size(folder / "labels.npy", len(labels))
    for path in _files(folder, "*.npy"):
        if path.stem != "labels":
            pairs = zip(read_npy(path), (np.array(values) for values in labels), strict=True)
            yield from _by_level(pairs, size, path)


def read_folder(folder: Path) -> Iterator[ReadCell]:
    """folder/clean/{image}.png and folder/{type}/{level}/{image}.png; without labels."""
    groups = [(folder / "clean", CLEAN, 0)]
    groups += [(path, path.parent.name, int(path.name)) for path in sorted(folder.glob("*/*")) if path.name.isdecimal()]
    for group, name, level in groups:
        for index, path in enumerate(sorted(group.rglob("*.png"))):
            yield ReadCell(name, level, index, _image(decode_png(path.read_bytes(), where=str(path)), path), ())


def read_hugging_face(folder: Path) -> Iterator[ReadCell]:
    """folder/data/*.parquet with image, perturbation, level and, if there are any, labels."""
    for path in _files(folder / "data", "*.parquet"):
        seen: dict[int, int] = {}
        for batch in pq.ParquetFile(path).iter_batches(64):
            for row in batch.to_pylist():
                level = row["level"]
                image = decode_png(row["image"]["bytes"], where=str(path))
                yield ReadCell(row["perturbation"], level, seen.get(level, 0), image, tuple(row.get("labels") or ()))
                seen[level] = seen.get(level, 0) + 1


READERS: dict[str, Callable[[Path], Iterator[ReadCell]]] = {
    "folder": read_folder,
    "medmnist_c": read_medmnist_c,
    "medimeta_c": read_medimeta_c,
    "cifar_c": read_cifar_c,
    "hugging_face": read_hugging_face,
}
