"""Means of many cells over the same resamples of groups, so that they can be compared resample by resample."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from medstress.score.bootstrap import resampled_together

Floats = npt.NDArray[np.float64]
Key = tuple[str, ...]


def shared_means(
    rows: pd.DataFrame,
    columns: Sequence[str],
    by: Sequence[str],
    groups: npt.ArrayLike,
    dataset: str,
    resamples: int,
) -> dict[Key, dict[str, Floats]]:
    """Mean of each of `columns` in each cell, float64 [1 + resamples]: over all groups first, then over resamples.

    A cell is what rows with the same values of the columns `by` are in; its key is these as texts. `groups` are the
    names that are drawn from, of which rows name theirs in `group_id`: the same names in two calls give the same
    resamples. A resample without a row of a cell has NaN there.
    """
    names = np.unique(np.asarray(groups, dtype=str))
    if not len(rows) or not len(names):
        return {}
    cells, places = np.unique(_joined(rows, by), return_inverse=True)
    codes = places * len(names) + np.searchsorted(names, rows["group_id"].astype(str).to_numpy(dtype=str))
    size = len(cells) * len(names)
    counts = np.bincount(codes, minlength=size).reshape(len(cells), -1).astype(np.float64)
    sums = np.concatenate([_sums(rows[column].to_numpy(np.float64), codes, size, len(cells)) for column in columns])
    means = resampled_together(sums, np.tile(counts, (len(columns), 1)), dataset, resamples)
    return {
        tuple(cell.split(_BETWEEN)): {
            column: np.ascontiguousarray(means[:, place + step * len(cells)]) for step, column in enumerate(columns)
        }
        for place, cell in enumerate(cells)
    }


_BETWEEN = "\n"


def _joined(rows: pd.DataFrame, by: Sequence[str]) -> npt.NDArray[np.str_]:
    joined = rows[by[0]].astype(str)
    for name in by[1:]:
        joined = joined + _BETWEEN + rows[name].astype(str)
    return joined.to_numpy(dtype=str)


def _sums(values: Floats, codes: npt.NDArray[np.intp], size: int, cells: int) -> Floats:
    # Sums run in one order, so that the order of rows cannot change the last digit.
    order = np.lexsort((values, codes))
    return np.bincount(codes[order], weights=values[order], minlength=size).reshape(cells, -1).astype(np.float64)
