"""What all figures share: colours, sizes, and bytes that depend on the data alone."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from medstress.records import atomic_path

PAGE_WIDTH = 7.0
"""Width of a paper's page in inches."""

GREY = "#8a8a8a"

# Okabe and Ito, "Color universal design" (2008): told apart with every common colour vision. Black is kept for truth
# and text; their yellow is too pale for lines on white, so a dark grey stands for it.
_PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#595959")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")

_SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so it is the same everywhere
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "savefig.dpi": 200,
    "svg.hashsalt": "medstress",
    "svg.fonttype": "path",
}


@contextmanager
def style() -> Iterator[None]:
    """The settings of all figures, whatever the user's matplotlibrc says."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


def colours_of(runs: Sequence[str]) -> dict[str, str]:
    """A colour for each run, in the study's order; they repeat after seven."""
    return {run: _PALETTE[index % len(_PALETTE)] for index, run in enumerate(runs)}


def markers_of(runs: Sequence[str]) -> dict[str, str]:
    """A marker for each run, in the study's order; where colours repeat, markers are others."""
    count = len(_MARKERS)
    return {run: _MARKERS[(index + 3 * (index // count)) % count] for index, run in enumerate(runs)}


def legend_columns(labels: Sequence[str], width: float) -> int:
    """How many columns of a legend fit into `width` inches, at most five."""
    # A column is a handle and its gaps, and letters of about 0.065 inches at the legend's size.
    widths = [0.55 + 0.065 * len(label) for label in labels]
    for count in range(min(len(labels), 5), 1, -1):
        if sum(column.max() for column in np.array_split(widths, count)) <= width:
            return count
    return 1


def save(figure: Figure, svg: Path, png: Path) -> None:
    """Write a figure twice, without dates and versions."""
    with atomic_path(svg) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": None})
    with atomic_path(png) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
