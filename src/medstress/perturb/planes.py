"""Images as planes, one a channel: maps of one value a pixel then meet every channel at full speed."""

from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

from medstress.pixels import Image, Mask, to_uint8

Plane = npt.NDArray[np.float32]
"""float32 [H, W]."""
Planes = npt.NDArray[np.float32]
"""float32 [channels, H, W], grey levels; one channel for grey, R, G, B for colour."""

# A smaller copy is never so small that the blur gets narrower than this, in its pixels: it would show the grid.
_FINEST = 3.0


def split(image: Image) -> Planes:
    """The channels of an image, uint8 [H, W] or [H, W, 3], as contiguous planes."""
    if image.ndim == 2:
        return image.astype(np.float32)[None]
    return np.ascontiguousarray(np.moveaxis(image, -1, 0), dtype=np.float32)


def blurred(plane: Plane, sigma: float) -> Plane:
    """One plane [H, W] out of focus: a Gaussian of `sigma` pixels, the border mirrored.

    A wide one works on a smaller copy, in which it is 3 to 6 pixels wide, so that it stays quick.
    """
    shrink = max(1, int(sigma / _FINEST))
    if shrink == 1:
        return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma), dtype=np.float32)
    height, width = plane.shape
    size = max(1, round(width / shrink)), max(1, round(height / shrink))
    small = cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / shrink)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def blurred_inside(planes: Iterable[Plane], inside: Mask, sigma: float) -> list[Plane]:
    """Planes after a Gaussian of `sigma` pixels that takes nothing from outside the mask; 0 far outside."""
    within = inside.astype(np.float32)
    weight = np.maximum(blurred(within, sigma), np.float32(1e-3))
    return [np.asarray(blurred(plane * within, sigma) / weight, dtype=np.float32) for plane in planes]


def looked_up(values: Image, table: npt.NDArray[np.float32]) -> Plane:
    """table[values], float32 of the shape of `values`, uint8, with a table of 256."""
    return np.asarray(cv2.LUT(values, table), dtype=np.float32)


def join(planes: Iterable[Plane]) -> Image:
    """The image, rounded and clipped: uint8 [H, W] of one plane, [H, W, 3] of three. Overwrites the planes.

    Planes may be made one by one as they are asked for: no two of them are held at once.
    """
    return merged([to_uint8(plane) for plane in planes])


def merged(channels: list[Image]) -> Image:
    """The image of its channels, uint8 [H, W] each."""
    return channels[0] if len(channels) == 1 else np.asarray(cv2.merge(channels), dtype=np.uint8)
