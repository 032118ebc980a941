"""What a file holds before it becomes an 8-bit image or a mask."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from medstress.cards.images import Window
from medstress.pixels import Image

Values = npt.NDArray[Any]
"""Numbers of any type, [H, W] or, for RGB, [H, W, 3]."""

Fidelity = Literal["exact", "mapped", "lossy"]
"""exact: the file's own numbers. mapped: through a palette, or from fewer than 8 bits. lossy: JPEG."""


@dataclass(frozen=True)
class Picture:
    """The values of a file.

    values: [H, W] or [H, W, 3] RGB.
    window: what the file says should be seen, if it says so. inverted: low values are bright (MONOCHROME1).
    """

    values: Values
    fidelity: Fidelity = "exact"
    window: Window | None = None
    inverted: bool = False
    unit: str | None = None


def to_display(picture: Picture, window: Window | None) -> Image | None:
    """The 8-bit image [H, W] or [H, W, 3] of a picture, None where it has more than 8 bits and there is no window.

    8-bit values are shown as they are. Others go through `window`, or the file's own where that is None.
    """
    if picture.values.dtype == np.uint8:
        image = np.array(picture.values)
    else:
        shown = window or picture.window
        if shown is None:
            return None
        shares = (picture.values.astype(np.float64) - shown.low) / (shown.high - shown.low)
        image = np.rint(np.clip(shares, 0, 1) * 255).astype(np.uint8)
    return 255 - image if picture.inverted else image


@dataclass(frozen=True)
class RawImage:
    """Intensities as stored in the images record: value = values * slope + intercept; values uint16 [H, W]."""

    values: npt.NDArray[np.uint16]
    slope: float
    intercept: float
    unit: str | None


def to_raw(values: Values, slope: float, intercept: float, unit: str | None) -> RawImage:
    """Intensities `values * slope + intercept` [H, W] as 16 bits: exact for whole numbers that span at most 65535."""
    if values.dtype == np.uint16:
        return RawImage(np.array(values), slope, intercept, unit)
    scaled = values.astype(np.float64)
    low, high = float(scaled.min()), float(scaled.max())
    whole = bool(np.all(scaled == np.rint(scaled))) and high - low <= 65535
    step = 1.0 if whole or high == low else (high - low) / 65535
    stored = np.rint((scaled - low) / step).astype(np.uint16)
    return RawImage(stored, slope * step, slope * low + intercept, unit)
