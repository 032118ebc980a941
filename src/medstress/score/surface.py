"""Distances between the outlines of two masks: HD95 and the normalised surface Dice.

Definitions follow MONAI (`compute_hausdorff_distance(percentile=95)` and `compute_surface_dice` without subvoxels):

* A pixel is on the outline if it is in the mask and one of its four neighbours is not. What lies outside the image is
  not in the mask, so a mask that touches the border has an outline there.
* Distances run between centres of outline pixels, so a mask and the same mask grown by one pixel are 1 apart.
* The length of an outline is the number of its pixels, whichever way it runs.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from medstress.pixels import Mask

Distances = npt.NDArray[np.float64]
"""float64 [n], pixels, each the distance from one outline pixel to the other outline."""


@dataclass(frozen=True)
class Outline:
    """The outline of a mask with at least one pixel, and the box (half-open) that it fills."""

    rows: npt.NDArray[np.intp]
    columns: npt.NDArray[np.intp]
    top: int
    left: int
    bottom: int
    right: int


def outline_of(mask: Mask) -> Outline | None:
    """The outline of a mask [H, W]; None where the mask is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    top, left, bottom, right = int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
    crop = mask[top:bottom, left:right]
    inside = np.zeros_like(crop)
    # The crop's own rim has empty neighbours, so it is outline as far as it is in the mask.
    inside[1:-1, 1:-1] = crop[:-2, 1:-1] & crop[2:, 1:-1] & crop[1:-1, :-2] & crop[1:-1, 2:]
    y, x = np.nonzero(crop & ~inside)
    return Outline(y + top, x + left, top, left, bottom, right)


def distances_between(first: Outline, second: Outline) -> tuple[Distances, Distances]:
    """Distances from the first outline to the second, and from the second to the first. Exact, in pixels."""
    top, left = min(first.top, second.top), min(first.left, second.left)
    shape = max(first.bottom, second.bottom) - top, max(first.right, second.right) - left
    places = [(outline.rows - top, outline.columns - left) for outline in (first, second)]
    return _distances(places[0], places[1], shape), _distances(places[1], places[0], shape)


def _distances(
    start: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]],
    target: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]],
    shape: tuple[int, int],
) -> Distances:
    off = np.ones(shape, np.uint8)
    off[target] = 0
    # Felzenszwalb and Huttenlocher's exact transform, several times faster than SciPy's. It ends in float32, so the
    # squares are rounded back to the whole numbers that they are.
    found = cv2.distanceTransform(off, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[start].astype(np.float64)
    return np.asarray(np.sqrt(np.rint(found * found)))


def hausdorff95(forward: Distances, backward: Distances) -> float:
    """Symmetric HD95 in pixels: the larger of the two directed 95th percentiles (linear interpolation)."""
    return float(max(np.percentile(forward, 95), np.percentile(backward, 95)))


def surface_dice(forward: Distances, backward: Distances, tolerance: float) -> float:
    """Normalised surface Dice, 0..1: share of both outlines that is at most `tolerance` pixels from the other.

    Nikolov et al., "Clinically applicable segmentation of head and neck anatomy", JMIR 2021.
    """
    close = np.count_nonzero(forward <= tolerance) + np.count_nonzero(backward <= tolerance)
    return close / (forward.size + backward.size)
