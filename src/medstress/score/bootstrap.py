"""Intervals that know that objects of one patient are not independent."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from medstress.config import Statistics
from medstress.seeds import generator, seed_of

_DRAWS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Estimate:
    """A mean over objects with its interval. `low` and `high` are None with too few groups, `mean` without values."""

    mean: float | None
    low: float | None
    high: float | None
    n_values: int
    n_groups: int


def estimate(values: npt.ArrayLike, groups: npt.ArrayLike, dataset: str, statistics: Statistics) -> Estimate:
    """Mean of `values`, float [n], with a percentile interval from resampling whole `groups`, str [n].

    A resample draws as many groups as there are, with replacement, and each brings all its values: the statistic is
    a ratio of sums. The draws depend on the data set's name and the number of groups alone, so the same numbers
    have the same interval in every table, and runs on one data set are resampled alike.
    The cluster bootstrap is that of Field and Welsh, "Bootstrapping clustered data", JRSS B 2007.
    """
    numbers = np.asarray(values, dtype=np.float64)
    names, codes = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    if not numbers.size:
        return Estimate(None, None, None, 0, 0)
    # Sums run in one order, so that the order of rows cannot change the last digit.
    order = np.lexsort((numbers, codes))
    sums = np.bincount(codes[order], weights=numbers[order]).astype(np.float64)
    counts = np.bincount(codes)
    mean = float(sums.sum() / numbers.size)
    if names.size < statistics.min_groups:
        return Estimate(mean, None, None, numbers.size, names.size)
    means = _resampled_means(sums, counts, dataset, statistics.resamples)
    tail = (1 - statistics.confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Estimate(mean, float(low), float(high), numbers.size, names.size)


def _resampled_means(
    sums: npt.NDArray[np.float64], counts: npt.NDArray[np.intp], dataset: str, resamples: int
) -> npt.NDArray[np.float64]:
    """float64 [resamples]: the mean of each resample of groups, whose sums and counts are [groups]."""
    random = generator(seed_of("bootstrap", dataset))
    size = sums.size
    at_once = max(1, _DRAWS_AT_ONCE // size)
    parts = []
    for start in range(0, resamples, at_once):
        drawn = random.integers(0, size, size=(min(at_once, resamples - start), size))
        parts.append(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    return np.concatenate(parts)
