"""What differences between runs are noise."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from medstress.config import Statistics
from medstress.score.bootstrap import widening

Floats = npt.NDArray[np.float64]
# Means of equal scores may differ in their last digits.
_EQUAL = 1e-12


def noise_floors(means: Floats, groups: int, statistics: Statistics) -> Floats | None:
    """The difference that two of n runs must exceed to be more than noise: of each pair its own, [n, n], 0 of a run.

    `means`: float [1 + resamples, n], over the data and then over resamples that runs share. A floor is the standard
    error of the pair's difference times one number for all pairs: the quantile of the largest, over all pairs, of
    |resampled difference - difference found| / standard error. So in as many per cent of studies like this one no
    difference is off by more than its floor, and a pair that is noisy does not decide about the others (the studentised
    maximum; Romano and Wolf, "Exact and approximate stepdown methods", JASA 2005). Arms are widened for few groups as
    all intervals are. None where groups are too few or there is one run.
    """
    count = means.shape[1]
    if count < 2 or groups < statistics.min_groups or not np.isfinite(means).all():
        return None
    off = means[1:] - means[0]
    spreads, largest = np.zeros((count, count)), np.zeros(len(off))
    # One run at a time: all pairs at once are many.
    for run in range(count - 1):
        spread = _take_in(off[:, [run]] - off[:, run + 1 :], largest)
        spreads[run, run + 1 :] = spreads[run + 1 :, run] = spread
    floors: Floats = spreads * float(np.quantile(largest, statistics.confidence))
    return floors * widening(groups, statistics.confidence)


def floors_of_differences(differences: Floats, groups: Sequence[int], statistics: Statistics) -> Floats:
    """The same of differences that are given, float [1 + resamples, pairs], each over so many groups: float [pairs].

    NaN of a pair with too few groups, or that lacks some resample; the others' floors are without it.
    """
    floors = np.full(differences.shape[1], np.nan)
    known = np.isfinite(differences).all(axis=0) & (np.asarray(groups) >= statistics.min_groups)
    if not known.any() or len(differences) < 2:
        return floors
    largest = np.zeros(len(differences) - 1)
    spread = _take_in(differences[1:, known] - differences[0, known], largest)
    wider = [widening(count, statistics.confidence) for count, there in zip(groups, known, strict=True) if there]
    floors[known] = spread * float(np.quantile(largest, statistics.confidence)) * np.array(wider)
    return floors


def _take_in(off: Floats, largest: Floats) -> Floats:
    """Standard errors of pairs from deviations, [resamples, pairs]; `largest`, [resamples], rises to their ratio."""
    spread: Floats = np.sqrt((off**2).mean(axis=0))
    # Runs that answer alike never differ, and say nothing about others.
    moved = spread > _EQUAL
    if moved.any():
        np.maximum(largest, np.abs(off[:, moved] / spread[moved]).max(axis=1), out=largest)
    return np.where(moved, spread, 0.0)
