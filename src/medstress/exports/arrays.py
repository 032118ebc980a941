"""NumPy arrays in .npy and .npz files, written and read a few images at a time."""

import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from medstress.errors import MedstressError
from medstress.records import atomic_path

Array = npt.NDArray[Any]


def write_stream(sink: IO[bytes], parts: Iterable[Array], shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
    """One .npy array of `shape` whose rows come from `parts`, each [...] = one entry of the first axis.

    Raises MedstressError where the parts do not add up to the shape.
    """
    kind = np.dtype(dtype)
    npy.write_array_header_2_0(sink, {"descr": npy.dtype_to_descr(kind), "fortran_order": False, "shape": shape})
    count = 0
    for part in parts:
        if part.shape != shape[1:] or part.dtype != kind:
            raise MedstressError(f"expected {kind} {shape[1:]}, got {part.dtype} {part.shape}")
        sink.write(np.ascontiguousarray(part).tobytes())
        count += 1
    if count != shape[0]:
        raise MedstressError(f"expected {shape[0]} entries, got {count}")


def write_npy(path: Path, parts: Iterable[Array], shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
    """An .npy file, whole or not at all."""
    with atomic_path(path) as staged, staged.open("wb") as sink:
        write_stream(sink, parts, shape, dtype)


Member = tuple[str, Iterable[Array], tuple[int, ...], npt.DTypeLike]
"""Name, entries, shape and type of one array of an .npz file."""


def write_npz(path: Path, members: Iterable[Member]) -> None:
    """A compressed .npz file, whole or not at all. The bytes depend on the content alone."""
    with atomic_path(path) as staged, zipfile.ZipFile(staged, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, parts, shape, dtype in members:
            # A fixed date: the time of writing must not change the bytes.
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as sink:
                write_stream(sink, parts, shape, dtype)


def _header(source: IO[bytes], where: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    try:
        version = npy.read_magic(source)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        shape, fortran, dtype = read(source)
    except (ValueError, KeyError, EOFError) as error:
        raise MedstressError(f"{where}: not a readable NumPy array ({error})") from None
    if fortran and len(shape) > 1:
        raise MedstressError(f"{where}: stored column by column, which cannot be read image by image. Save it again.")
    if dtype.hasobject:
        raise MedstressError(f"{where}: holds Python objects, which are not read because they could run code.")
    return shape, dtype


def _entries(source: IO[bytes], where: str) -> Iterator[Array]:
    shape, dtype = _header(source, where)
    size = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
    for index in range(shape[0]):
        data = source.read(size)
        if len(data) < size:
            raise MedstressError(f"{where}: ends after {index} of {shape[0]} entries")
        yield np.frombuffer(data, dtype).reshape(shape[1:])


def read_npy(path: Path) -> Iterator[Array]:
    """The entries along the first axis of an .npy file, one at a time. Raises MedstressError where it is damaged."""
    with path.open("rb") as source:
        yield from _entries(source, str(path))


def read_npz(path: Path, name: str) -> Iterator[Array]:
    """The entries of one array of an .npz file, one at a time. Raises MedstressError where it is missing or damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            if f"{name}.npy" not in archive.namelist():
                found = ", ".join(member.removesuffix(".npy") for member in archive.namelist())
                raise MedstressError(f"{path}: no array {name!r}; it holds {found}")
            with archive.open(f"{name}.npy") as source:
                yield from _entries(source, f"{path}, {name}")
    except zipfile.BadZipFile as error:
        raise MedstressError(f"{path}: not a readable .npz file ({error})") from None
