"""What runs lose at the levels where a reference run loses an equal share of its score, with its uncertainty.

The same as :func:`medstress.score.statistics.matched.matched_drops` for each of many resamples of groups.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from medstress.score.statistics.shared import shared_means

Floats = npt.NDArray[np.float64]
_CELL = ["sample_id", "object_id", "perturbation", "level"]


@dataclass(frozen=True)
class Matched:
    """Of one run, float [1 + resamples]: its drop, what the reference is to lose, and at which level it does.

    Drop and level are NaN where it does not.
    """

    drop: Floats
    target: Floats
    level: Floats


@dataclass(frozen=True)
class Curves:
    """Of one run and of the reference, over the cells that both have.

    levels: rising, float [k]; own, reference: mean drop at each, float [1 + resamples, k]; clean: the reference's mean
    clean score of these cells, float [1 + resamples].
    """

    levels: Floats
    own: Floats
    reference: Floats
    clean: Floats


def curves(pairs: pd.DataFrame, reference: str, dataset: str, resamples: int) -> dict[str, Curves]:
    """The curves of every run beside those of `reference`, from the pairs of one data set and metric that count.

    Groups are drawn once for all runs. Of several seeds the cells that all seeds have count, as means over the seeds.
    """
    means = pairs.groupby(["run", "group_id", *_CELL], observed=True)[["clean", "drop"]].agg(["mean", "size"])
    seeds = pairs.groupby("run", observed=True)["seed"].nunique()
    cells = pd.DataFrame(
        {"drop": means["drop"]["mean"], "clean": means["clean"]["mean"], "size": means["drop"]["size"]}
    ).reset_index()
    cells = cells[cells["size"].to_numpy() == cells["run"].astype(str).map(seeds.rename(index=str)).to_numpy()]
    base = cells[cells["run"] == reference][[*_CELL, "drop", "clean"]]
    both = cells.drop(columns=["clean"]).merge(base, on=_CELL, suffixes=("", "_reference"))
    if not len(both):
        return {}
    groups = pairs["group_id"].astype(str).unique()
    columns = ["drop", "drop_reference", "clean"]
    by_level = shared_means(both, columns[:2], ["run", "level"], groups, dataset, resamples)
    whole = shared_means(both, columns[2:], ["run"], groups, dataset, resamples)
    found = {}
    for (run,), clean in whole.items():
        levels = sorted(int(level) for name, level in by_level if name == run)
        own, base_curve = (
            np.stack([by_level[run, str(level)][name] for level in levels], axis=1) for name in columns[:2]
        )
        found[run] = Curves(np.array(levels, dtype=np.float64), own, base_curve, clean["clean"])
    return found


def matched_at(given: Curves, share: float) -> Matched:
    """What a run loses where the reference first loses this share of its clean score; NaN where it does not.

    Curves start at level 0 with no drop and are straight between levels, so the reference loses just that there.
    """
    start = np.zeros((len(given.own), 1))
    own, reference = np.hstack([start, given.own]), np.hstack([start, given.reference])
    target = share * given.clean
    reached = reference >= target[:, None]
    # The first level that reaches it: the one before is below, also where the curve fell back.
    place = reached.argmax(axis=1)
    good = (target > 0) & reached.any(axis=1) & np.isfinite(reference).all(axis=1) & np.isfinite(own).all(axis=1)
    after = np.where(good, place, 1)
    before, rows = after - 1, np.arange(len(own))
    low, high = reference[rows, before], reference[rows, after]
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(good, (target - low) / (high - low), np.nan)
    levels = np.concatenate([[0.0], given.levels])
    return Matched(
        own[rows, before] + part * (own[rows, after] - own[rows, before]),
        target,
        levels[before] + part * (levels[after] - levels[before]),
    )
