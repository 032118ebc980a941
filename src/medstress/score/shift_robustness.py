"""What is left of a score on the other side of a shift, and what of it needs no image.

Both are quotients of means above the floor: what a guess scores is no ability that could be kept or explained. The
published SURE-VQA evaluation (commit 417e886) divides the scores themselves, so that a model that guesses on either
side is called robust, and 3.2 and 2.4 stars of 1 to 5 give .75; above the floor they give .64.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from medstress.config import Statistics
from medstress.score.bootstrap import Estimate, interval, resampled_together
from medstress.score.metrics import METRICS

SMALLEST = 0.01
"""A mean less than this above the floor, as a share of the metric's range, is nothing to divide by."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Side:
    """Scores of one metric on one side: values, what a guess scores, and the groups that samples are of, all [n].

    `reach` is how far the metric's values can be apart.
    """

    values: Floats
    floors: Floats
    groups: npt.NDArray[np.str_]
    reach: float = 1.0

    @property
    def n_groups(self) -> int:
        """How many groups there are."""
        return len(np.unique(self.groups))


def side_of(rows: pd.DataFrame, metric: str, chances: "pd.Series[float] | None") -> Side:
    """The side that scores are, of which all count. `chances`: what a guess scores, by sample."""
    known, samples = METRICS[metric], rows["sample_id"].astype(str)
    floors = np.full(len(rows), known.smallest) if chances is None else samples.map(chances).to_numpy()
    values, groups = rows["value"].to_numpy(np.float64), rows["group_id"].to_numpy(dtype=np.str_)
    return Side(values, np.asarray(floors, np.float64), groups, known.largest - known.smallest)


def kept_above_floor(part: Side, whole: Side, dataset: str, statistics: Statistics) -> Estimate:
    """Mean of `part` above its floor over that of `whole` above its own.

    Of a side out of distribution and one in it, this is the relative robustness; of the answers without the image and
    those with it, the share of the score that needs no image. Groups that are on both sides are drawn for both, so
    clean and perturbed scores are paired; sides that share none are drawn apart. No mean where there is nothing to
    divide by, and no interval where a side has few groups, or where resamples with nothing to divide by are more than
    one end of it leaves out.
    """
    return _of_two(part, whole, dataset, statistics, floored=True)


def lost_between(iid: Side, ood: Side, dataset: str, statistics: Statistics) -> Estimate:
    """Mean of `iid` less that of `ood`, both as they are, groups drawn as for :func:`kept_above_floor`."""
    return _of_two(iid, ood, dataset, statistics, floored=False)


def _of_two(first: Side, second: Side, dataset: str, statistics: Statistics, *, floored: bool) -> Estimate:
    counted, groups = len(first.values), min(first.n_groups, second.n_groups)
    if not counted or not len(second.values):
        return Estimate(None, None, None, counted, groups)
    means = _resampled(
        [one.values - one.floors * floored for one in (first, second)], first, second, dataset, statistics
    )
    if not floored:
        given = means[:, 0] - means[:, 1]
        return _estimate(given, counted, groups, statistics, (-first.reach, first.reach))
    divisible = means[:, 1] >= SMALLEST * second.reach
    if not divisible[0]:
        return Estimate(None, None, None, counted, groups)
    quotients = means[divisible, 0] / means[divisible, 1]
    # What cannot be divided is beyond every quotient.
    beyond = np.full(int((~divisible).sum()), quotients.max())
    if len(beyond) > (1 - statistics.confidence) / 2 * statistics.resamples:
        return Estimate(float(quotients[0]), None, None, counted, groups)
    return _estimate(np.concatenate([quotients, beyond]), counted, groups, statistics, (-np.inf, np.inf))


def _estimate(
    given: Floats, counted: int, groups: int, statistics: Statistics, limits: tuple[float, float]
) -> Estimate:
    if groups < statistics.min_groups:
        return Estimate(float(given[0]), None, None, counted, groups)
    resampled = given[1:][np.isfinite(given[1:])]
    low, high = interval(float(given[0]), resampled, groups, statistics.confidence, limits)
    return Estimate(float(given[0]), low, high, counted, groups)


def _resampled(values: list[Floats], first: Side, second: Side, dataset: str, statistics: Statistics) -> Floats:
    """[1 + resamples, 2]: means of both sides, over all groups and then over resamples."""
    sides = first.groups, second.groups
    if np.intersect1d(*sides).size:
        names = np.union1d(*sides)
        found = [_by_group(one, groups, names) for one, groups in zip(values, sides, strict=True)]
        sums, counts = (np.stack(part) for part in zip(*found, strict=True))
        return resampled_together(sums, counts, dataset, statistics.resamples)
    columns = []
    # Of other draws, or sides of as many groups would move together.
    for one, groups, key in zip(values, sides, (dataset, f"{dataset}, the other side"), strict=True):
        sums, counts = _by_group(one, groups, np.unique(groups))
        columns.append(resampled_together(sums[None], counts[None], key, statistics.resamples))
    return np.concatenate(columns, axis=1)


def _by_group(values: Floats, groups: npt.NDArray[np.str_], names: npt.NDArray[np.str_]) -> tuple[Floats, Floats]:
    """Sums and counts of each of the named groups."""
    codes = np.searchsorted(names, groups)
    # Sums run in one order, so that the order of rows cannot change the last digit.
    order = np.lexsort((values, codes))
    sums = np.bincount(codes[order], weights=values[order], minlength=len(names))
    return sums.astype(np.float64), np.bincount(codes, minlength=len(names)).astype(np.float64)
