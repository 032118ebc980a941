"""Maps that move masks, boxes and points along with the image.

A warp says where each pixel of the perturbed image comes from; the centre of the top left pixel is (0, 0). Kinds and
their parameters:

affine    6 numbers, row by row: perturbed = A @ (x, y, 1), from clean to perturbed.
rows      one shift a row, in pixels: row y of the perturbed image is row y of the clean one, moved right by shift[y].
lenses    (x, y, radius, strength) each: inside the circle, at distance d of its centre, the perturbed image shows what
          the clean one has at distance d * (1 - strength * (1 - (d / radius)^2)). Strength is in 0..0.7, which keeps
          the map one to one; circles do not overlap.
grid      rows, columns, then dx and dy of a grid of that size spread over the image from edge to edge, in pixels:
          the perturbed image shows at p what the clean one has at p + d(p), with d interpolated bilinearly.

Masks are resampled exactly as images are (bilinear, then cut at one half), so warping a mask and warping a picture
of the mask give the same pixels.
"""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from medstress.perturb.lenses import moved_points, origins
from medstress.pixels import Box, Image, Mask, box_of
from medstress.rows import WarpRow

Affine = npt.NDArray[np.float64]
"""float64 [2, 3]: perturbed = A @ (x, y, 1)."""
Points = npt.NDArray[np.float64]
"""float64 [n, 2]: x, y in pixels."""

# The inverse is the fixed point of p <- clean - d(p). Steps are damped, because d may be steep.
_INVERSION_STEPS = 40
_DAMPING = 0.6


def affine(parameters: Affine) -> WarpRow:
    """The record of an affine map."""
    return WarpRow("affine", tuple(float(value) for value in parameters.ravel()))


def rows(shifts: npt.NDArray[np.floating]) -> WarpRow:
    """The record of row shifts, pixels to the right, one for each row of the image."""
    return WarpRow("rows", tuple(float(value) for value in shifts))


def lenses(circles: npt.NDArray[np.floating]) -> WarpRow:
    """The record of refracting circles, [n, 4]: x, y, radius in pixels, strength in 0..0.7. None may overlap."""
    return WarpRow("lenses", tuple(float(value) for value in circles.ravel()))


def grid(dx: npt.NDArray[np.floating], dy: npt.NDArray[np.floating]) -> WarpRow:
    """The record of a displacement field on a grid [r, c] from edge to edge, kept to 1/256 pixel."""
    kept = np.rint(np.stack([dx, dy]).astype(np.float64) * 256) / 256
    return WarpRow("grid", (float(dx.shape[0]), float(dx.shape[1]), *kept.ravel().tolist()))


def _circles_of(warp: WarpRow) -> npt.NDArray[np.float64]:
    return np.array(warp.parameters, dtype=np.float64).reshape(-1, 4)


def matrix_of(warp: WarpRow) -> Affine:
    """The [2, 3] matrix behind the record of an affine map. Raises ValueError for another kind."""
    if warp.kind != "affine":
        raise ValueError(f"{warp.kind!r} is not an affine warp")
    return np.array(warp.parameters, dtype=np.float64).reshape(2, 3)


Displacement = Callable[[Points], Points]
"""From points of the perturbed image to how far away, in the clean image, what they show lies."""


def _rows_displacement(warp: WarpRow, height: int, width: int) -> Displacement:
    shifts = np.array(warp.parameters)

    def displacement(points: Points) -> Points:
        nearest = np.clip(np.rint(points[:, 1]), 0, height - 1).astype(int)
        return np.stack([-shifts[nearest], np.zeros(len(points))], axis=1)

    return displacement


def _grid_field(warp: WarpRow) -> npt.NDArray[np.float64]:
    row_count, column_count = int(warp.parameters[0]), int(warp.parameters[1])
    return np.array(warp.parameters[2:]).reshape(2, row_count, column_count)


