"""How rendered values become stored pixels."""

import cv2
import numpy as np
import numpy.typing as npt

from medstress.perturb.planes import Planes
from medstress.pixels import Image, to_uint8


def stored(values: npt.NDArray[np.float32], compat: bool) -> Image:
    """Values in grey levels as uint8, clipped to 0..255. Works in place: the argument is overwritten.

    Rounded; with `compat` cut off, as the published code does, which darkens by half a level on average.
    """
    if not compat:
        return to_uint8(values)
    np.clip(values, 0, 255, out=values)
    return values.astype(np.uint8)


def stored_planes(planes: Planes, compat: bool) -> Image:
    """As `stored`, for planes: uint8 [H, W] of one plane, [H, W, 3] of three. Overwrites the planes."""
    values = stored(planes, compat)
    return np.asarray(values[0] if len(values) == 1 else cv2.merge(list(values)), dtype=np.uint8)
