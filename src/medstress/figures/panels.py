"""Where panels and legends go: one grid of a page's width, in which each task has its panels and one legend."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal, NamedTuple

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase

from medstress.figures.style import COLUMN_WIDTH, GREY, PAGE_HEIGHT, PAGE_WIDTH, SMALLEST, legend_columns

_ACROSS = 3
_LINE = 0.124
_EDGE = 0.66
_LEAST_PANEL = 0.9
_LETTERS = 34
_POLAR_LETTERS = 27
_HEAD_LETTERS = 47

_Place = Literal["upper left", "upper center", "center right", "center left"]


@dataclass(frozen=True)
class Panels:
    """What one task asks for: so many panels, which of them are two columns wide, and what its legend tells."""

    count: int
    handles: Sequence[Artist]
    wide: frozenset[int] = frozenset()
    polar: bool = False

    @property
    def labels(self) -> list[str]:
        """What the legend says, in lines that fit into a column."""
        letters = _POLAR_LETTERS if self.polar else _LETTERS
        return [textwrap.fill(str(handle.get_label()), letters) for handle in self.handles]


class _Cell(NamedTuple):
    """Where a panel is in the grid, or a legend of so many columns: beside its last panel, or below."""

    block: int
    row: int
    start: int
    stop: int
    legend: int = 0
    below: bool = False


class _Plan(NamedTuple):
    heights: list[float]
    cells: list[_Cell]
    inches: float


def panelled(blocks: Sequence[Panels], panel_height: float) -> tuple[Figure, list[list[Axes]]]:
    """A figure, and the axes of each block's panels, row by row; `panel_height` in inches.

    A legend is in the free cells beside its last panel, or below. Panels shrink until a page holds them; of blocks that
    are still too large the last panels are left out, which the figure says: callers get fewer axes than they asked for.
    """
    columns = 1 if [block.count for block in blocks] == [1] else _ACROSS
    counts = [block.count for block in blocks]
    plan = _plan(blocks, counts, panel_height, columns)
    while plan.inches > PAGE_HEIGHT and (panel_height > _LEAST_PANEL or max(counts) > 1):
        if panel_height > _LEAST_PANEL:
            panel_height = max(panel_height - 0.05, _LEAST_PANEL)
        else:
            counts[counts.index(max(counts))] -= 1
        plan = _plan(blocks, counts, panel_height, columns)
    width = COLUMN_WIDTH if columns == 1 else PAGE_WIDTH
    figure = Figure(figsize=(width, min(plan.inches, PAGE_HEIGHT)), layout="constrained")
    grid = figure.add_gridspec(len(plan.heights), columns, height_ratios=plan.heights)
    panels: list[list[Axes]] = [[] for _ in blocks]
    for cell in sorted(plan.cells, key=lambda cell: cell.legend > 0):
        block, place = blocks[cell.block], grid[cell.row, cell.start : cell.stop]
        if cell.legend:
            _legend(figure.add_subplot(place), block, cell)
        else:
            panels[cell.block].append(figure.add_subplot(place, projection="polar" if block.polar else None))
    if lacking := sum(block.count for block in blocks) - sum(counts):
        figure.supxlabel(f"{lacking} more panels do not fit on a page", fontsize=SMALLEST, color=GREY)
    return figure, panels


def stacked(figure: Figure, heights: Sequence[float]) -> list[FigureBase]:
    """Parts of a figure below each other; one part is the figure itself."""
    if len(heights) == 1:
        return [figure]
    return list(figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights).ravel())


def _plan(blocks: Sequence[Panels], counts: Sequence[int], panel_height: float, columns: int) -> _Plan:
    heights: list[float] = []
    cells: list[_Cell] = []
    edges, index = 0.0, 0
    while index < len(blocks):
        alone = list(takewhile(lambda place: counts[place] == 1, range(index, min(index + columns, len(blocks)))))
        row = len(heights)
        if len(alone) > 1:
            # Tasks of one panel share a row, each with its legend below.
            lines = max(_lines(blocks[place], 1) for place in alone)
            heights += [panel_height, lines * _LINE + 0.08]
            edges += _EDGE
            for column, place in enumerate(alone):
                cells.append(_Cell(place, row, column, column + 1))
                cells.append(_Cell(place, row + 1, column, column + 1, legend=1, below=True))
            index += len(alone)
            continue
        block, column = blocks[index], 0
        for panel in range(counts[index]):
            span = min(2 if panel in block.wide else 1, columns)
            if column + span > columns:
                row, column = row + 1, 0
            cells.append(_Cell(index, row, column, column + span))
            column += span
        added = row + 1 - len(heights)
        heights += [panel_height] * added
        edges += _EDGE * added
        room = int((panel_height + _EDGE) / _LINE)
        fitting = [count for count in range(1, columns - column + 1) if _lines(block, count) <= room]
        if block.handles and fitting:
            cells.append(_Cell(index, row, column, columns, legend=fitting[0]))
        elif block.handles:
            across = legend_columns(block.labels, PAGE_WIDTH * columns / _ACROSS)
            heights.append(_lines(block, across) * _LINE + 0.08)
            cells.append(_Cell(index, row + 1, 0, columns, legend=across, below=True))
        index += 1
    return _Plan(heights, cells, sum(heights) + edges)


def _lines(block: Panels, columns: int) -> int:
    return math.ceil(sum(label.count("\n") + 1 for label in block.labels) / columns)


def _legend(axes: Axes, block: Panels, cell: _Cell) -> None:
    axes.set_axis_off()
    # Labels are as long as a column with the margin of its scale, so that legends begin or end there.
    loc: _Place
    loc, anchor = ("upper left", (-0.08, 1.0)) if cell.legend == 1 else ("upper center", (0.5, 1.0))
    if not cell.below:
        last = cell.stop - cell.start == 1 and not block.polar
        loc, anchor = ("center right", (1.0, 0.5)) if last else ("center left", (0.0, 0.5))
    legend = axes.legend(
        handles=list(block.handles),
        labels=block.labels,
        loc=loc,
        bbox_to_anchor=anchor,
        fontsize=6.3,
        ncols=cell.legend,
        handlelength=2.2,
        labelspacing=0.25,
        borderaxespad=0,
    )
    # Its cell was made for it; the layout would give it more at the cost of the panels.
    legend.set_in_layout(False)


def head(axes: Axes, title: str, counts: str, *, wide: bool = False) -> None:
    """A panel's title, and in grey what it counts, in lines as long as the panel is wide."""
    letters = _HEAD_LETTERS * (2 if wide else 1)
    small = textwrap.wrap(counts, letters)
    axes.set_title(
        textwrap.fill(title, round(0.7 * letters)), loc="left", fontsize=7.5, fontweight="bold", pad=4 + 7 * len(small)
    )
    axes.text(0, 1.03, "\n".join(small), transform=axes.transAxes, color=GREY, fontsize=SMALLEST, linespacing=1.05)


def say(axes: Axes, text: str) -> None:
    """Words instead of data."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY)
