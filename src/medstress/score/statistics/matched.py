"""Runs compared where the images harm a reference run equally: equal SSIM is not equal harm."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def level_of_drop(levels: npt.ArrayLike, curve: npt.ArrayLike, drops: npt.ArrayLike) -> Floats:
    """Where a reference run's level curve first reaches each of `drops`, float [k], in levels with fractions.

    `levels` rise, and `curve` is the run's mean drop at each; level 0, a drop of 0, is added. Between levels the curve
    is a straight line, also where it fell back before, so at the level found the reference loses just that drop. NaN
    where it does not reach so far, or a drop is negative.
    """
    at, known = _from_clean(levels, curve)
    found = []
    for drop in np.asarray(drops, dtype=np.float64):
        reached = np.flatnonzero(known >= drop)
        if drop < 0 or not len(reached):
            found.append(np.nan)
        elif (place := int(reached[0])) == 0:
            found.append(float(at[0]))
        else:
            # The first that reaches it, so the one before is below.
            share = (drop - known[place - 1]) / (known[place] - known[place - 1])
            found.append(float(at[place - 1] + share * (at[place] - at[place - 1])))
    return np.array(found, dtype=np.float64)


def matched_drops(
    levels: npt.ArrayLike, reference: npt.ArrayLike, curves: Mapping[str, npt.ArrayLike], drops: npt.ArrayLike
) -> dict[str, Floats]:
    """What each run of `curves` loses where the reference loses `drops`, float [k]; all curves are over `levels`."""
    where = level_of_drop(levels, reference, drops)
    found = {}
    for run, curve in curves.items():
        at, known = _from_clean(levels, curve)
        found[run] = np.where(np.isfinite(where), np.interp(where, at, known), np.nan)
    return found


def _from_clean(levels: npt.ArrayLike, curve: npt.ArrayLike) -> tuple[Floats, Floats]:
    at, known = np.asarray(levels, dtype=np.float64), np.asarray(curve, dtype=np.float64)
    return np.concatenate([[0.0], at]), np.concatenate([[0.0], known])
