"""Elastic deformation: the scene moves smoothly within the frame, and masks, boxes and points with it."""

import cv2
import numpy as np
import numpy.typing as npt

from medstress.perturb.protocol import Perturbation, Realisation, Scene
from medstress.perturb.warp import grid, warp_image
from medstress.pixels import Image
from medstress.rows import WarpRow

_Field = npt.NDArray[np.float64]

_STRONGEST = 0.05
# Grid cells to the shorter side, and the smoothness of the field in cells: an eighth of the side.
_CELLS = 20
_SIGMA = 2.4
# Cells next to the frame over which the displacement rises from zero.
_RISE = 4
# Neighbours approach by less than this share of their distance at the strongest: the map stays one to one, and its
# inverse is found by iteration.
_STEEPEST = 0.8


def _rise(nodes: int) -> _Field:
    """0 at the frame, 1 from the fourth cell on, smooth between."""
    from_frame = np.minimum(np.arange(nodes), np.arange(nodes)[::-1]) / _RISE
    inside = np.minimum(from_frame, 1)
    return np.asarray(inside * inside * (3 - 2 * inside))


def _steepest(field: _Field, spacing: tuple[float, float]) -> float:
    """By how much two neighbours on the grid [2, r, c] approach at most, per pixel of their distance."""
    down, across = np.abs(np.diff(field, axis=1)) / spacing[0], np.abs(np.diff(field, axis=2)) / spacing[1]
    return float(down.max() + across.max())


def draw_field(height: int, width: int, rng: np.random.Generator) -> _Field:
    """Displacements in pixels on a grid, float64 [2 (x, y), r, c], for a strength of 1.

    The largest is as long as the shorter side; shorter where the strongest deformation would fold over itself.
    """
    side = min(height, width)
    rows, columns = (round(_CELLS * length / side) + 1 for length in (height, width))
    noise = rng.uniform(-1, 1, (2, rows, columns))
    smooth = np.stack([cv2.GaussianBlur(part, (0, 0), _SIGMA, borderType=cv2.BORDER_REFLECT) for part in noise])
    smooth *= np.outer(_rise(rows), _rise(columns))
    field = smooth * side / np.sqrt((smooth**2).sum(axis=0).max())
    steepness = _STRONGEST * _steepest(field, ((height - 1) / (rows - 1), (width - 1) / (columns - 1)))
    return np.asarray(field / max(1.0, steepness / _STEEPEST))


def _elastic(scene: Scene, rng: np.random.Generator) -> Realisation:
    """Tissue is pressed and stretched: each point moves a little way, and its neighbours with it.

    p' = p + d(p), with d uniform noise smoothed by a Gaussian of an eighth of the shorter side, drawn once, and scaled.
    At the frame d is zero: nothing leaves the image and nothing enters. The strength is the length of the longest
    displacement; a draw that would fold over itself at the strongest is scaled down, so that the map is one to one.

    Source: Simard, Steinkraus and Platt, "Best practices for convolutional neural networks applied to visual document
    analysis", ICDAR 2003.
    """
    height, width = scene.image.shape[:2]
    dx, dy = draw_field(height, width, rng)

    def warp(share: float) -> WarpRow:
        return grid(dx * share, dy * share)

    def render(share: float) -> Image:
        return warp_image(scene.image, warp(share), scene.background)

    return Realisation(render, warp)


ELASTIC = Perturbation(
    "elastic",
    _elastic,
    unit="share of the shorter side",
    mildest=0,
    typical=0.03,
    strongest=_STRONGEST,
    table=(0.01, 0.02, 0.03, 0.04, 0.05),
    moves_pixels=True,
)

TYPES = (ELASTIC,)
