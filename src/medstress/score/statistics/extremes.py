"""Intervals of the smallest or largest of several numbers.

Resampling does not give them: the smallest of many noisy numbers is too small in the data and in each resample. They
are put together from the intervals of the numbers instead. The smallest is above a bound where all numbers are, so its
low end is the smallest low end; it is below one where any is, so its high end is the smallest of high ends that hold
all at once (Bonferroni). Berger, "Multiparameter hypothesis testing", Technometrics 1982, for the former.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from medstress.config import Statistics
from medstress.score.bootstrap import Estimate, interval

Floats = npt.NDArray[np.float64]


def estimate_of_one(values: Floats, groups: int, statistics: Statistics, at_once: int = 1) -> Estimate:
    """A number and its interval from [1 + resamples]; `at_once` intervals hold together with the confidence given."""
    given = float(values[0])
    if not np.isfinite(given):
        return Estimate(None, None, None, 0, groups)
    if groups < statistics.min_groups or not np.isfinite(values).all():
        return Estimate(given, None, None, 1, groups)
    confidence = 1 - (1 - statistics.confidence) / at_once
    low, high = interval(given, values[1:], groups, confidence)
    return Estimate(given, low, high, 1, groups)


def smallest_of(values: Floats, groups: int, statistics: Statistics, at_once: int = 1) -> Estimate:
    """The smallest of the numbers whose resamples are [1 + resamples, k]; no interval where one of them has none.

    `at_once`: how many such low ends hold together.
    """
    count = values.shape[1]
    low = [estimate_of_one(values[:, place], groups, statistics, at_once).low for place in range(count)]
    high = [estimate_of_one(values[:, place], groups, statistics, count).high for place in range(count)]
    if not np.isfinite(values[0]).all():
        return Estimate(None, None, None, 0, groups)
    return Estimate(float(values[0].min()), _least(low), _least(high), count, groups)


def _least(ends: Sequence[float | None]) -> float | None:
    """The smallest, if there are all."""
    given = [end for end in ends if end is not None]
    return min(given) if len(given) == len(ends) else None


def largest_of(values: Floats, groups: int, statistics: Statistics) -> Estimate:
    """The largest of the numbers whose resamples are [1 + resamples, k]."""
    return _negated(smallest_of(-values, groups, statistics))


def best_of_worst(values: Sequence[Floats], groups: int, statistics: Statistics) -> Estimate:
    """The largest, over candidates, of the smallest of each one's numbers; each is [1 + resamples, k].

    It is above 0 where one candidate has all its numbers above 0. One of several must be, so low ends hold all at once.
    """
    smallest = [smallest_of(one, groups, statistics, at_once=len(values)) for one in values]
    found = [one for one in smallest if one.mean is not None]
    if not found:
        return Estimate(None, None, None, 0, groups)
    best = max(found, key=lambda one: one.mean or 0.0)
    negated = [_negated(one) for one in found]
    low, high = _least([one.high for one in negated]), _least([one.low for one in negated])
    return replace(best, low=None if low is None else -low, high=None if high is None else -high)


def _negated(one: Estimate) -> Estimate:
    mean, low, high = (None if value is None else -value for value in (one.mean, one.high, one.low))
    return replace(one, mean=mean, low=low, high=high)
