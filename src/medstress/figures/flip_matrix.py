"""How answers turn over: right or wrong about the clean image against right or wrong about the perturbed one."""

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from medstress.figures.blocks import Block, blocks_of, nothing_to_draw, studied_runs
from medstress.figures.labels import title_of
from medstress.figures.style import GREY, PAGE_HEIGHT, PAGE_WIDTH, SMALLEST
from medstress.names import Task
from medstress.score.titles import dataset_titles, run_titles
from medstress.table_spec import TableSpec

_COLUMNS = 5
_PANEL_HEIGHT = 1.95
_NOTE = 0.2
_LINE = 25
_NOTE_LETTERS = 150
RIGHT: dict[Task, tuple[str, ...]] = {
    "classification": ("accuracy",),
    "vqa": ("closed_accuracy", "open_exact_match"),
    "grounding": ("accuracy_50",),
}
"""The metrics of each task that say of one answer whether it is right; the first that has scores is shown."""


def draw(spec: TableSpec, sources: Mapping[str, Sequence[Path]]) -> Figure:
    """One matrix a run and data set, baselines left out: counts of pairs and their share of all.

    Pairs are one sample and one reachable cell; of a strategy all seeds count. Where several labels are asked, an
    answer is right if all are. Raises MedstressError where no answers are right or wrong.
    """
    found = [panel for block in blocks_of(spec, sources["scores"]) for panel in _panels(block)]
    if not found:
        raise nothing_to_draw("flip_matrix", "the study has no answers that are right or wrong.")
    # Of a run that is right nowhere nothing can turn over for the worse. Where all are so, there is nothing else.
    panels = [panel for panel in found if panel.table[0].any() or not panel.table.any()] or found
    most = _COLUMNS * int((PAGE_HEIGHT - _NOTE) / _PANEL_HEIGHT)
    notes = [f"{panel.run} on {panel.dataset}" for panel in found if not any(panel is one for one in panels)]
    notes = [f"Left out, as no answer about a clean image is right: {', '.join(notes)}."] if notes else []
    if len(panels) > most:
        notes.append(f"{len(panels) - most} more panels do not fit on a page.")
    panels = panels[:most]
    columns = min(_COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    height = _PANEL_HEIGHT * rows + (_NOTE if notes else 0.0)
    figure = Figure(figsize=(PAGE_WIDTH * columns / _COLUMNS, height), layout="constrained")
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(h_pad=0.08)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for index, (axes, panel) in enumerate(zip(grid, panels, strict=False)):
        _matrix(axes, panel.table)
        axes.set_title(f"{_folded(panel.run)}\n{_folded(f'{panel.dataset}, {panel.metric}')}", fontsize=SMALLEST)
        axes.set_yticks([0, 1], ["right", "wrong"], rotation=90, va="center")
        axes.set_xticks([0, 1], ["right", "wrong"])
        if index % columns == 0:
            axes.set_ylabel("clean image")
        axes.set_xlabel("perturbed image")
    for axes in grid[len(panels) :]:
        axes.remove()
    if notes:
        letters = _NOTE_LETTERS * columns // _COLUMNS
        figure.supxlabel(textwrap.fill(" ".join(notes), letters), fontsize=SMALLEST, color=GREY)
    return figure


class _Panel(NamedTuple):
    """One matrix and what it is of."""

    run: str
    dataset: str
    metric: str
    table: npt.NDArray[np.int64]


def _panels(block: Block) -> Iterator[_Panel]:
    spec = block.spec
    datasets, runs, studied = dataset_titles(spec), run_titles(spec), studied_runs(spec)
    for dataset in spec.datasets:
        found = {metric: block.pairs_on(dataset, metric) for metric in RIGHT.get(block.task, ())}
        metric = next((name for name, pairs in found.items() if len(pairs)), None)
        if metric is None:
            continue
        for run in (run for run in spec.runs_on(dataset) if run in studied):
            table = turned(found[metric][found[metric]["run"] == run])
            yield _Panel(runs[run], datasets[dataset], title_of(metric), table)


def _folded(text: str) -> str:
    """A title in two lines at most."""
    return "\n".join(textwrap.wrap(text, _LINE, max_lines=2, placeholder=" …"))


def turned(pairs: pd.DataFrame) -> npt.NDArray[np.int64]:
    """int64 [2, 2]: pairs by clean (right, wrong) and perturbed (right, wrong)."""
    clean, perturbed = pairs["clean"] < 1, pairs["perturbed"] < 1
    codes = 2 * clean.to_numpy(dtype=np.int64) + perturbed.to_numpy(dtype=np.int64)
    return np.bincount(codes, minlength=4).reshape(2, 2)


def _matrix(axes: Axes, table: npt.NDArray[np.int64]) -> None:
    total = int(table.sum())
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlim(-0.5, 1.5)
    axes.set_ylim(1.5, -0.5)
    if not total:
        axes.text(0.5, 0.5, "no scores", ha="center", va="center", color=GREY)
        return
    axes.imshow(table / total, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    for row, column in np.ndindex(2, 2):
        share = table[row, column] / total
        colour = "white" if share > 0.55 else "black"
        text = f"{table[row, column]}\n{share:.0%}"
        axes.text(column, row, text, ha="center", va="center", fontsize=6.5, color=colour)
