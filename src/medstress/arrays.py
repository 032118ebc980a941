"""NumPy arrays in .npy and .npz files, read a few entries at a time."""

import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from medstress.errors import MedstressError

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Head:
    """What a file says of an array before its numbers."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def _header(source: IO[bytes], where: str) -> tuple[Head, bool]:
    """Shape and type of an array, and whether it is stored column by column."""
    try:
        version = npy.read_magic(source)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        shape, fortran, dtype = read(source)
    except (ValueError, KeyError, EOFError) as error:
        raise MedstressError(f"{where}: not a readable NumPy array ({error})") from None
    if dtype.hasobject:
        raise MedstressError(f"{where}: holds Python objects, which are not read because they could run code.")
    return Head(shape, dtype), fortran


def _entries(source: IO[bytes], where: str, places: Iterable[int] | None = None) -> Iterator[Array]:
    head, fortran = _header(source, where)
    if fortran and len(head.shape) > 1:
        raise MedstressError(f"{where}: stored column by column, which cannot be read image by image. Save it again.")
    if not head.shape:
        raise MedstressError(f"{where}: holds one number and no entries.")
    size = int(np.prod(head.shape[1:], dtype=np.int64)) * head.dtype.itemsize
    reached = 0
    for place in range(head.shape[0]) if places is None else places:
        source.seek((place - reached) * size, os.SEEK_CUR)
        data = source.read(size)
        if len(data) < size:
            raise MedstressError(f"{where}: ends after {place} of {head.shape[0]} entries")
        reached = place + 1
        yield np.frombuffer(data, head.dtype).reshape(head.shape[1:])


def read_npy(path: Path) -> Iterator[Array]:
    """The entries along the first axis of an .npy file, one at a time. Raises MedstressError where it is damaged."""
    with path.open("rb") as source:
        yield from _entries(source, str(path))


def read_npz(path: Path, name: str, places: Iterable[int] | None = None) -> Iterator[Array]:
    """The entries of one array of an .npz file, one at a time: all, or those at `places`, which must rise.

    Raises MedstressError where the array is missing or damaged.
    """
    with _opened(path) as archive, _member(archive, path, name) as source:
        yield from _entries(source, f"{path}, {name}", places)


def read_whole(path: Path, name: str = "") -> Array:
    """A small array, such as labels: of an .npy file, or of an .npz file by its name; stored in any order.

    Raises MedstressError where it is missing or damaged.
    """
    if not name:
        with path.open("rb") as source:
            return _whole(source, str(path))
    with _opened(path) as archive, _member(archive, path, name) as source:
        return _whole(source, f"{path}, {name}")


def npz_heads(path: Path) -> dict[str, Head]:
    """Shape and type of every array of an .npz file; no numbers are read. Raises MedstressError where it is damaged."""
    heads = {}
    with _opened(path) as archive:
        for entry in archive.namelist():
            name = entry.removesuffix(".npy")
            with archive.open(entry) as source:
                heads[name] = _header(source, f"{path}, {name}")[0]
    return heads


def _whole(source: IO[bytes], where: str) -> Array:
    head, fortran = _header(source, where)
    count = int(np.prod(head.shape, dtype=np.int64))
    data = source.read(count * head.dtype.itemsize)
    if len(data) < count * head.dtype.itemsize:
        raise MedstressError(f"{where}: ends before its last number")
    return np.frombuffer(data, head.dtype).reshape(head.shape, order="F" if fortran else "C")


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise MedstressError(f"{path}: not a readable .npz file ({error})") from None


def _member(archive: zipfile.ZipFile, path: Path, name: str) -> IO[bytes]:
    if f"{name}.npy" not in archive.namelist():
        found = ", ".join(member.removesuffix(".npy") for member in archive.namelist())
        raise MedstressError(f"{path}: no array {name!r}; it holds {found}")
    return archive.open(f"{name}.npy")
