"""How scores fall as the radius of an attack grows: one panel a data set and attack, one colour a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from medstress.figures.blocks import Block, blocks_of, nothing_to_draw
from medstress.figures.curves import bars, curve, points_of
from medstress.figures.labels import run_handles, score_label
from medstress.figures.panels import Panels, head, panelled, say
from medstress.figures.style import GREY, looks_of
from medstress.score.titles import dataset_titles
from medstress.table_spec import TableSpec

_PANEL_HEIGHT = 1.8
# Intervals of many runs cover each other and the lines.
_MOST_BARS = 3
# Of the largest radius: how far the bars of two runs are apart.
_APART = 0.02
_SHORT = ("fgsm", "pgd")


def draw(spec: TableSpec, sources: Mapping[str, Sequence[Path]]) -> Figure:
    """Score against radius in grey levels; 0 is the clean image.

    A point is the clean mean less the mean paired drop of the run's own attack; up to three runs have the interval of
    the drop as a bar, beside each other. The panels of a data set have one range. Raises MedstressError where nobody is
    attacked.
    """
    blocks = [block for block in blocks_of(spec, sources["scores"]) if _attacked(block)]
    if not blocks:
        raise nothing_to_draw("adversarial_curves", "the study has no attack on a run with gradients.")
    asked = [Panels(len(_cells(block)), _legend(block)) for block in blocks]
    figure, panels = panelled(asked, _PANEL_HEIGHT)
    for block, places in zip(blocks, panels, strict=True):
        shown = list(zip(places, _cells(block), strict=False))
        for axes, (dataset, attack) in shown:
            metric = block.metric_on([dataset])
            _panel(axes, block, dataset, attack, metric)
            axes.set_ylabel(score_label(metric))
            axes.set_xlabel("radius (grey levels)", labelpad=1.5)
        for dataset in block.spec.attacked_datasets:
            alike = [axes for axes, (of, _) in shown if of == dataset and axes.lines]
            for axes in alike[1:]:
                axes.sharey(alike[0])
            if alike:
                alike[0].autoscale(axis="y")
    return figure


def _cells(block: Block) -> list[tuple[str, str]]:
    return [(dataset, attack) for dataset in block.spec.attacked_datasets for attack in block.spec.attacks]


def _legend(block: Block) -> list[Line2D]:
    runs = _attacked(block)
    handles = run_handles(block.spec, runs)
    if len(runs) <= _MOST_BARS:
        bar = Line2D([], [], color=GREY, marker="|", markersize=8, linestyle="none", label="interval of the drop")
        handles.append(bar)
    return handles


def _name(attack: str) -> str:
    """`PGD`, `PGD 20 steps`."""
    return " ".join(word.upper() if word in _SHORT else word for word in attack.split("_"))


def _attacked(block: Block) -> list[str]:
    """The runs that are attacked on some data set of the task."""
    on = {run for dataset in block.spec.attacked_datasets for run in block.spec.runs_on(dataset)}
    return [run for run in block.spec.attacked if run in on] if block.spec.attacks else []


def _panel(axes: Axes, block: Block, dataset: str, attack: str, metric: str) -> None:
    spec, shown = block.spec, [run for run in _attacked(block) if run in block.spec.runs_on(dataset)]
    looks = looks_of(list(spec.runs), spec.baselines)
    clean, pairs = block.clean_on(dataset, metric), block.pairs_on(dataset, metric, [attack])
    lacking = sum(
        pairs[(pairs["run"] == run) & (pairs["level"] == level)].empty for run in shown for level in spec.levels
    )
    holes = f"{lacking} of {len(shown) * len(spec.levels)} cells missing" if lacking else ""
    head(axes, f"{dataset_titles(spec)[dataset]}, {_name(attack)}", holes)
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.5)
    axes.set_axisbelow(True)
    for place, run in enumerate(shown):
        own = pairs[pairs["run"] == run]
        cells = [(spec.attacks[attack][level - 1], own[own["level"] == level]) for level in spec.levels]
        points = list(points_of(spec, dataset, metric, clean[clean["run"] == run], cells))
        if points:
            curve(axes, points, looks[run])
            if len(shown) <= _MOST_BARS:
                shift = (place - (len(shown) - 1) / 2) * _APART * spec.attacks[attack][spec.levels[-1] - 1]
                bars(axes, points, looks[run].colour, shift)
    if not axes.lines:
        say(axes, "no scores")
