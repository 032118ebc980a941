"""Pictures and outlines, small enough for a page."""

import base64

import cv2
import numpy as np

from medstress.perturb.warp import warp_mask
from medstress.pixels import Image, Mask, box_of, decode_mask
from medstress.rows import ObjectRow, WarpRow

_LONGEST = 224
_QUALITY = 90
# Of one sample. A tile of nuclei has hundreds of objects.
_MOST_OUTLINES = 60
_SLACK = 0.4


def picture(image: Image) -> str:
    """A data URL of an image, uint8 [H, W] or [H, W, 3], reduced to 224 pixels and compressed as WebP."""
    height, width = image.shape[:2]
    scale = min(1.0, _LONGEST / max(height, width))
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    stored = np.ascontiguousarray(image[..., ::-1]) if image.ndim == 3 else image
    ok, data = cv2.imencode(".webp", stored, (cv2.IMWRITE_WEBP_QUALITY, _QUALITY))
    assert ok
    return f"data:image/webp;base64,{base64.b64encode(data.tobytes()).decode('ascii')}"


def outline(mask: Mask) -> str:
    """The outline of a mask [H, W] as an SVG path in pixels of the image; empty for an empty mask.

    Straight pieces replace the steps between pixels where they are no further off than a part of a pixel.
    """
    if not mask.any():
        return ""
    left, top, right, bottom = (int(end) for end in box_of(mask))
    slack = _SLACK * max(1.0, max(mask.shape) / _LONGEST)
    # Twice as large, so that the outline lies beside the borders of pixels and one pixel has an area.
    doubled = np.repeat(np.repeat(mask[top:bottom, left:right].astype(np.uint8), 2, axis=0), 2, axis=1)
    found, _ = cv2.findContours(doubled, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    parts = []
    for points in found:
        corners = cv2.approxPolyDP(points, 2 * slack, closed=True).reshape(-1, 2) / 2 + (left + 0.25, top + 0.25)
        parts.append("M" + "L".join(f"{x:.5g} {y:.5g}" for x, y in corners) + "Z")
    return "".join(sorted(parts))


def outlines(masks: list[Mask]) -> str:
    """The outlines of several objects, at most 60, as one path."""
    return "".join(outline(mask) for mask in masks[:_MOST_OUTLINES])


def box_path(box: tuple[float, ...]) -> str:
    """A box x0, y0, x1, y1 as a path."""
    x0, y0, x1, y1 = (f"{end:.5g}" for end in box)
    return f"M{x0} {y0}H{x1}V{y1}H{x0}Z"


def truth_path(objects: tuple[ObjectRow, ...], size: tuple[int, int], warp: WarpRow | None) -> str:
    """The outlines of the true objects on an image (height, width) that a warp may have moved."""
    masks = [decode_mask(item.mask, *size) for item in objects[:_MOST_OUTLINES]]
    return outlines(masks if warp is None else [warp_mask(mask, warp) for mask in masks])