def _between_nodes(
    positions: npt.NDArray[np.float64], length: int, nodes: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """The node before each position in pixels along a side, and how far beyond it the position lies, 0..1."""
    at = np.clip(positions * (nodes - 1) / max(length - 1, 1), 0, nodes - 1)
    before = np.minimum(at.astype(int), nodes - 2)
    return before, at - before


def _grid_displacement(warp: WarpRow, height: int, width: int) -> Displacement:
    field = _grid_field(warp)

    def displacement(points: Points) -> Points:
        left, across = _between_nodes(points[:, 0], width, field.shape[2])
        top, down = _between_nodes(points[:, 1], height, field.shape[1])
        upper = field[:, top, left] * (1 - across) + field[:, top, left + 1] * across
        lower = field[:, top + 1, left] * (1 - across) + field[:, top + 1, left + 1] * across
        return np.asarray((upper * (1 - down) + lower * down).T)

    return displacement


def _grid_origins(warp: WarpRow, height: int, width: int) -> npt.NDArray[np.float32]:
    """Where every pixel comes from, float32 [2 (x, y), H, W]: across the whole grid first, then down."""
    field = _grid_field(warp)
    left, across = _between_nodes(np.arange(width, dtype=np.float64), width, field.shape[2])
    top, down = _between_nodes(np.arange(height, dtype=np.float64), height, field.shape[1])
    wide = field[:, :, left] * (1 - across) + field[:, :, left + 1] * across
    wide[0] += np.arange(width)
    wide[1] += np.linspace(0, height - 1, field.shape[1])[:, None]
    fine, share = wide.astype(np.float32), down.astype(np.float32)[:, None]
    return np.asarray(fine[:, top] * (1 - share) + fine[:, top + 1] * share)


_DISPLACEMENTS: dict[str, Callable[[WarpRow, int, int], Displacement]] = {
    "rows": _rows_displacement,
    "grid": _grid_displacement,
}


def _displacement_of(warp: WarpRow, height: int, width: int) -> Displacement:
    if warp.kind not in _DISPLACEMENTS:
        raise ValueError(f"unknown warp {warp.kind!r}")
    return _DISPLACEMENTS[warp.kind](warp, height, width)


def warp_image(image: Image, warp: WarpRow, background: int) -> Image:
    """The moved image, same shape; what comes from outside the frame is `background`.

    Raises ValueError for a kind that this version does not know.
    """
    height, width = image.shape[:2]
    fill = {"borderMode": cv2.BORDER_CONSTANT, "borderValue": (background,) * 3}
    if warp.kind == "affine":
        moved = cv2.warpAffine(image, matrix_of(warp), (width, height), flags=cv2.INTER_LINEAR, **fill)  # type: ignore[call-overload]
        return np.asarray(moved, dtype=np.uint8)
    if warp.kind == "lenses":
        from_x, from_y = origins(_circles_of(warp), height, width)
    elif warp.kind == "grid":
        from_x, from_y = _grid_origins(warp, height, width)
    elif warp.kind == "rows":
        from_x = (np.arange(width) - np.array(warp.parameters)[:, None]).astype(np.float32)
        from_y = np.repeat(np.arange(height, dtype=np.float32)[:, None], width, axis=1)
    else:
        raise ValueError(f"unknown warp {warp.kind!r}")
    moved = cv2.remap(image, from_x, from_y, cv2.INTER_LINEAR, **fill)  # type: ignore[call-overload]
    return np.asarray(moved, dtype=np.uint8)


def warp_points(points: Points, warp: WarpRow, height: int, width: int) -> Points:
    """Where points [n, 2] of the clean image lie in the perturbed one, x, y in pixels; they may leave the frame."""
    if warp.kind == "affine":
        matrix = matrix_of(warp)
        return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])
    if warp.kind == "lenses":
        return moved_points(points, _circles_of(warp))
    displacement = _displacement_of(warp, height, width)
    moved = points.astype(np.float64, copy=True)
    for _ in range(_INVERSION_STEPS):
        moved += _DAMPING * (points - displacement(moved) - moved)
    return moved


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
    row, column = np.nonzero(mask)
    moved = warp_points(np.stack([column, row], axis=1).astype(np.float64), warp, height, width)
    x, y = moved[:, 0], moved[:, 1]
    inside = (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)
    return float(inside.mean()) if inside.size else 0.0


def scale_of(warp: WarpRow) -> float:
    """By how much lengths grow on average: the square root of the map's change of area; 1 where it is local."""
    return float(np.sqrt(abs(np.linalg.det(matrix_of(warp)[:, :2])))) if warp.kind == "affine" else 1.0


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
