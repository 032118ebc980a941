"""The perturbations that cost most: one panel a task, medical-specific types beside general ones."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from medstress.figures.blocks import Block, blocks_of, cells_of, shown_kind, studied_runs
from medstress.figures.labels import drop_label
from medstress.figures.panels import say
from medstress.figures.style import COLUMN_WIDTH, PAGE_HEIGHT, PAGE_WIDTH, colours_of
from medstress.score.titles import plural
from medstress.table_spec import TableSpec

_SHOWN = 15
_DOTS = "one run, one data set; (n of m): data sets that have the type"
_ROW = 0.15
_EDGE = 0.62
_COLOURS = colours_of(["general", "medical"])
_TITLES = {
    "segmentation": "Segmentation",
    "classification": "Classification",
    "vqa": "Questions",
    "captioning": "Captions",
    "grounding": "Grounding",
}


class _Bar(NamedTuple):
    name: str
    mean: float
    means: list[float]
    datasets: int


def draw(spec: TableSpec, sources: Mapping[str, Sequence[Path]]) -> Figure:
    """The first 15 types by mean paired drop, as in the table of the same name.

    A bar is the mean over the runs (baselines do not count) and data sets that have the type, each weighing the same;
    each of these means is a dot. Types that belong to modalities are means over other data sets than the rest.
    """
    blocks = blocks_of(spec, sources["scores"])
    bars = [_bars(block) for block in blocks]
    columns = 1 if len(blocks) == 1 else 2
    rows = [max(map(len, bars[start : start + columns])) for start in range(0, len(blocks), columns)]
    heights = [_ROW * max(count, 2) + _EDGE for count in rows]
    width = COLUMN_WIDTH if columns == 1 else PAGE_WIDTH
    figure = Figure(figsize=(width, min(sum(heights) + 0.25, PAGE_HEIGHT)), layout="constrained")
    panels = figure.subplots(len(rows), columns, squeeze=False, height_ratios=heights).ravel()
    for axes, block, own in zip(panels, blocks, bars, strict=False):
        _panel(axes, block, own)
    for axes in panels[len(blocks) :]:
        axes.remove()
    kinds = [Patch(color=_COLOURS[kind], label=f"{kind} type") for kind in _COLOURS]
    dot = Line2D(
        [],
        [],
        color="black",
        marker="o",
        markersize=2.5,
        linestyle="none",
        label=_DOTS,
    )
    figure.legend(handles=[*kinds, dot], loc="outside lower center", ncols=3, handlelength=1.2, columnspacing=1.2)
    return figure


def _bars(block: Block) -> list[_Bar]:
    spec, runs = block.spec, studied_runs(block.spec)
    metric = block.metric_on(spec.datasets)
    means: dict[str, list[float]] = {}
    having: dict[str, set[str]] = {}
    for dataset in spec.datasets:
        pairs = block.pairs_on(dataset, metric)
        for (name, run), part in cells_of(pairs, "perturbation", "run").items():
            if run in runs:
                means.setdefault(str(name), []).append(float(part["drop"].mean()))
                having.setdefault(str(name), set()).add(dataset)
    bars = [_Bar(name, float(np.mean(own)), own, len(having[name])) for name, own in means.items()]
    return sorted(bars, key=lambda bar: (-bar.mean, bar.name))[:_SHOWN]


def _label(spec: TableSpec, bar: _Bar) -> str:
    """The type, and where not all data sets have it, how many do: `vignette (1 of 4)`."""
    some = f" ({bar.datasets} of {len(spec.datasets)})" if bar.datasets < len(spec.datasets) else ""
    return shown_kind(spec, bar.name) + some


def _panel(axes: Axes, block: Block, bars: Sequence[_Bar]) -> None:
    spec = block.spec
    medical = sum(bar.name in spec.medical for bar in bars)
    counted = f"{medical} of {plural(len(bars), 'type')} medical" if medical else "no medical type"
    axes.set_title(f"{_TITLES[block.task]} ({counted})", loc="left", fontweight="bold")
    axes.set_xlabel(drop_label(block.metric_on(spec.datasets)))
    if not bars:
        say(axes, "no scores")
        return
    places = range(len(bars))
    colours = [_COLOURS["medical" if bar.name in spec.medical else "general"] for bar in bars]
    axes.barh(places, [bar.mean for bar in bars], height=0.7, color=colours)
    for place, bar in enumerate(bars):
        axes.plot(
            bar.means,
            [place] * len(bar.means),
            "o",
            color="black",
            markersize=2.2,
            markeredgecolor="white",
            markeredgewidth=0.25,
        )
    axes.axvline(0, color="black", linewidth=0.5)
    axes.set_yticks(places, [f"{place + 1}. {_label(spec, bar)}" for place, bar in enumerate(bars)])
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
