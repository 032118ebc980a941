"""Lines of scores that fall, with their intervals."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes

from medstress.figures.style import Look
from medstress.score.bootstrap import estimate_column
from medstress.score.metrics import METRICS
from medstress.table_spec import TableSpec

DASHED = (0, (3, 1.5))
"""The line style of what is told apart from the rest."""


class Point(NamedTuple):
    """A mean score at a level or radius, with its interval; NaN where there is none."""

    place: float
    mean: float
    low: float
    high: float


def curve(axes: Axes, points: Sequence[Point], look: Look, *, thin: bool = False) -> None:
    """A line through the means, broken where one is missing; thin ones are dashed, with hollow markers."""
    axes.plot(
        [point.place for point in points],
        [point.mean for point in points],
        color=look.colour,
        linestyle=DASHED if thin else look.line,
        linewidth=0.55 if thin else 1.1,
        marker=look.marker,
        markersize=2.2 if thin else 3,
        markerfacecolor="white" if thin else look.colour,
        markeredgewidth=0.5 if thin else 0.7,
    )


def band(axes: Axes, points: Sequence[Point], colour: str) -> None:
    """The intervals around a line, where it has some."""
    if all(math.isnan(point.low) for point in points):
        return
    places, lows, highs = zip(*((point.place, point.low, point.high) for point in points), strict=True)
    axes.fill_between(places, lows, highs, color=colour, alpha=0.16, linewidth=0)


def bars(axes: Axes, points: Sequence[Point], colour: str, shift: float) -> None:
    """The intervals as bars `shift` beside their points, where there are some: bands of like lines would cover up."""
    known = [point for point in points[1:] if not math.isnan(point.low)]
    if known:
        places, lows, highs = zip(*((point.place + shift, point.low, point.high) for point in known), strict=True)
        axes.vlines(places, lows, highs, color=colour, linewidth=0.7)


def points_of(
    spec: TableSpec, dataset: str, metric: str, clean: pd.DataFrame, cells: Sequence[tuple[float, pd.DataFrame]]
) -> Iterator[Point]:
    """The clean mean at 0, then what the paired drops of each cell leave of it; nothing without a clean score."""
    start = estimate_column(clean, "value", metric, dataset, spec.statistics)
    if start.mean is None:
        return
    known = start.mean if start.low is not None else math.nan
    yield Point(0, start.mean, known, known)
    sign = -1 if METRICS[metric].smaller_is_better else 1
    for place, pairs in cells:
        drop = estimate_column(pairs, "drop", metric, dataset, spec.statistics)
        mean = math.nan if drop.mean is None else start.mean - sign * drop.mean
        # The drop's interval may take the score where it cannot be.
        ends = [
            min(max(start.mean - sign * end, METRICS[metric].smallest), METRICS[metric].largest)
            for end in (drop.low, drop.high)
            if end is not None
        ]
        yield Point(place, mean, min(ends, default=math.nan), max(ends, default=math.nan))
