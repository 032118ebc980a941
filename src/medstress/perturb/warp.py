"""Maps that move masks, boxes and points along with the image.

A warp is an affine map A from clean to perturbed pixel coordinates, where the centre of the top left pixel is (0, 0).
Masks are resampled exactly as images are (bilinear, then cut at one half), so warping a mask and warping a picture
of the mask give the same pixels.
"""

import cv2
import numpy as np
import numpy.typing as npt

from medstress.pixels import Box, Image, Mask, box_of
from medstress.records import WarpRow

Affine = npt.NDArray[np.float64]
"""float64 [2, 3]: perturbed = A @ (x, y, 1)."""


def affine(parameters: Affine) -> WarpRow:
    """The record of an affine map."""
    return WarpRow("affine", tuple(float(value) for value in parameters.ravel()))


def matrix_of(warp: WarpRow) -> Affine:
    """The [2, 3] matrix behind a record. Raises ValueError for a kind that this version does not know."""
    if warp.kind != "affine":
        raise ValueError(f"unknown warp {warp.kind!r}")
    return np.array(warp.parameters, dtype=np.float64).reshape(2, 3)


def warp_image(image: Image, warp: WarpRow, background: int) -> Image:
    """The moved image, same shape; what comes from outside the frame is `background`."""
    height, width = image.shape[:2]
    moved = cv2.warpAffine(
        image,
        matrix_of(warp),
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(background,) * 3,
    )
    return np.asarray(moved, dtype=np.uint8)


def warp_mask(mask: Mask, warp: WarpRow) -> Mask:
    """The moved mask [H, W]; what comes from outside the frame is empty."""
    return np.asarray(warp_image(mask.astype(np.uint8) * 255, warp, 0) > 127)


def valid_pixels(height: int, width: int, warp: WarpRow) -> Mask:
    """The pixels [H, W] of the moved image that still show the scene and nothing of the background."""
    return np.asarray(warp_image(np.full((height, width), 255, np.uint8), warp, 0) == 255)


def remaining_share(mask: Mask, warp: WarpRow) -> float:
    """Share of an object's area that is still in the frame after the move, 0..1.

    Measured on the pixel centres of the clean mask, so a change of scale does not count as a loss.
    """
    height, width = mask.shape
    rows, columns = np.nonzero(mask)
    matrix = matrix_of(warp)
    x = matrix[0, 0] * columns + matrix[0, 1] * rows + matrix[0, 2]
    y = matrix[1, 0] * columns + matrix[1, 1] * rows + matrix[1, 2]
    inside = (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)
    return float(inside.mean()) if inside.size else 0.0


def scale_of(warp: WarpRow) -> float:
    """By how much lengths grow on average: the square root of the map's change of area."""
    return float(np.sqrt(abs(np.linalg.det(matrix_of(warp)[:, :2]))))


def warp_box(box: Box, clean_mask: Mask, moved_mask: Mask, warp: WarpRow) -> Box:
    """The prompt box after the move: the moved mask's tight box with the margins that `box` had around the clean one.

    Margins grow and shrink with the scene, so a tight box stays tight under rotation and a loose one as loose; a box
    that cuts into the object keeps its share of it. Clipped to the image, never empty.
    """
    height, width = moved_mask.shape
    clean, moved = box_of(clean_mask), box_of(moved_mask)
    growth = scale_of(warp)
    sides = ((moved[2] - moved[0]) / (clean[2] - clean[0]), (moved[3] - moved[1]) / (clean[3] - clean[1]))
    margins = (clean[0] - box[0], clean[1] - box[1], box[2] - clean[2], box[3] - clean[3])
    left, top, right, bottom = (
        margin * (growth if margin > 0 else sides[index % 2]) for index, margin in enumerate(margins)
    )
    return (
        max(moved[0] - left, 0.0),
        max(moved[1] - top, 0.0),
        min(moved[2] + right, float(width)),
        min(moved[3] + bottom, float(height)),
    )
