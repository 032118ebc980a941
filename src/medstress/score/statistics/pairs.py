"""Differences between runs on the samples that both have, resampled together."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from medstress.score.bootstrap import resampled_together

Floats = npt.NDArray[np.float64]


def resampled_differences(
    values: Floats, groups: npt.ArrayLike, pairs: Sequence[tuple[int, int]], dataset: str, resamples: int
) -> Floats:
    """Mean of first minus second of each pair of runs, float [1 + resamples, pairs], resamples shared by all pairs.

    `values`: float [n, runs], NaN where a run lacks the sample; `groups`: str [n]. Each pair is over the samples that
    both of its runs have. NaN where there is none in a resample.
    """
    names, codes = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    sums, counts = np.zeros((len(pairs), len(names))), np.zeros((len(pairs), len(names)))
    for place, (first, second) in enumerate(pairs):
        difference = values[:, first] - values[:, second]
        # Sums run in one order, so that the order of rows cannot change the last digit.
        order = np.lexsort((difference, codes))
        order = order[np.isfinite(difference[order])]
        sums[place] = np.bincount(codes[order], weights=difference[order], minlength=len(names))
        counts[place] = np.bincount(codes[order], minlength=len(names))
    return resampled_together(sums, counts, dataset, resamples)
