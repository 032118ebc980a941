"""Intervals that know that objects of one patient are not independent."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri, stdtrit

from medstress.config import Statistics
from medstress.score.metrics import METRICS
from medstress.seeds import generator, seed_of

_DRAWS_AT_ONCE = 4_000_000
# Whole numbers have the same sum in any order, and a matrix product may choose one by the machine.
_FIXED_POINT = 2.0**30


@dataclass(frozen=True)
class Estimate:
    """A mean over objects with its interval. `low` and `high` are None with too few groups, `mean` without values."""

    mean: float | None
    low: float | None
    high: float | None
    n_values: int
    n_groups: int


def estimate(
    values: npt.ArrayLike,
    groups: npt.ArrayLike,
    dataset: str,
    statistics: Statistics,
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> Estimate:
    """Mean of `values`, float [n], with an interval from resampling whole `groups`, str [n].

    A resample draws as many groups as there are, with replacement, and each brings all its values: the statistic is
    a ratio of sums (the cluster bootstrap of Field and Welsh, "Bootstrapping clustered data", JRSS B 2007).
    The percentile interval is then widened for few groups, see :func:`widening`, and cut at `limits`, the values that
    the mean can have. The draws depend on the data set's name and the number of groups alone, so the same numbers
    have the same interval in every table, and runs on one data set are resampled alike.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if not numbers.size:
        return Estimate(None, None, None, 0, 0)
    codes = codes_of(groups)
    # Sums run in one order, so that the order of rows cannot change the last digit.
    order = np.lexsort((numbers, codes))
    sums = np.bincount(codes[order], weights=numbers[order]).astype(np.float64)
    counts = np.bincount(codes)
    mean = float(sums.sum() / numbers.size)
    if sums.size < statistics.min_groups:
        return Estimate(mean, None, None, numbers.size, sums.size)
    means = _resampled_means(sums, counts, dataset, statistics.resamples)
    low, high = interval(mean, means, sums.size, statistics.confidence, limits)
    return Estimate(mean, low, high, numbers.size, sums.size)


def codes_of(groups: npt.ArrayLike) -> npt.NDArray[np.intp]:
    """Numbers of groups, int [n], from their names, str [n]: 0 for the first name that occurs in their sorted order."""
    if not (isinstance(groups, pd.Series) and isinstance(groups.dtype, pd.CategoricalDtype)):
        return np.unique(np.asarray(groups, dtype=str), return_inverse=True)[1]
    # Categories are few and rows many, whose texts take long to sort.
    codes = groups.cat.codes.to_numpy()
    used = np.flatnonzero(np.bincount(codes, minlength=len(groups.cat.categories)))
    places = np.empty(len(groups.cat.categories), np.intp)
    places[used[np.argsort(np.asarray(groups.cat.categories[used], dtype=str))]] = np.arange(len(used))
    return places[codes]


def interval(
    given: float,
    resampled: npt.NDArray[np.float64],
    groups: int,
    confidence: float,
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> tuple[float, float]:
    """The ends of a statistic's interval, from its values in resamples of so many groups."""
    tail = (1 - confidence) / 2
    arms = (np.quantile(resampled, [tail, 1 - tail]) - given) * widening(groups, confidence)
    low, high = np.clip(given + arms, *limits)
    return float(low), float(high)


def estimate_column(
    rows: pd.DataFrame,
    column: Literal["value", "perturbed", "drop"],
    metric: str,
    dataset: str,
    statistics: Statistics,
) -> Estimate:
    """The estimate of one column of scores or pairs of one metric; intervals stay where the metric can be."""
    largest, smallest = METRICS[metric].largest, METRICS[metric].smallest
    limits = (smallest - largest, largest - smallest) if column == "drop" else (smallest, largest)
    return estimate(rows[column], rows["group_id"], dataset, statistics, limits)


def widening(groups: int, confidence: float) -> float:
    """What the arms of a percentile interval are multiplied with: sqrt(G / (G - 1)) * t / z, for G groups.

    The plain interval is too short for few groups, covering 82 % instead of 95 % with five. Resampling spreads as if
    the variance were divided by G instead of G - 1, and takes normal for Student quantiles. Both corrections are from
    Hesterberg, "What teachers should know about the bootstrap", The American Statistician 2015; he moves the quantiles
    further out, which needs thousands of resamples where groups are few, and here the arms are stretched instead.
    """
    upper = (1 + confidence) / 2
    return float(math.sqrt(groups / (groups - 1)) * stdtrit(groups - 1, upper) / ndtri(upper))


def draws(size: int, dataset: str, resamples: int) -> Iterator[npt.NDArray[np.int64]]:
    """Numbers of the drawn groups, [resamples, size] in parts: the same for every table of a data set."""
    random = generator(seed_of("bootstrap", dataset))
    at_once = max(1, _DRAWS_AT_ONCE // size)
    for start in range(0, resamples, at_once):
        yield random.integers(0, size, size=(min(at_once, resamples - start), size))


def _times_drawn(size: int, dataset: str, resamples: int) -> Iterator[npt.NDArray[np.float64]]:
    """How often resamples draw each group, [resamples, size] in parts."""
    if 0 < size * resamples <= _DRAWS_AT_ONCE:
        yield _all_times_drawn(size, dataset, resamples)
    else:
        yield from map(_times, draws(size, dataset, resamples))


@lru_cache(maxsize=8)
def _all_times_drawn(size: int, dataset: str, resamples: int) -> npt.NDArray[np.float64]:
    # A table has hundreds of cells with the same groups.
    return np.concatenate([_times(drawn) for drawn in draws(size, dataset, resamples)])


def _times(drawn: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    size = drawn.shape[1]
    places = drawn + size * np.arange(len(drawn))[:, None]
    return np.bincount(places.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.float64)


def _resampled_means(
    sums: npt.NDArray[np.float64], counts: npt.NDArray[np.intp], dataset: str, resamples: int
) -> npt.NDArray[np.float64]:
    """float64 [resamples]: the mean of each resample of groups, whose sums and counts are [groups]."""
    # Scaled so that no sum of a resample exceeds 2**53, up to which float64 holds every whole number.
    power = 52 - int(np.frexp(sums.size * np.abs(sums).max())[1])
    columns = np.stack([np.rint(np.ldexp(sums, power)), counts], axis=1)
    drawn = np.concatenate([times @ columns for times in _times_drawn(sums.size, dataset, resamples)])
    return np.asarray(np.ldexp(drawn[:, 0] / drawn[:, 1], -power), dtype=np.float64)


def resampled_together(
    sums: npt.NDArray[np.float64], counts: npt.NDArray[np.float64], dataset: str, resamples: int
) -> npt.NDArray[np.float64]:
    """float64 [1 + resamples, cells]: means of cells over all groups, then over resamples that the cells share.

    `sums` and `counts` of each group in each cell: [cells, groups]. A mean of nothing is NaN.
    """
    whole = np.rint(sums * _FIXED_POINT)
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [
            (times @ whole.T) / (times @ counts.T) / _FIXED_POINT
            for times in _times_drawn(sums.shape[1], dataset, resamples)
        ]
        return np.concatenate([sums.sum(axis=1)[None] / counts.sum(axis=1)[None], *parts])
