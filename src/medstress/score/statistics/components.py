"""What the uncertainty of a mean drop is made of: the data, the draw of the perturbation, and the training seed.

What can be told apart depends on what was repeated. Images and groups are many, so what they do to the mean is known.
Seeds are few, but they see the same images and draws, so the spread of their means is training alone. A perturbation
is drawn once an image and type, and the levels share the draw: what the draw does cannot be told from an image being
easy or hard under one type. So the draw has an upper bound only, the whole interaction of images and types; it is part
of the data's share and not added to it.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from medstress.score.statistics.power import detectable_drop, spread_of_groups


@dataclass(frozen=True)
class Components:
    """Standard errors of a mean drop, in its unit; None where the records cannot tell.

    data: groups, averaged over seeds, with the draws that came with their images. draw_at_most: of this, what draws can
    account for at most; since they are a part of it, never more than data. seed: training, as a part of the mean over
    the seeds that there are. total: data and seed together; without several seeds it is the data's alone and says
    nothing about another training. n_groups: those with a cell that all seeds have, which data is over.
    """

    data: float | None
    draw_at_most: float | None
    seed: float | None
    total: float | None
    n_groups: int
    n_seeds: int


def components_of(pairs: pd.DataFrame) -> Components:
    """Of the pairs of one run on one data set and metric, see :func:`medstress.score.robustness.paired_drops`."""
    # Sums run from small to large, so that the order of rows and files cannot change the last digit.
    counted = pairs[pairs["scored"]].sort_values("drop")
    n_seeds = int(counted["seed"].nunique())
    place = ["group_id", "sample_id", "object_id", "perturbation", "level"]
    # A cell that one seed lacks would make a mean over other images of it.
    whole = counted.groupby(place, observed=True)["drop"].agg(["mean", "size"]).reset_index()
    whole = whole[whole["size"] == n_seeds].sort_values("mean")
    n_groups = int(whole["group_id"].nunique())
    data = _or_none(spread_of_groups(whole["mean"], whole["group_id"]) / math.sqrt(n_groups)) if n_groups > 1 else None
    shared = counted.merge(whole[place], on=place)
    seed = None
    if n_seeds > 1:
        by_seed = shared.groupby("seed", observed=True)["drop"].mean()
        seed = _or_none(float(by_seed.std(ddof=1)) / math.sqrt(n_seeds))
    total = data if seed is None or data is None else math.hypot(data, seed)
    draw = _draw_at_most(whole)
    # It is of images, which are more than groups and vary otherwise.
    draw = draw if data is None or draw is None else min(draw, data)
    return Components(data, draw, seed, total, n_groups, n_seeds)


def detectable_of(parts: Components, confidence: float) -> float | None:
    """The smallest mean drop that so many groups find, see :func:`medstress.score.statistics.power.detectable_drop`.

    None without any spread, as of a run that always answers the same: there is nothing to tell it from.
    """
    if not parts.data:
        return None
    return detectable_drop(parts.data * math.sqrt(parts.n_groups), parts.n_groups, confidence)


def _draw_at_most(whole: pd.DataFrame) -> float | None:
    """The standard error of the mean that is left when images and types each have their own mean.

    Objects of an image share its draw, so they are averaged first, and so are the levels. Images that lack a type are
    left out.
    """
    table = whole.pivot_table(index=["group_id", "sample_id"], columns="perturbation", values="mean", observed=True)
    table = table.dropna()
    # By names: categories are in the order of the files.
    table = table[sorted(table.columns, key=str)]
    values = table.to_numpy(np.float64)
    values = values[np.lexsort(values.T)] if values.size else values
    images, types = values.shape
    if images < 2 or types < 2:
        return None
    left = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0, keepdims=True) + values.mean()
    variance = (left**2).sum() / ((images - 1) * (types - 1))
    return float(np.sqrt(variance / values.size))


def _or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
