"""What all figures share: colours, sizes, and bytes that depend on the data alone."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure, FigureBase, SubFigure

from medstress.records import atomic_path

PAGE_WIDTH = 7.0
"""Width of a paper's page in inches."""
PAGE_HEIGHT = 9.2
"""The most inches that a figure is high, so that a page holds it with its caption's first lines."""
COLUMN_WIDTH = 3.4
"""Width of one of two columns in inches."""
SMALLEST = 6.0
"""Points of the smallest letters."""

GREY = "#757575"
"""Of asides: 4.6 to 1 on white, which small letters need to be read (WCAG 2.2)."""
HOLE = "#e9e9e9"
"""Of cells that nothing was asked of."""
CROSS = "\N{MULTIPLICATION SIGN}"
"""In cells that should have a number and have none."""

LineStyle = Literal["-"] | tuple[float, Sequence[float]]
"""What matplotlib takes as one."""

# Okabe and Ito, "Color universal design" (2008): told apart with every common colour vision. Their yellow is too pale
# for lines on white; wine, olive and indigo of Tol's "muted" scheme (2021) stand for it. Black is the last.
_PALETTE = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#882255",
    "#999933",
    "#332288",
    "#000000",
)
_GREYS = ("#6e6e6e", "#949494")
# Blues after ColorBrewer (Harrower and Brewer 2003), darker at both ends.
_SHADES = ("#7fb8dc", "#4f9bcb", "#2f7fbc", "#0b559f", "#08204f")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_DASHES: tuple[LineStyle, ...] = ("-", (0, (7, 1.5, 1, 1.5)), (0, (1, 1)))

_SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so it is the same everywhere
    "font.size": 7,
    "axes.titlesize": 8,
    "axes.labelsize": 7,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "figure.dpi": 200,  # as saved: letters are of other widths at other sizes, and the layout would be off
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


class Look(NamedTuple):
    """How a run is drawn: no two runs have the same colour, but where also marker and line style differ."""

    colour: str
    marker: str
    line: LineStyle


def looks_of(runs: Sequence[str], baselines: Sequence[str]) -> dict[str, Look]:
    """How each run of a task is drawn, in the study's order: baselines in greys, the others in ten colours."""
    looks: dict[str, Look] = {}
    places = {True: 0, False: 0}
    for run in runs:
        grey = run in baselines
        colours, place = (_GREYS if grey else _PALETTE), places[grey]
        again = place // len(colours)
        looks[run] = Look(colours[place % len(colours)], _MARKERS[place % len(_MARKERS)], _DASHES[again % len(_DASHES)])
        places[grey] += 1
    return looks


def colours_of(names: Sequence[str]) -> dict[str, str]:
    """A colour for each of a few names, in their order; they repeat after ten."""
    return {name: _PALETTE[index % len(_PALETTE)] for index, name in enumerate(names)}


def colours_of_levels(levels: Sequence[int]) -> dict[int, str]:
    """A colour for each severity level, from pale to dark, so that their order shows in grey too."""
    return {level: _SHADES[(level - 1) % len(_SHADES)] for level in levels}


def legend_columns(labels: Sequence[str], width: float) -> int:
    """How many columns of a legend fit into `width` inches, at most five."""
    # A column is a handle and its gaps, and letters of about 0.056 inches at the legend's size.
    widths = [0.5 + 0.056 * len(label) for label in labels]
    for count in range(min(len(labels), 5), 1, -1):
        if sum(column.max() for column in np.array_split(widths, count)) <= width:
            return count
    return 1


# Parts of the page. The layout's solver differs in the last digits from process to process.
_PLACES = 5


def settle(figure: Figure) -> None:
    """Lay a figure out once and for all, on places that are round."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    parts: list[FigureBase] = [figure]
    for part in parts:
        parts += part.subfigs
    for part in parts:
        if isinstance(part, SubFigure):
            box = part.bbox_relative
            box.p0, box.p1 = np.round(box.p0, _PLACES), np.round(box.p1, _PLACES)
    for axes in figure.axes:
        x, y, width, height = (round(float(number), _PLACES) for number in axes.get_position(original=True).bounds)
        axes.set_position((x, y, width, height))


def save(figure: Figure, svg: Path, png: Path) -> None:
    """Write a figure twice, without dates and versions."""
    settle(figure)
    with atomic_path(svg) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": None})
    with atomic_path(png) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
