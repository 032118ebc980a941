"""Pictures in figures: the window around an object, outlines of masks, and where the records of an image are."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import AbstractPathEffect, Normal, Stroke

from medstress.errors import MedstressError
from medstress.pixels import Mask, box_of

# The shown window is this many times the object's longer side, so that an object that moves stays in view.
_WINDOW = 2.2
_SMALLEST_WINDOW = 64


def path_of(figure: str, paths: Sequence[Path], folder: str, stem: str) -> Path:
    """The record {folder}/{stem}.parquet; MedstressError where it is not among them."""
    for path in paths:
        if (path.parent.name, path.stem) == (folder, stem):
            return path
    raise MedstressError(f"figure {figure}: {folder}/{stem}.parquet is not among the records. Make it first.")


def window_of(mask: Mask) -> tuple[slice, slice]:
    """Rows and columns of a square around the object, inside the image."""
    x0, y0, x1, y1 = box_of(mask)
    side = int(max(_WINDOW * max(x1 - x0, y1 - y0), _SMALLEST_WINDOW))
    slices = []
    for low, high, length in [(y0, y1, mask.shape[0]), (x0, x1, mask.shape[1])]:
        size = min(side, length)
        start = int(np.clip((low + high - size) / 2, 0, length - size))
        slices.append(slice(start, start + size))
    return slices[0], slices[1]


def halo() -> list[AbstractPathEffect]:
    """What makes a white line visible on white."""
    return [Stroke(linewidth=2.0, foreground="black"), Normal()]


def bare(axes: Axes) -> None:
    """Axes that hold a picture have no scales."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def outline(axes: Axes, mask: Mask, colour: str, width: float, *, haloed: bool = False) -> None:
    """The border of a mask, [H, W]."""
    if mask.all() or not mask.any():
        return  # an outline that is out of view
    lines = axes.contour(mask.astype(np.float64), levels=[0.5], colors=[colour], linewidths=width)
    if haloed:
        lines.set_path_effects(halo())
