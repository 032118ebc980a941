"""Paired tests, on samples and on groups, and what several tests at once make of their p-values.

Samples of one patient are not independent, so a test on samples finds differences that are not there; the test on
groups is the one to believe. Both are given, because publications report the former.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest, false_discovery_control, rankdata, wilcoxon

Floats = npt.NDArray[np.float64]

_COUNTED = 50


@dataclass(frozen=True)
class Paired:
    """Two-sided p-values of no difference, on samples and on groups, and how many of each differ at all."""

    p_samples: float
    p_groups: float
    n_samples: int
    n_groups: int


def wilcoxon_test(differences: npt.ArrayLike, groups: npt.ArrayLike) -> Paired:
    """Wilcoxon's signed-rank test of `differences`, float [n], and of their means in `groups`, str [n].

    Differences of 0 are left out, as Wilcoxon did ("Individual comparisons by ranking methods", Biometrics 1945);
    without any other the p-value is 1. Groups weigh the same however many samples they have.
    """
    values = np.asarray(differences, dtype=np.float64)
    means = group_means(values, groups)
    return Paired(signed_rank(values), signed_rank(means), int((values != 0).sum()), int((means != 0).sum()))


def signed_rank(values: Floats) -> float:
    """Wilcoxon's two-sided p-value of values, float [n], that are independent of each other.

    Up to 50 values by counting all signs, also where some are as large as others, which SciPy enumerates one by one.
    """
    values = values[values != 0]
    if not values.size:
        return 1.0
    if values.size > _COUNTED:
        return float(wilcoxon(values).pvalue)
    # Twice the ranks, since those of ties may be halves.
    ranks = np.rint(2 * rankdata(np.abs(values))).astype(np.int64)
    ways = np.zeros(int(ranks.sum()) + 1)
    ways[0] = 1
    for rank in ranks:
        ways[rank:] += ways[:-rank].copy()
    away = np.abs(2 * np.arange(ways.size) - ranks.sum())
    given = abs(2 * int(ranks[values > 0].sum()) - int(ranks.sum()))
    return float(ways[away >= given].sum() / ways.sum())


def mcnemar_test(before: npt.ArrayLike, after: npt.ArrayLike, groups: npt.ArrayLike) -> Paired:
    """McNemar's exact test of two answers to the same questions, right or wrong, bool [n].

    Of the samples that changed, those that became wrong are compared with those that became right, by the binomial
    distribution (McNemar, Psychometrika 1947). On groups, those that lost more answers than they gained are compared
    with the others in the same way: that is the sign test, in which every group weighs the same.
    """
    change = np.asarray(after, dtype=np.int64) - np.asarray(before, dtype=np.int64)
    means = group_means(change.astype(np.float64), groups)
    return Paired(_signs(change), _signs(means), int((change != 0).sum()), int((means != 0).sum()))


def _signs(change: npt.NDArray[np.int64] | Floats) -> float:
    worse, better = int((change < 0).sum()), int((change > 0).sum())
    return float(binomtest(worse, worse + better, 0.5).pvalue) if worse + better else 1.0


def smallest_p(groups: int) -> float:
    """The smallest two-sided p-value that signs of so many groups can have, by either test: all to one side."""
    return float(0.5 ** (groups - 1))


def group_means(values: Floats, groups: npt.ArrayLike) -> Floats:
    """The mean of `values`, float [n], in each of `groups`, str [n], by name."""
    _, codes = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    order = np.lexsort((values, codes))
    # A group whose changes cancel must be 0 and not nearly 0.
    return np.bincount(codes[order], weights=values[order]) / np.bincount(codes)


def adjusted(p_values: npt.ArrayLike) -> Floats:
    """Benjamini and Hochberg's p-values (JRSS B 1995), float [n]; NaN, which is no test, stays and does not count."""
    given = np.asarray(p_values, dtype=np.float64)
    tested = np.isfinite(given)
    found = np.full(given.shape, np.nan)
    if tested.any():
        found[tested] = false_discovery_control(given[tested], method="bh")
    return found
