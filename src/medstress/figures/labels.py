"""What panels, axes, legends and bars say of runs, metrics and counts."""

from collections.abc import Collection

from matplotlib.lines import Line2D

from medstress.figures.blocks import Block
from medstress.figures.style import looks_of
from medstress.score.bootstrap import Estimate
from medstress.score.metrics import METRICS
from medstress.score.titles import plural, run_titles
from medstress.table_spec import TableSpec


def title_of(metric: str) -> str:
    """A metric's title inside a sentence: `closed accuracy`, but `IoU`."""
    title = METRICS[metric].title
    word = title.split()[0]
    return title if word[1:] != word[1:].lower() or metric == "dice" else title[0].lower() + title[1:]


def score_label(metric: str, which: str = "mean") -> str:
    """`mean HD95 (pixels)`."""
    unit = f" ({METRICS[metric].unit})" if METRICS[metric].unit else ""
    return f"{which} {title_of(metric)}{unit}"


def drop_label(metric: str) -> str:
    """`mean IoU drop`; distances rise."""
    return f"mean {title_of(metric)} {'rise' if METRICS[metric].smaller_is_better else 'drop'}"


def counts_text(block: Block, dataset: str, metric: str) -> str:
    """What a panel's scores are of: `20 objects in 5 tiles, 3 of 80 cells missing`."""
    spec, clean = block.spec, block.clean_on(dataset, metric)
    groups = clean["group_id"].nunique()
    objects = len(clean.drop_duplicates(["sample_id", "object_id"]))
    few = ", too few for intervals" if groups < spec.statistics.min_groups else ""
    holes, asked = block.holes_on(dataset, metric)
    missing = f", {holes} of {asked} cells missing" if holes else ""
    unit = "object" if block.task == "segmentation" else "sample"
    return f"{plural(objects, unit)} in {plural(groups, spec.split_units[dataset])}{few}{missing}"


def run_handles(spec: TableSpec, runs: Collection[str]) -> list[Line2D]:
    """Legend entries of runs, drawn as they are among all runs of the task."""
    looks, titles = looks_of(list(spec.runs), spec.baselines), run_titles(spec)
    return [
        Line2D(
            [],
            [],
            color=looks[run].colour,
            linestyle=looks[run].line,
            linewidth=1.1,
            marker=looks[run].marker,
            markersize=3.5,
            label=titles[run],
        )
        for run in spec.runs
        if run in runs
    ]


def arms(estimate: Estimate) -> list[list[float]] | None:
    """Lengths of an interval's arms, [[below], [above]], or None with too few groups."""
    if estimate.mean is None or estimate.low is None or estimate.high is None:
        return None
    # A mean may stick out of its interval by a rounding error.
    return [[max(estimate.mean - estimate.low, 0.0)], [max(estimate.high - estimate.mean, 0.0)]]
