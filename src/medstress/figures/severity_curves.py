"""How scores fall as severity grows: one panel a data set, one colour a run."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from medstress.figures.blocks import Block, blocks_of
from medstress.figures.curves import DASHED, band, curve, points_of
from medstress.figures.labels import counts_text, run_handles, score_label
from medstress.figures.panels import Panels, head, panelled, say
from medstress.figures.style import GREY, LineStyle, looks_of
from medstress.score.titles import dataset_titles, plural
from medstress.table_spec import TableSpec

_PANEL_HEIGHT = 1.25
# Bands of many runs cover each other and the lines.
_MOST_BANDS = 3
# Panels of more runs are two columns wide.
_MOST_NARROW = 6


def draw(spec: TableSpec, sources: Mapping[str, Sequence[Path]]) -> Figure:
    """Score against level. Solid: calibrated by SSIM. Thin and dashed, where there are both: strengths of a table.

    A level's point is the clean mean of all objects less the mean paired drop at that level: objects that cannot reach
    a level are in the clean mean alone, and the plain mean of the others would move with who they are. A band is the
    interval of the drop, for solid lines of panels of up to three runs; data sets with too few groups have none. A
    level without scores is a gap in its line. Every panel has a range of its own.
    """
    blocks = blocks_of(spec, sources["scores"])
    asked = [Panels(len(block.spec.datasets), _legend(block.spec), _wide(block)) for block in blocks]
    figure, panels = panelled(asked, _PANEL_HEIGHT)
    for block, layout, places in zip(blocks, asked, panels, strict=True):
        for index, (axes, dataset) in enumerate(zip(places, block.spec.datasets, strict=False)):
            metric = block.metric_on([dataset])
            _panel(axes, block, dataset, metric)
            counted = counts_text(block, dataset, metric)
            head(axes, dataset_titles(block.spec)[dataset], counted, wide=index in layout.wide)
            axes.set_xticks([0, *spec.levels], ["clean", *map(str, spec.levels)])
            axes.set_ylabel(score_label(metric))
            axes.set_xlabel("severity level", labelpad=1.5)
    return figure


def _wide(block: Block) -> frozenset[int]:
    """The places of the data sets with many runs."""
    datasets = enumerate(block.spec.datasets)
    return frozenset(place for place, dataset in datasets if len(block.spec.runs_on(dataset)) > _MOST_NARROW)


def _panel(axes: Axes, block: Block, dataset: str, metric: str) -> None:
    spec, looks = block.spec, looks_of(list(block.spec.runs), block.spec.baselines)
    clean, pairs = block.clean_on(dataset, metric), block.pairs_on(dataset, metric)
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.5)
    axes.set_axisbelow(True)
    if clean.empty:
        say(axes, "no scores")
    banded = _banded(spec, dataset)
    for run in spec.runs_on(dataset):
        own = pairs[pairs["run"] == run]
        of_table = own["perturbation"].isin(spec.fixed)
        for part, thin in [(own[~of_table], False), (own[of_table], _calibrated(spec) > 0)]:
            cells = [(float(level), part[part["level"] == level]) for level in spec.levels]
            points = list(points_of(spec, dataset, metric, clean[clean["run"] == run], cells))
            if sum(not math.isnan(point.mean) for point in points) < 2:
                continue
            curve(axes, points, looks[run], thin=thin)
            if banded and not thin:
                band(axes, points, looks[run].colour)


def _calibrated(spec: TableSpec) -> int:
    """How many types have bands of SSIM; without any, those of a table have the lines to themselves."""
    return sum(name not in spec.fixed for name in spec.perturbations)


def _banded(spec: TableSpec, dataset: str) -> bool:
    return len(spec.runs_on(dataset)) <= _MOST_BANDS


def _legend(spec: TableSpec) -> list[Line2D | Patch]:
    of_table = [name for name in spec.perturbations if name in spec.fixed]
    calibrated = _calibrated(spec)
    kinds: list[Line2D | Patch] = []
    if calibrated:
        kinds.append(Line2D([], [], color="black", label=plural(calibrated, "SSIM-calibrated type")))
    if of_table:
        label = f"{plural(len(of_table), 'type')} at strengths of a table†"
        line: LineStyle = DASHED if calibrated else "-"
        width = 0.55 if calibrated else 1.1
        kinds.append(Line2D([], [], color="black", linewidth=width, linestyle=line, label=label))
    if any(_banded(spec, dataset) for dataset in spec.datasets):
        kinds.append(Patch(color=GREY, alpha=0.3, linewidth=0, label="interval of the drop, solid lines"))
    return [*run_handles(spec, list(spec.runs)), *kinds]
