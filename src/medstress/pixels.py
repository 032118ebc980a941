"""Pixels in and out of bytes: PNG images and COCO run-length masks."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

from medstress.errors import MedstressError

Image = npt.NDArray[np.uint8]
"""uint8, [H, W] for grey or [H, W, 3] for RGB, values 0..255 in their declared range."""

Mask = npt.NDArray[np.bool_]
"""bool, [H, W]."""

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels, half-open: x1 and y1 are one past the last pixel."""

# Level 1 with the run-length strategy is the fastest zlib setting that still shrinks medical images; the pixels
# are the same at every setting.
_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE)


def to_uint8(values: npt.NDArray[np.float32]) -> Image:
    """Rounded and clipped to 0..255. Works in place: the argument is overwritten."""
    np.rint(values, out=values)
    np.clip(values, 0, 255, out=values)
    return values.astype(np.uint8)


def encode_png(image: npt.NDArray[Any]) -> bytes:
    """PNG bytes of an image, uint8 [H, W] or [H, W, 3] RGB, or uint16 [H, W]."""
    stored = np.ascontiguousarray(image[..., ::-1]) if image.ndim == 3 else image
    ok, buffer = cv2.imencode(".png", stored, _PNG)
    if not ok:
        raise MedstressError(f"PNG encoding failed for an image of shape {image.shape} and type {image.dtype}")
    return buffer.tobytes()


def decode_png(data: bytes, *, where: str) -> npt.NDArray[Any]:
    """The image as stored: uint8 or uint16, [H, W] or [H, W, 3] RGB. `where` names the source in errors."""
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if decoded is None:
        raise MedstressError(f"{where}: the bytes are not a readable PNG image")
    return np.ascontiguousarray(decoded[..., ::-1]) if decoded.ndim == 3 else decoded


def encode_mask(mask: Mask) -> bytes:
    """COCO run-length bytes of a mask [H, W], as `pycocotools.mask.decode({"size": [H, W], "counts": bytes})` reads."""
    counts: bytes = coco.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"]
    return counts


def decode_mask(counts: bytes, height: int, width: int) -> Mask:
    """The mask [height, width] behind COCO run-length bytes."""
    return np.asarray(coco.decode({"size": [height, width], "counts": counts})).astype(bool)


def box_of(mask: Mask) -> Box:
    """The tight box of a mask, half-open. Raises ValueError for an empty mask."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if not columns.size:
        raise ValueError("an empty mask has no box")
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
