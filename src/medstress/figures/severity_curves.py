"""How scores fall as severity grows: one panel a data set, one colour a run."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from medstress.figures.style import GREY, PAGE_WIDTH, colours_of, legend_columns, markers_of
from medstress.score.bootstrap import estimate_column
from medstress.score.metrics import METRICS, primary_metric
from medstress.score.robustness import SCORED, clean_scores, of_perturbations, paired_drops, read_scores
from medstress.score.titles import dataset_titles, plural, run_titles
from medstress.table_spec import TableSpec

_PANEL_HEIGHT = 1.75
_LEGEND_ROW = 0.16
_DASHED = (0, (3, 1.5))
# Bands of many runs cover each other and the lines.
_MOST_BANDS = 3


class _Point(NamedTuple):
    level: int
    mean: float
    low: float | None
    high: float | None


def draw(spec: TableSpec, sources: Mapping[str, Sequence[Path]]) -> Figure:
    """Score against level. Solid: types calibrated by SSIM. Dashed: types that move pixels. Level 0 is clean.

    A level's point is the clean mean of all objects less the mean paired drop at that level: objects that cannot reach
    a level are in the clean mean alone, and the plain mean of the others would move with who they are. A band is the
    interval of the drop; data sets with too few groups have none, and dashed lines have none where runs are many.
    """
    metric = primary_metric(spec)
    frame = of_perturbations(spec, read_scores(sources["scores"]))
    frame = frame[frame["metric"] == metric]
    pairs = paired_drops(frame)
    columns = {1: 1, 2: 2, 4: 2}.get(len(spec.datasets), 3)
    rows = math.ceil(len(spec.datasets) / columns)
    width = PAGE_WIDTH if columns > 1 else PAGE_WIDTH / 2
    handles = _legend(spec)
    places = legend_columns([str(handle.get_label()) for handle in handles], width)
    height = _PANEL_HEIGHT * rows + 0.4 + _LEGEND_ROW * math.ceil(len(handles) / places)
    figure = Figure(figsize=(width, height), layout="constrained")
    panels = figure.subplots(
        rows, columns, sharex=True, sharey=not METRICS[metric].smaller_is_better, squeeze=False
    ).ravel()
    titles = dataset_titles(spec)
    for axes, dataset in zip(panels, spec.datasets, strict=False):
        own, clean = pairs[pairs["dataset"] == dataset], clean_scores(frame[frame["dataset"] == dataset])
        _panel(axes, spec, dataset, own, clean)
        axes.set_title(titles[dataset], loc="left", fontweight="bold", pad=11)
        axes.text(0, 1.03, _counts(spec, dataset, clean), transform=axes.transAxes, color=GREY, fontsize=6.5)
    for axes in panels[len(spec.datasets) :]:
        axes.remove()
    unit = f" ({METRICS[metric].unit})" if METRICS[metric].unit else ""
    for index, axes in enumerate(panels[: len(spec.datasets)]):
        axes.set_xticks([0, *spec.levels], ["clean", *map(str, spec.levels)])
        axes.grid(axis="y", color="#e4e4e4", linewidth=0.5)
        axes.set_axisbelow(True)
        if index % columns == 0:
            axes.set_ylabel(f"mean {METRICS[metric].title}{unit}")
        if index + columns >= len(spec.datasets):
            axes.set_xlabel("severity level")
            axes.tick_params(labelbottom=True)
    figure.legend(handles=handles, loc="outside lower center", ncols=places, handlelength=2.4)
    return figure


def _counts(spec: TableSpec, dataset: str, clean: pd.DataFrame) -> str:
    groups = clean["group_id"].nunique()
    objects = len(clean.drop_duplicates(["sample_id", "object_id"]))
    few = ", too few for intervals" if groups < spec.statistics.min_groups else ""
    return f"{plural(objects, 'object')} in {plural(groups, spec.split_units[dataset])}{few}"


def _panel(axes: Axes, spec: TableSpec, dataset: str, pairs: pd.DataFrame, clean: pd.DataFrame) -> None:
    colours, markers = colours_of(list(spec.runs)), markers_of(list(spec.runs))
    for run in spec.runs_on(dataset):
        start = clean[(clean["run"] == run) & clean["status"].isin(SCORED)]
        own = pairs[(pairs["run"] == run) & pairs["scored"]]
        moved = own["perturbation"].isin(spec.fixed)
        for part, solid in [(own[~moved], True), (own[moved], False)]:
            points = list(_points(spec, dataset, start, part))
            if len(points) < 2:
                continue
            axes.plot(
                [point.level for point in points],
                [point.mean for point in points],
                color=colours[run],
                linestyle="-" if solid else _DASHED,
                linewidth=1.2 if solid else 0.9,
                marker=markers[run],
                markersize=3,
                markerfacecolor=colours[run] if solid else "white",
                markeredgewidth=0.8,
            )
            bands = [(point.level, point.low, point.high) for point in points if point.low is not None]
            if bands and (solid or len(spec.runs) <= _MOST_BANDS):
                axes.fill_between(
                    [level for level, _, _ in bands],
                    [low for _, low, _ in bands],
                    [high for _, _, high in bands if high is not None],
                    color=colours[run],
                    alpha=0.13 if solid and len(spec.runs) <= _MOST_BANDS else 0.06,
                    linewidth=0,
                )


def _points(spec: TableSpec, dataset: str, clean: pd.DataFrame, pairs: pd.DataFrame) -> Iterator[_Point]:
    """The clean mean, then what the paired drops leave of it; nothing without a clean score."""
    metric = primary_metric(spec)
    start = estimate_column(clean, "value", metric, dataset, spec.statistics)
    if start.mean is None:
        return
    known = start.low is not None
    yield _Point(0, start.mean, start.mean if known else None, start.mean if known else None)
    sign = -1 if METRICS[metric].smaller_is_better else 1
    for level in spec.levels:
        drop = estimate_column(pairs[pairs["level"] == level], "drop", metric, dataset, spec.statistics)
        if drop.mean is None:
            continue
        ends = [start.mean - sign * end for end in (drop.low, drop.high) if end is not None]
        yield _Point(level, start.mean - sign * drop.mean, min(ends, default=None), max(ends, default=None))


def _legend(spec: TableSpec) -> list[Line2D]:
    colours, markers = colours_of(list(spec.runs)), markers_of(list(spec.runs))
    runs = [
        Line2D([], [], color=colours[run], marker=markers[run], markersize=3.5, label=title)
        for run, title in run_titles(spec).items()
    ]
    moved = [name for name in spec.perturbations if name in spec.fixed]
    calibrated = [name for name in spec.perturbations if name not in spec.fixed]
    kinds = []
    if calibrated:
        kinds.append(Line2D([], [], color="black", label=plural(len(calibrated), "SSIM-calibrated type")))
    if moved:
        label = f"{plural(len(moved), 'type')} at fixed strengths"
        kinds.append(Line2D([], [], color="black", linewidth=0.9, linestyle=_DASHED, label=label))
    return runs + kinds
