"""NIfTI volumes, seen slice by slice from the feet: nose or breastbone up, the patient's right at the left."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from nibabel.volumeutils import apply_read_scaling

from medstress.datasets.candidate import BadSampleError
from medstress.datasets.picture import Picture, Values

KEPT_BYTES = 2**30
"""Memory for volumes whose slices are in use, as compressed; one volume is kept even where it needs more."""

_ORIENTATIONS: Any = nibabel.orientations  # has no types
_CODEC = "zstd"  # reads several times faster than the gzip of .nii.gz, and masks shrink to almost nothing


@dataclass(frozen=True)
class Grid:
    """Where the voxels of a volume lie, its axes towards the patient's left, back and head.

    shape: number of voxels along each axis. affine: [4, 4], from voxel indices to scanner coordinates in mm.
    """

    shape: tuple[int, int, int]
    affine: npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Packed:
    """A volume in memory: each slice compressed, stored numbers [H, W] of `dtype`; value = stored * slope + inter."""

    slices: tuple[bytes, ...]
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    slope: float
    inter: float

    @property
    def size(self) -> int:
        return sum(map(len, self.slices))


_FileState = tuple[Path, int, int]
_kept: dict[_FileState, _Packed] = {}
"""Volumes by path, time of change and size, the one that was used last at the end."""


def read_grid(path: Path) -> Grid:
    """The grid of a NIfTI volume, from its header alone. Raises BadSampleError for more than three axes."""
    opened: Any = nibabel.load(path)
    shape = _shape(path, opened.shape)
    to_view = _to_view(opened.affine)
    affine = opened.affine @ _ORIENTATIONS.inv_ornt_aff(to_view, shape)
    lengths = [0, 0, 0]
    for length, (axis, _) in zip(shape, to_view, strict=True):
        lengths[int(axis)] = length
    return Grid((lengths[0], lengths[1], lengths[2]), np.asarray(affine, dtype=np.float64))


def read_nifti(path: Path, layer: int) -> Picture:
    """One axial slice of a NIfTI volume. The volume is kept compressed, since its slices are read one by one."""
    volume = _volume(path)
    stored = pa.decompress(
        volume.slices[layer],
        decompressed_size=volume.dtype.itemsize * volume.shape[0] * volume.shape[1],
        codec=_CODEC,
        asbytes=True,
    )
    values = np.frombuffer(stored, volume.dtype).reshape(volume.shape)
    return Picture(np.asarray(apply_read_scaling(values, np.float64(volume.slope), np.float64(volume.inter))))


def _volume(path: Path) -> _Packed:
    state = path.stat()
    key = (path, state.st_mtime_ns, state.st_size)
    volume = _kept.pop(key, None) or _pack(path)
    _kept[key] = volume
    while len(_kept) > 1 and sum(kept.size for kept in _kept.values()) > KEPT_BYTES:
        del _kept[next(iter(_kept))]
    return volume


def _pack(path: Path) -> _Packed:
    opened: Any = nibabel.load(path)
    shape = _shape(path, opened.shape)
    stored: Values = opened.dataobj.get_unscaled()
    if stored.dtype.kind not in "uif":
        raise BadSampleError(path, f"holds values of the type {opened.get_data_dtype()}. Save whole or real numbers.")
    viewed = _ORIENTATIONS.apply_orientation(stored.reshape(shape, order="F"), _to_view(opened.affine))
    return _Packed(
        slices=tuple(
            pa.compress(viewed[..., layer].T.tobytes(), codec=_CODEC, asbytes=True) for layer in range(viewed.shape[2])
        ),
        shape=(viewed.shape[1], viewed.shape[0]),
        dtype=stored.dtype,
        slope=opened.dataobj.slope,
        inter=opened.dataobj.inter,
    )


def _to_view(affine: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    stored = _ORIENTATIONS.io_orientation(affine)
    return np.asarray(_ORIENTATIONS.ornt_transform(stored, _ORIENTATIONS.axcodes2ornt(("L", "P", "S"))))


def _shape(path: Path, shape: tuple[int, ...]) -> tuple[int, int, int]:
    # Axes of length 1 may follow the third, and the third may be missing.
    padded = (*shape, 1)[: max(3, len(shape))]
    if len(padded) < 3 or any(length != 1 for length in padded[3:]):
        raise BadSampleError(path, f"has the shape {shape}. Save one volume a file.")
    return padded[0], padded[1], padded[2]
