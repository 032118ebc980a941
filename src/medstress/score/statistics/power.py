"""How small a drop a study of so many groups can find."""

import math

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.stats import nct, t

_POWER = 0.8


def spread_of_groups(values: npt.ArrayLike, groups: npt.ArrayLike) -> float:
    """The standard deviation that a group has in the mean over all `values`: sqrt(G) times the mean's standard error.

    `values`: float [n], `groups`: str [n]. Groups weigh as many values as they have, as in the bootstrap, whose
    variance this is to first order (Field and Welsh 2007), with G - 1 instead of G. NaN with one group.
    """
    numbers = np.asarray(values, dtype=np.float64)
    names, codes = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    if len(names) < 2:
        return math.nan
    # Sums run in one order, so that the order of rows cannot change the last digit.
    order = np.lexsort((numbers, codes))
    numbers, codes = numbers[order], codes[order]
    away = np.bincount(codes, weights=numbers - numbers.mean())
    scaled = away * (len(names) / len(numbers))
    return float(np.sqrt((scaled**2).sum() / (len(names) - 1)))


def power_of(drop: float, spread: float, groups: int, confidence: float = 0.95) -> float:
    """The chance that a two-sided t-test of so many groups finds a true mean drop; `spread` is a group's deviation."""
    degrees, shift = groups - 1, drop / spread * math.sqrt(groups)
    bound = float(t.ppf((1 + confidence) / 2, degrees))
    # The lower tail as an upper one, since SciPy gives NaN for what is very small.
    return float(nct.sf(bound, degrees, shift) + nct.sf(bound, degrees, -shift))


def detectable_drop(spread: float, groups: int, confidence: float = 0.95, power: float = _POWER) -> float:
    """The smallest true mean drop that a study of so many groups finds with probability `power`.

    `spread`: a group's standard deviation, see :func:`spread_of_groups`. Two-sided one-sample t-test; the noncentral t
    distribution, since the normal one promises too much where groups are few. NaN with one group.
    """
    if groups < 2 or not math.isfinite(spread):
        return math.nan
    if spread == 0:
        return 0.0
    degrees = groups - 1
    # The normal answer, with Student's quantiles, is within a factor of three of the right one.
    near = float(t.ppf((1 + confidence) / 2, degrees) + t.ppf(power, degrees)) / math.sqrt(groups)
    size = float(brentq(lambda size: power_of(size, 1.0, groups, confidence) - power, near / 3, near * 3))
    # The search ends within 2e-12, not always at the same digit.
    return spread * round(size, 9)
