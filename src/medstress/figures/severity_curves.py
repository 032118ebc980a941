"""How scores fall as severity grows: one panel a data set, one colour a run."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from medstress.config import TableSpec
from medstress.figures.style import GREY, PAGE_WIDTH, colours_of, markers_of
from medstress.score.bootstrap import Estimate, estimate
from medstress.score.robustness import GEOMETRIC, SCORED, clean_scores, paired_drops, read_scores

_TITLES = {"iou": "IoU", "dice": "Dice", "hd95": "HD95 (pixels)", "nsd": "NSD"}
_PANEL_HEIGHT = 1.75
_DASHED = (0, (3, 1.5))


def draw(spec: TableSpec, sources: Mapping[str, Sequence[Path]]) -> Figure:
    """Mean score against level. Solid: types calibrated by SSIM. Dashed: types that move pixels. Level 0 is clean.

    A band is the interval of a bootstrap of groups; data sets with too few groups have none.
    """
    metric = "iou" if "iou" in spec.metrics else spec.metrics[0]
    frame = read_scores(sources["scores"])
    frame = frame[frame["metric"] == metric]
    pairs = paired_drops(frame)
    columns = {1: 1, 2: 2, 4: 2}.get(len(spec.datasets), 3)
    rows = math.ceil(len(spec.datasets) / columns)
    width = PAGE_WIDTH if columns > 1 else PAGE_WIDTH / 2
    figure = Figure(figsize=(width, _PANEL_HEIGHT * rows + 0.55), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=metric != "hd95", squeeze=False).ravel()
    for axes, dataset in zip(panels, spec.datasets, strict=False):
        own, clean = pairs[pairs["dataset"] == dataset], clean_scores(frame[frame["dataset"] == dataset])
        _panel(axes, spec, dataset, own, clean)
        axes.set_title(spec.datasets[dataset], loc="left", fontweight="bold", pad=11)
        axes.text(0, 1.03, _counts(spec, dataset, clean), transform=axes.transAxes, color=GREY, fontsize=6.5)
    for axes in panels[len(spec.datasets) :]:
        axes.remove()
    for index, axes in enumerate(panels[: len(spec.datasets)]):
        axes.set_xticks([0, *spec.levels], ["clean", *map(str, spec.levels)])
        axes.grid(axis="y", color="#e4e4e4", linewidth=0.5)
        axes.set_axisbelow(True)
        if index % columns == 0:
            axes.set_ylabel(f"mean {_TITLES[metric]}")
        if index + columns >= len(spec.datasets):
            axes.set_xlabel("severity level")
            axes.tick_params(labelbottom=True)
    handles = _legend(spec)
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 5), handlelength=2.4)
    return figure


def _counts(spec: TableSpec, dataset: str, clean: pd.DataFrame) -> str:
    groups = clean["group_id"].nunique()
    objects = len(clean.drop_duplicates(["sample_id", "object_id"]))
    few = ", too few for intervals" if groups < spec.statistics.min_groups else ""
    return f"{objects} objects in {groups} {spec.split_units[dataset]}{'' if groups == 1 else 's'}{few}"


def _panel(axes: Axes, spec: TableSpec, dataset: str, pairs: pd.DataFrame, clean: pd.DataFrame) -> None:
    colours, markers = colours_of(list(spec.runs)), markers_of(list(spec.runs))
    for run in spec.runs_on(dataset):
        start = clean[(clean["run"] == run) & clean["status"].isin(SCORED)]
        first = estimate(start["value"], start["group_id"], dataset, spec.statistics)
        own = pairs[(pairs["run"] == run) & pairs["scored"]]
        moved = own["perturbation"].isin(GEOMETRIC)
        for part, solid in [(own[~moved], True), (own[moved], False)]:
            points = [(0, first), *((level, _at(spec, part, level, dataset)) for level in spec.levels)]
            known = [(level, value.mean) for level, value in points if value.mean is not None]
            if len(known) < 2:
                continue
            axes.plot(
                [level for level, _ in known],
                [mean for _, mean in known],
                color=colours[run],
                linestyle="-" if solid else _DASHED,
                marker=markers[run],
                markersize=3,
                markerfacecolor=colours[run] if solid else "white",
                markeredgewidth=0.8,
            )
            bands = [(level, value.low, value.high) for level, value in points if value.low is not None]
            if bands:
                axes.fill_between(
                    [level for level, _, _ in bands],
                    [low for _, low, _ in bands],
                    [high for _, _, high in bands if high is not None],
                    color=colours[run],
                    alpha=0.13 if solid else 0.06,
                    linewidth=0,
                )


def _at(spec: TableSpec, pairs: pd.DataFrame, level: int, dataset: str) -> Estimate:
    cell = pairs[pairs["level"] == level]
    return estimate(cell["perturbed"], cell["group_id"], dataset, spec.statistics)


def _legend(spec: TableSpec) -> list[Line2D]:
    colours, markers = colours_of(list(spec.runs)), markers_of(list(spec.runs))
    runs = [
        Line2D([], [], color=colours[run], marker=markers[run], markersize=3.5, label=title)
        for run, title in spec.runs.items()
    ]
    moved = [name for name in spec.perturbations if name in GEOMETRIC]
    calibrated = [name for name in spec.perturbations if name not in GEOMETRIC]
    kinds = []
    if calibrated:
        kinds.append(Line2D([], [], color="black", label=f"{len(calibrated)} SSIM-calibrated types"))
    if moved:
        kinds.append(Line2D([], [], color="black", linestyle=_DASHED, label=f"{len(moved)} geometric types"))
    return runs + kinds
