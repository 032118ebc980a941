"""Names as numbers: what tells rows of score frames apart, without texts, of which millions of rows are too many."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

_LARGEST = 2**62


def coded(column: pd.Series) -> tuple[list[Any], npt.NDArray[np.integer[Any]]]:
    """The values that a column may have, and the place of each row's value among them, int [rows]."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return list(column.cat.categories), column.cat.codes.to_numpy()
    codes, values = pd.factorize(column)
    return list(values), codes


def keys_of(frame: pd.DataFrame, names: Sequence[str]) -> npt.NDArray[np.int64]:
    """One number a row, int64 [rows]: the same where rows have the same values in these columns."""
    keys, size = np.zeros(len(frame), np.int64), 1
    for name in names:
        values, codes = coded(frame[name])
        if size * len(values) > _LARGEST:
            keys = pd.factorize(keys)[0]
            size = int(keys.max(initial=-1)) + 1
        keys *= max(len(values), 1)
        keys += codes
        size *= max(len(values), 1)
    return keys
