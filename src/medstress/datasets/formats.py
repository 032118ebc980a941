"""One picture out of one file, whatever its format.

The format is told by the file's extension; a file with another extension, or none, is DICOM if it carries the DICOM
mark at byte 128.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from medstress.datasets.candidate import BadSampleError
from medstress.datasets.dicom import read_dicom
from medstress.datasets.nifti import Grid, read_grid, read_nifti
from medstress.datasets.picture import Picture, Values
from medstress.datasets.raster import (
    picture_in,
    read_jpeg,
    read_npy,
    read_npy_layer,
    read_npy_planes,
    read_png,
    read_tiff,
)

T = TypeVar("T")

_NIFTI = (".nii.gz", ".nii")
_READERS: dict[str, Callable[[Path], Picture]] = {
    ".png": read_png,
    ".jpg": read_jpeg,
    ".jpeg": read_jpeg,
    ".tif": read_tiff,
    ".tiff": read_tiff,
    ".npy": read_npy,
    ".dcm": read_dicom,
    ".dicom": read_dicom,
    ".ima": read_dicom,
}


def extension_of(path: Path) -> str:
    """The known extension of a file, in its own letters; "" where there is none."""
    for extension in (*_NIFTI, *_READERS):
        if path.name.lower().endswith(extension):
            return path.name[-len(extension) :]
    return ""


def stem_of(path: Path) -> str:
    """The file's name without its extension; `scan.nii.gz` gives `scan`."""
    return path.name.removesuffix(extension_of(path))


def is_picture(path: Path) -> bool:
    """Whether a file has a format that can be read. Hidden files never do."""
    if path.name.startswith(".") or path.name == "DICOMDIR" or not path.is_file():
        return False
    return bool(extension_of(path)) or _has_dicom_mark(path)


def _has_dicom_mark(path: Path) -> bool:
    try:
        with path.open("rb") as handle:
            return handle.read(132)[128:] == b"DICM"
    except OSError:
        return False


def grid_of(path: Path) -> Grid | None:
    """The grid of a volume (NIfTI), from its header; None for a picture. Raises BadSampleError."""
    if extension_of(path).lower() not in _NIFTI:
        return None
    return _guarded(read_grid, path)


def read_picture(path: Path, layer: int | None = None) -> Picture:
    """The picture in a file, or one axial slice of a volume, or one picture of an NPY stack. Its values are read-only.

    Raises BadSampleError, with the reason, for a file that is missing, damaged or of a kind that is not supported.
    """
    extension = extension_of(path).lower()
    if extension in _NIFTI:
        picture = _guarded(lambda file: read_nifti(file, layer or 0), path)
    elif extension == ".npy" and layer is not None:
        picture = _guarded(lambda file: read_npy_layer(file, layer), path)
    else:
        picture = _guarded(_READERS.get(extension, read_dicom), path)
    picture.values.setflags(write=False)
    return picture


def picture_of(data: bytes, where: str) -> Picture:
    """The PNG or JPEG picture that some bytes are; its values are read-only. Raises BadSampleError naming `where`."""
    picture = _guarded(lambda named: picture_in(named, data), Path(where))
    picture.values.setflags(write=False)
    return picture


def read_planes(path: Path, layer: int) -> Values:
    """What an NPY stack holds at one place, of any shape. Raises BadSampleError."""
    return _guarded(lambda file: read_npy_planes(file, layer), path)


def _guarded(read: Callable[[Path], T], path: Path) -> T:
    try:
        return read(path)
    except BadSampleError:
        raise
    except FileNotFoundError:
        raise BadSampleError(path, "no such file.") from None
    except PermissionError:
        raise BadSampleError(path, "permission denied. Give this user the right to read it.") from None
    except Exception as error:  # a damaged file can raise anything in four foreign readers; it must not stop the others
        raise BadSampleError(path, f"unreadable: {type(error).__name__}: {str(error).partition(chr(10))[0]}") from None
