"""What every type costs every run, on every data set: one cell a mean drop."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from medstress.figures.blocks import Block, blocks_of, shown_kind
from medstress.figures.labels import drop_label
from medstress.figures.style import CROSS, GREY, HOLE, PAGE_HEIGHT, PAGE_WIDTH, SMALLEST
from medstress.score.metrics import METRICS
from medstress.score.titles import dataset_titles, run_titles
from medstress.table_spec import TableSpec

_ROW = 0.14
_LEAST_ROW = 0.105
_TITLE = 0.24
_LABELS = 0.85
_BAR = 0.09
# Beyond, numbers would not fit into their cells.
_MOST_NUMBERS = 26
# Blue and red of equal lightness (ColorBrewer), told apart with every common colour vision.
_COLOURS = "RdBu_r"


class _Panel(NamedTuple):
    """One data set of a task."""

    block: Block
    dataset: str


def draw(spec: TableSpec, sources: Mapping[str, Sequence[Path]]) -> Figure:
    """Mean paired drop over reachable levels; red loses, blue gains, on one scale a task.

    Scores up to 1 are in percentage points. Baselines do not count for the scale; their cells beyond it have a frame.
    Grey cells: the type is not made for the data set. White cells with a cross: it is, and there are no scores that
    count. Types marked with a dagger are strengths of a table. Data sets that a page does not hold are left out, the
    last ones first.
    """
    every = [_Panel(block, dataset) for block in blocks_of(spec, sources["scores"]) for dataset in block.spec.datasets]
    row, panels = _fitted(every)
    heights = [len(panel.block.spec.runs_on(panel.dataset)) * row for panel in panels]
    figure = Figure(figsize=(PAGE_WIDTH, sum(heights) + _TITLE * len(panels) + _LABELS), layout="constrained")
    grid = figure.subplots(len(panels), 1, squeeze=False, sharex=True, height_ratios=heights).ravel()
    for block in dict.fromkeys(id(panel.block) for panel in panels):
        own = [(axes, panel) for axes, panel in zip(grid, panels, strict=True) if id(panel.block) == block]
        _task(figure, own, list(spec.perturbations))
    names = [shown_kind(spec, name) for name in spec.perturbations]
    grid[-1].set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    grid[-1].tick_params(labelbottom=True)
    if len(panels) < len(every):
        figure.supxlabel(
            f"{len(every) - len(panels)} more data sets do not fit on a page", fontsize=SMALLEST, color=GREY
        )
    return figure


def _fitted(panels: Sequence[_Panel]) -> tuple[float, list[_Panel]]:
    """The height of a row, and the panels that a page holds."""
    shown = list(panels)
    while True:
        runs = sum(len(block.spec.runs_on(dataset)) for block, dataset in shown)
        row = (PAGE_HEIGHT - _LABELS - _TITLE * len(shown)) / runs
        if row >= _LEAST_ROW or len(shown) == 1:
            return min(row, _ROW), shown
        shown.pop()


def _task(figure: Figure, panels: Sequence[tuple[Axes, _Panel]], kinds: Sequence[str]) -> None:
    block = panels[0][1].block
    spec, metric = block.spec, block.metric_on(block.spec.datasets)
    points = METRICS[metric].largest == 1
    found = [drops_of(block, panel.dataset, metric, kinds) * (100 if points else 1) for _, panel in panels]
    largest = _largest(found, [spec.runs_on(panel.dataset) for _, panel in panels], spec.baselines)
    norm = Normalize(-largest, largest)
    titles, runs = dataset_titles(spec), run_titles(spec)
    beyond, rows = False, sum(map(len, found))
    for (axes, (_, dataset)), values in zip(panels, found, strict=True):
        _cells(axes, values, [name in spec.perturbations_on(dataset) for name in kinds], norm)
        beyond = beyond or bool((np.abs(values[~np.isnan(values)]) > largest).any())
        axes.set_title(titles[dataset], loc="left", fontsize=7.5, fontweight="bold", pad=3)
        axes.set_title(_unit(metric, points=points), loc="right", fontsize=SMALLEST, color=GREY, pad=3)
        axes.set_yticks(range(len(values)), [runs[run] for run in spec.runs_on(dataset)], fontsize=SMALLEST)
        axes.tick_params(axis="x", labelbottom=False)
    scale = ScalarMappable(norm, _COLOURS)
    ends = "both" if beyond else "neither"
    own = [axes for axes, _ in panels]
    bar = figure.colorbar(scale, ax=own, aspect=rows * _ROW / _BAR, pad=0.01, extend=ends)
    bar.set_ticks([-largest, 0, largest], labels=[_number(-largest), "0", _number(largest)])
    bar.ax.tick_params(labelsize=SMALLEST)


def _unit(metric: str, *, points: bool) -> str:
    return f"{drop_label(metric)} in percentage points" if points else drop_label(metric)


def _largest(
    found: Sequence[npt.NDArray[np.float64]], runs: Sequence[Sequence[str]], baselines: Sequence[str]
) -> float:
    """The end of a task's scale: the largest drop or gain of a run that is no baseline; of all where there are none."""
    studied = [values[[run not in baselines for run in own]] for values, own in zip(found, runs, strict=True)]
    numbers = [np.abs(values[~np.isnan(values)]) for values in studied]
    if not sum(map(np.size, numbers)):
        numbers = [np.abs(values[~np.isnan(values)]) for values in found]
    return max((float(own.max()) for own in numbers if own.size), default=1.0) or 1.0


def drops_of(block: Block, dataset: str, metric: str, kinds: Sequence[str]) -> npt.NDArray[np.float64]:
    """float64 [runs on the data set, types]: mean paired drops, NaN where nothing counts."""
    pairs = block.pairs_on(dataset, metric)
    means = pairs.groupby(["run", "perturbation"], observed=True)["drop"].mean()
    rows = [[float(means.get((run, name), np.nan)) for name in kinds] for run in block.spec.runs_on(dataset)]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(kinds))


def _cells(axes: Axes, values: npt.NDArray[np.float64], made: Sequence[bool], norm: Normalize) -> None:
    axes.imshow(values, cmap=_COLOURS, norm=norm, aspect="auto", interpolation="nearest")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for column, fits in enumerate(made):
        if not fits:
            axes.axvspan(column - 0.5, column + 0.5, color=HOLE, linewidth=0)
    for row, column in np.ndindex(*values.shape):
        value = float(values[row, column])
        if made[column] and np.isnan(value):
            axes.text(column, row, CROSS, ha="center", va="center", fontsize=7, gid="hole")
        elif made[column]:
            beyond = abs(value) > norm.vmax if norm.vmax else False
            if beyond:
                frame = Rectangle((column - 0.46, row - 0.42), 0.92, 0.84, fill=False, linewidth=0.6, gid="beyond")
                axes.add_patch(frame)
            if values.shape[1] <= _MOST_NUMBERS:
                dark = abs(value) > 0.6 * norm.vmax if norm.vmax else False
                colour = "white" if dark else "black"
                axes.text(column, row, _number(value), ha="center", va="center", fontsize=SMALLEST, color=colour)


def _number(value: float) -> str:
    """One decimal, none from 10 on: `0.5`, `-12`."""
    digits = 0 if abs(value) >= 9.95 else 1
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "\N{MINUS SIGN}")
