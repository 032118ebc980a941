"""Whether raters and metrics put answers in the same order: Kendall's tau-b and Spearman's rho."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.stats import kendalltau, spearmanr

from medstress.config import Statistics
from medstress.score.bootstrap import Estimate, draws, interval

Floats = npt.NDArray[np.float64]

_CELLS_AT_ONCE = 4_000_000
_MOST_UNDEFINED = 0.05
"""Share of resamples without a coefficient, beyond which there is no interval."""


@dataclass(frozen=True)
class Agreement:
    """Two coefficients, -1..1, with their intervals; None where one side never changes, so that there is no order."""

    kendall: Estimate
    spearman: Estimate


def agreement(
    first: npt.ArrayLike, second: npt.ArrayLike, groups: npt.ArrayLike, dataset: str, statistics: Statistics
) -> Agreement:
    """The agreement of two judgements of the same answers, float [n], whose groups are str [n].

    Kendall's tau-b (Kendall, "The treatment of ties in ranking problems", Biometrika 1945) and Spearman's rho of
    midranks, both by SciPy. Intervals are those of :mod:`medstress.score.bootstrap`: whole groups are resampled. Most
    values are grades, so a resample is a table of how often each pair of values is there, and its coefficients come
    from that table, which is much quicker than ranking each resample anew.
    """
    one, other = np.asarray(first, np.float64), np.asarray(second, np.float64)
    names, codes = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    rows, row = np.unique(one, return_inverse=True)
    columns, column = np.unique(other, return_inverse=True)
    size = one.size, names.size
    if rows.size < 2 or columns.size < 2:
        nothing = Estimate(None, None, None, *size)
        return Agreement(nothing, nothing)
    given = float(kendalltau(one, other).statistic), float(spearmanr(one, other).statistic)
    if names.size < statistics.min_groups:
        return Agreement(*(Estimate(value, None, None, *size) for value in given))
    pairs = csr_array(
        (np.ones(one.size), (codes, row * columns.size + column)), shape=(names.size, rows.size * columns.size)
    )
    parts = [
        coefficients(table.reshape(-1, rows.size, columns.size))
        for table in _tables(pairs, dataset, statistics.resamples)
    ]
    resampled = np.concatenate(parts, axis=1)
    return Agreement(*(_estimate(*pair, size, statistics) for pair in zip(given, resampled, strict=True)))


def _estimate(given: float, resampled: Floats, size: tuple[int, int], statistics: Statistics) -> Estimate:
    # A resample may have drawn groups that all have one grade.
    defined = resampled[np.isfinite(resampled)]
    if defined.size < (1 - _MOST_UNDEFINED) * resampled.size:
        return Estimate(given, None, None, *size)
    low, high = interval(given, defined, size[1], statistics.confidence, (-1.0, 1.0))
    return Estimate(given, low, high, *size)


def _tables(pairs: csr_array, dataset: str, resamples: int) -> Iterator[Floats]:
    """How often each pair of values is in each resample, [some resamples, cells], of `pairs` [groups, cells]."""
    size, cells = pairs.shape
    at_once = max(1, _CELLS_AT_ONCE // cells)
    for drawn in draws(size, dataset, resamples):
        for start in range(0, len(drawn), at_once):
            part = drawn[start : start + at_once]
            places = part + size * np.arange(len(part))[:, None]
            times = np.bincount(places.ravel(), minlength=len(part) * size).reshape(-1, size)
            yield np.asarray(times.astype(np.float64) @ pairs)


def coefficients(tables: Floats) -> Floats:
    """float64 [2, n]: tau-b and rho of contingency tables [n, values, values], values rising; NaN without an order."""
    count = tables.sum(axis=(1, 2))
    rows, columns = tables.sum(axis=2), tables.sum(axis=1)
    # Pairs in the same order minus pairs in opposite order, counted from the higher of the two rows.
    surplus, below = np.zeros(len(tables)), np.zeros_like(columns)
    for row in range(tables.shape[1]):
        upto = below.cumsum(axis=1)
        smaller, larger = upto - below, upto[:, -1:] - upto
        surplus += (tables[:, row] * (smaller - larger)).sum(axis=1)
        below += tables[:, row]
    untied = [(count**2 - (sums**2).sum(axis=1)) / 2 for sums in (rows, columns)]
    middle = (count + 1) / 2
    ranks = [sums.cumsum(axis=1) - (sums - 1) / 2 - middle[:, None] for sums in (rows, columns)]
    spreads = [(sums * rank**2).sum(axis=1) for sums, rank in zip((rows, columns), ranks, strict=True)]
    common = np.einsum("nij,ni,nj->n", tables, *ranks)
    with np.errstate(divide="ignore", invalid="ignore"):
        tau = surplus / np.sqrt(untied[0] * untied[1])
        rho = common / np.sqrt(spreads[0] * spreads[1])
    ordered = (untied[0] > 0) & (untied[1] > 0)
    return np.where(ordered, np.stack([tau, rho]), math.nan)
