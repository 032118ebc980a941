"""Robustness against performance: one panel a data set, one mark a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from medstress.figures.blocks import Block, blocks_of
from medstress.figures.labels import arms, counts_text, drop_label, run_handles, score_label
from medstress.figures.panels import Panels, head, panelled, say
from medstress.figures.style import looks_of
from medstress.score.bootstrap import Estimate, estimate_column
from medstress.score.titles import dataset_titles
from medstress.table_spec import TableSpec

_PANEL_HEIGHT = 1.25
# Marks whose middles are within these shares of a panel's width and height hide each other.
_NEAR = (0.025, 0.04)
_APART = 4.5
_POINTS_AN_INCH = 72


class _Mark(NamedTuple):
    """One run: its clean score and its drop, both with means."""

    run: str
    x: float
    y: float
    score: Estimate
    drop: Estimate


def draw(spec: TableSpec, sources: Mapping[str, Sequence[Path]]) -> Figure:
    """Mean paired drop over all types and levels against the clean score; bars are intervals of each alone.

    Best is low and, but for distances and calibration errors, right. Baselines are grey and hollow. Marks that would
    hide each other are set apart sideways, by a mark's width.
    """
    blocks = blocks_of(spec, sources["scores"])
    asked = [Panels(len(block.spec.datasets), _legend(block.spec)) for block in blocks]
    figure, panels = panelled(asked, _PANEL_HEIGHT)
    for block, axes in zip(blocks, panels, strict=True):
        for place, dataset in zip(axes, block.spec.datasets, strict=False):
            _panel(place, block, dataset)
    return figure


def _legend(spec: TableSpec) -> list[Line2D]:
    handles = run_handles(spec, list(spec.runs))
    for run, handle in zip(spec.runs, handles, strict=True):
        handle.set_linestyle("none")
        if run in spec.baselines:
            handle.set_markerfacecolor("white")
    return handles


def _panel(axes: Axes, block: Block, dataset: str) -> None:
    spec, metric = block.spec, block.metric_on([dataset])
    looks, marks = looks_of(list(spec.runs), spec.baselines), _marks(block, dataset, metric)
    head(axes, dataset_titles(spec)[dataset], counts_text(block, dataset, metric))
    axes.axhline(0, color="black", linewidth=0.5, linestyle=":")
    for mark, aside in zip(marks, _asides(marks), strict=True):
        moved = ScaledTranslation(aside * _APART / _POINTS_AN_INCH, 0, axes.figure.dpi_scale_trans)
        drawn = axes.errorbar(
            mark.x,
            mark.y,
            xerr=arms(mark.score),
            yerr=arms(mark.drop),
            color=looks[mark.run].colour,
            marker=looks[mark.run].marker,
            markersize=3.8,
            markerfacecolor="white" if mark.run in spec.baselines else looks[mark.run].colour,
            markeredgewidth=0.8,
            elinewidth=0.5,
            linestyle="none",
            label=mark.run,
        )
        if aside:
            # Afterwards, so that the panel's range is that of the data.
            line, _, whiskers = drawn.lines
            for artist in (line, *whiskers):
                artist.set_transform(axes.transData + moved)
    if not marks:
        say(axes, "no scores")
    axes.margins(0.1)
    axes.set_xlabel(score_label(metric, "clean"), labelpad=1.5)
    axes.set_ylabel(drop_label(metric))


def _marks(block: Block, dataset: str, metric: str) -> list[_Mark]:
    spec = block.spec
    clean, pairs = block.clean_on(dataset, metric), block.pairs_on(dataset, metric)
    marks = []
    for run in spec.runs_on(dataset):
        score = estimate_column(clean[clean["run"] == run], "value", metric, dataset, spec.statistics)
        drop = estimate_column(pairs[pairs["run"] == run], "drop", metric, dataset, spec.statistics)
        if score.mean is not None and drop.mean is not None:
            marks.append(_Mark(run, score.mean, drop.mean, score, drop))
    return marks


def _asides(marks: Sequence[_Mark]) -> list[float]:
    """How many marks' widths each mark is moved sideways: those that hide each other stand side by side."""
    ends = [[[one.mean, one.low, one.high] for one in (mark.score, mark.drop)] for mark in marks]
    values = np.array(ends, dtype=np.float64)  # [runs, score and drop, mean and ends]; None is NaN
    if not len(values):
        return []
    spans = np.nanmax(values, axis=(0, 2)) - np.nanmin(values, axis=(0, 2))
    near = np.array(_NEAR) * np.where(spans > 0, spans, 1.0)
    left, asides = list(range(len(marks))), [0.0] * len(marks)
    while left:
        first = values[left[0], :, 0]
        together = [place for place in left if (np.abs(values[place, :, 0] - first) <= near).all()]
        for rank, place in enumerate(together):
            asides[place] = rank - (len(together) - 1) / 2
        left = [place for place in left if place not in together]
    return asides
