"""How much of a ranking is left when other patients are drawn."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


# Of n runs, a resample has n x n signs.
_SIGNS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Stability:
    """Of a ranking of n runs over resamples.

    given: the ranks over the data, [n], 1 is best, ties have the mean of theirs; tau: Kendall's tau between the ranking
    and that of each resample, [resamples]; first: share of the resamples in which each run is first, [n], ties shared;
    ranks: mean rank of each run over resamples, [n]; resampled: its rank in each, [resamples, n].
    """

    given: Floats
    tau: Floats
    first: Floats
    ranks: Floats
    resampled: Floats

    def interval(self, confidence: float) -> tuple[Floats, Floats]:
        """Percentiles of each run's rank, two times [n]: ranks that occurred, so none between them, and not widened."""
        tail = (1 - confidence) / 2
        low, high = np.quantile(self.resampled, [tail, 1 - tail], axis=0, method="inverted_cdf")
        return low, high


def rank_stability(means: Floats, *, smaller_is_better: bool = False) -> Stability:
    """Of runs whose means are float [1 + resamples, n]: over the data first, then over resamples that runs share.

    Raises ValueError where there are fewer than two runs or no resample.
    """
    if means.shape[0] < 2 or means.shape[1] < 2:
        raise ValueError(f"a ranking needs two runs and a resample, not means of shape {means.shape}")
    better = -means if smaller_is_better else means
    given = _ahead(better[:1])
    at_once = max(1, _SIGNS_AT_ONCE // means.shape[1] ** 2)
    taus, ranks = [], []
    for start in range(1, len(means), at_once):
        ahead = _ahead(better[start : start + at_once])
        taus.append(kendall_tau(given[0], ahead))
        ranks.append(_ranks(ahead))
    resampled = np.concatenate(ranks)
    best = better == better.max(axis=1, keepdims=True)
    return Stability(
        _ranks(given)[0],
        np.concatenate(taus),
        (best / best.sum(axis=1, keepdims=True))[1:].mean(axis=0),
        resampled.mean(axis=0),
        resampled,
    )


def _ahead(better: Floats) -> Floats:
    """Which run is ahead of which, 1, 0 or -1: [m, n, n]."""
    signs: Floats = np.sign(better[:, :, None] - better[:, None, :])
    return signs


def _ranks(ahead: Floats) -> Floats:
    ranks: Floats = 1 + ((ahead < 0).sum(axis=2) + 0.5 * ((ahead == 0).sum(axis=2) - 1))
    return ranks


def kendall_tau(given: Floats, others: Floats) -> Floats:
    """Tau-b from signs of differences, [n, n] and [m, n, n]: float [m]; NaN where one of the two is all ties.

    Kendall, "The treatment of ties in ranking problems", Biometrika 1945.
    """
    concordant = (given[None] * others).sum(axis=(1, 2))
    pairs = np.sqrt((given**2).sum() * (others**2).sum(axis=(1, 2)))
    found: Floats = np.full(len(others), np.nan)
    np.divide(concordant, pairs, out=found, where=pairs > 0)
    return found
