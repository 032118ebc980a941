"""NumPy arrays in .npy and .npz files, written a few images at a time; medstress.arrays reads them."""

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from medstress.arrays import Array
from medstress.errors import MedstressError
from medstress.records import atomic_path


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
