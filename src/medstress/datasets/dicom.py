"""DICOM files."""

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.pixels.processing import apply_modality_lut
from pydicom.pixels.utils import pixel_array

from medstress.cards.images import Window
from medstress.datasets.candidate import BadSampleError
from medstress.datasets.picture import Fidelity, Picture, Values

_GREY = ("MONOCHROME1", "MONOCHROME2")


def read_dicom(path: Path) -> Picture:
    """A DICOM file of one frame. Grey values come after the modality transform (CT numbers in HU); colour as RGB.

    The first window of the file comes along (PS3.3 C.11.2.1.2).
    """
    header = pydicom.dcmread(path)
    if "PixelData" not in header:
        raise BadSampleError(path, "is a DICOM file with no image in it.")
    if (frames := int(header.get("NumberOfFrames") or 1)) > 1:
        raise BadSampleError(path, f"holds {frames} frames. Save one image a file.")
    colours = str(header.PhotometricInterpretation)
    values = _pixels(path, header)
    lossy = str(header.get("LossyImageCompression") or "00") == "01"
    fidelity: Fidelity = "lossy" if lossy else "exact"
    if values.ndim == 3:
        return Picture(values, fidelity)
    if colours not in _GREY:
        raise BadSampleError(path, f"has the photometric interpretation {colours}. Only grey and RGB can be read.")
    return Picture(
        _rescaled(header, values),
        fidelity,
        _window_of(header),
        inverted=colours == "MONOCHROME1",
        unit=_unit_of(header),
    )


def _pixels(path: Path, header: pydicom.Dataset) -> Values:
    try:
        values: Values = pixel_array(header)  # RGB, also where the file has YBR
    except RuntimeError as error:
        if "missing dependencies" not in str(error):
            raise
        syntax = header.file_meta.TransferSyntaxUID.name
        fix = "Install pylibjpeg, pylibjpeg-libjpeg and pylibjpeg-openjpeg, or save it uncompressed."
        raise BadSampleError(path, f"is compressed ({syntax}) and no decoder is installed. {fix}") from None
    return values


def _rescaled(header: pydicom.Dataset, values: Values) -> Values:
    scaled: Values = apply_modality_lut(values, header)
    # Whole numbers stay whole, so that CT numbers are kept exactly.
    return values if np.array_equal(scaled, values) else scaled


def _window_of(header: pydicom.Dataset) -> Window | None:
    first = [_first(header.get(name)) for name in ("WindowCenter", "WindowWidth")]
    if first[0] is None or first[1] is None:
        return None
    center, width = float(first[0]), float(first[1])
    if str(header.get("VOILUTFunction") or "LINEAR") == "LINEAR":
        low, high = center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2
    else:
        low, high = center - width / 2, center + width / 2
    return Window(low=low, high=high, unit=_unit_of(header)) if low < high else None


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, pydicom.multival.MultiValue) else value


def _unit_of(header: pydicom.Dataset) -> str | None:
    named = str(header.get("RescaleType") or "")
    if named and named != "US":  # US stands for unspecified
        return named
    return "HU" if header.get("Modality") == "CT" else None
