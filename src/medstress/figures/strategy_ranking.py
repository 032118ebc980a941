"""Strategies in the order of what they lose: drop and clean score, each with its interval and its seeds, and ranks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from medstress.figures.blocks import Block, blocks_of, nothing_to_draw
from medstress.figures.labels import arms, counts_text, drop_label, score_label
from medstress.figures.panels import head
from medstress.figures.style import GREY, PAGE_WIDTH, colours_of
from medstress.runs import named_parts
from medstress.score.bootstrap import Estimate, estimate_column
from medstress.score.compared import kinds_of, means_of_ranked, places_of, studied
from medstress.score.statistics.noise import noise_floors
from medstress.score.statistics.ranking import rank_stability
from medstress.score.titles import dataset_titles, run_titles
from medstress.table_spec import TableSpec

_ROW = 0.19
_EDGE = 0.62
_COLOURS = colours_of(["start", "adapted"])
_BAND = "#ececec"


class _Order(NamedTuple):
    """What is ranked on a data set: places, what is behind them, and noise floors beside the first run."""

    places: dict[str, int]
    ranks: dict[str, str]
    floors: dict[str, float]


class _Row(NamedTuple):
    """One run: its estimates, and the means of each of its seeds."""

    run: str
    drop: Estimate
    clean: Estimate
    drops: list[float]
    cleans: list[float]


def draw(spec: TableSpec, sources: Mapping[str, Sequence[Path]]) -> Figure:
    """One panel a data set that a strategy is scored on; best above.

    Runs are the strategies that are no baselines, and the models that they start from in another colour. Means are over
    all values of all seeds; short strokes are the seeds where there are several. Places are those of the table
    `ranking`, and runs that it does not rank come last, without a number. Behind a rank are its percentiles over shared
    resamples of groups; a run's band, from the drop of the first, is the noise floor of the two runs' difference; with
    few groups there is neither. Raises MedstressError where no strategy is scored.
    """
    panels = [
        (block, dataset, order, rows)
        for block in blocks_of(spec, sources["scores"])
        for dataset in block.spec.datasets
        if (rows := _rows(block, dataset, order := _order(block, dataset)))
    ]
    if not panels:
        raise nothing_to_draw("strategy_ranking", "no run with a strategy has scores.")
    heights = [_ROW * len(rows) + _EDGE for _, _, _, rows in panels]
    figure = Figure(figsize=(PAGE_WIDTH, sum(heights) + 0.2), layout="constrained")
    grid = figure.subplots(len(panels), 2, squeeze=False, sharey="row", height_ratios=heights)
    for (drops, cleans), (block, dataset, order, rows) in zip(grid, panels, strict=True):
        metric, titles = block.metric_on([dataset]), run_titles(block.spec)
        head(drops, dataset_titles(block.spec)[dataset], counts_text(block, dataset, metric))
        for place, row in enumerate(rows):
            _mark(drops, place, row.run, row.drop, row.drops)
            _mark(cleans, place, row.run, row.clean, row.cleans)
        drops.axvline(0, color="black", linewidth=0.5, linestyle=":")
        least = rows[0].drop.mean
        for place, row in enumerate(rows):
            # The first has none.
            if least is not None and order.floors.get(row.run):
                band = Rectangle((least, place - 0.45), order.floors[row.run], 0.9, color=_BAND, linewidth=0, zorder=0)
                band.set_label("noise floor")
                drops.add_patch(band)
        places = [_place_text(order, row) for row in rows]
        drops.set_yticks(
            range(len(rows)), [f"{titles[row.run]}  {place}" for row, place in zip(rows, places, strict=True)]
        )
        drops.set_ylim(len(rows) - 0.5, -0.5)
        drops.set_xlabel(drop_label(metric))
        cleans.set_xlabel(score_label(metric, "clean"))
        for axes in (drops, cleans):
            axes.grid(axis="y", color="#e4e4e4", linewidth=0.5)
            axes.set_axisbelow(True)
            axes.tick_params(axis="y", length=0)
    figure.legend(handles=_legend(), loc="outside lower center", ncols=4)
    return figure


def _place_text(order: _Order, row: _Row) -> str:
    if row.run in order.places:
        return f"{order.places[row.run]}.{order.ranks.get(row.run, '')}"
    return "no scores:" if row.drop.mean is None else "not ranked:" if order.places else ""


def _legend() -> list[Line2D | Patch]:
    adapted = Line2D([], [], color=_COLOURS["adapted"], marker="o", markersize=4, label="adapted")
    start = Line2D([], [], color=_COLOURS["start"], marker="o", markersize=4, label="before adapting")
    seeds = Line2D([], [], color=GREY, marker="|", markersize=6, linestyle="none", label="one seed of several")
    band = Patch(color=_BAND, label="within noise of the first")
    return [adapted, start, seeds, band]


def _rows(block: Block, dataset: str, order: _Order) -> list[_Row]:
    """The strategies that are scored on a data set, and what they start from, by place; nothing without one."""
    spec, metric = block.spec, block.metric_on([dataset])
    ranked = studied(spec)
    adapted = [run for run in spec.runs_on(dataset) if named_parts(run)["strategy"] and run in ranked]
    if not adapted:
        return []
    origins = {spec.adapted.get(run, named_parts(run)["model"]) for run in adapted}
    clean, pairs = block.clean_on(dataset, metric), block.pairs_on(dataset, metric)
    rows = []
    for run in spec.runs_on(dataset):
        if run not in adapted and run not in origins:
            continue
        own, lost = clean[clean["run"] == run], pairs[pairs["run"] == run]
        drop = estimate_column(lost, "drop", metric, dataset, spec.statistics)
        score = estimate_column(own, "value", metric, dataset, spec.statistics)
        rows.append(_Row(run, drop, score, _by_seed(lost, "drop"), _by_seed(own, "value")))
    last = len(rows) + 1
    rows.sort(key=lambda row: (row.drop.mean is None, order.places.get(row.run, last), row.drop.mean or 0.0))
    return rows


def _order(block: Block, dataset: str) -> _Order:
    """The order of the table `ranking`: by the mean drop over the cells that all ranked runs have."""
    spec, statistics = block.spec, block.spec.statistics
    shared = means_of_ranked(spec, block.pairs_on(dataset, block.metric_on([dataset])), "drop", dataset)
    means = {run: shared.means[run] for run in kinds_of(spec).get("strategies", []) if run in shared.means}
    places = places_of(means, smaller_is_better=True)
    together = np.stack(list(means.values()), axis=1) if means else np.empty((1, 0))
    floors = noise_floors(together, shared.groups, statistics)
    if floors is None:
        return _Order(places, {}, {})
    low, high = rank_stability(together, smaller_is_better=True).interval(statistics.confidence)
    ranks = {run: f" [{first:g}\N{EN DASH}{last:g}]" for run, first, last in zip(means, low, high, strict=True)}
    beside = floors[int(np.argmin(together[0]))]
    return _Order(places, ranks, dict(zip(means, map(float, beside), strict=True)))


def _by_seed(rows: pd.DataFrame, column: str) -> list[float]:
    means = rows.groupby("seed", observed=True)[column].mean()
    return list(means) if len(means) > 1 else []


def _mark(axes: Axes, place: int, run: str, estimate: Estimate, seeds: Sequence[float]) -> None:
    if estimate.mean is None:
        return
    colour = _COLOURS["adapted" if named_parts(run)["strategy"] else "start"]
    axes.plot(seeds, [place] * len(seeds), marker="|", markersize=6, color=GREY, linestyle="none", label="seeds")
    axes.errorbar(
        estimate.mean,
        place,
        xerr=arms(estimate),
        color=colour,
        marker="o",
        markersize=4,
        elinewidth=0.9,
        capsize=2,
        linestyle="none",
        label=run,
    )
