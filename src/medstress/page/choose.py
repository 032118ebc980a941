"""Which samples are shown: one that is fixed, and those with the largest drops."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from medstress.seeds import seed_of


class Chosen(NamedTuple):
    """A sample that is shown under one perturbation, and why."""

    sample_id: str
    why: str


def fixed_sample(dataset: str, samples: Sequence[str]) -> str:
    """The same under every perturbation, drawn by its name alone: it shows how cells usually look."""
    return min(samples, key=lambda sample: (seed_of("page", dataset, sample), sample))


def chosen_samples(fixed: str, pairs: pd.DataFrame, most: int) -> list[Chosen]:
    """Up to `most` samples of one perturbation: the fixed one, then those with the largest drops.

    `pairs` are those of one data set and perturbation. Each run names the sample of its largest drop at any level;
    what most runs name comes first, then what drops most.
    """
    # The mean over a sample's objects: a picture shows all of them.
    drops = pairs[pairs["scored"]].groupby(["run", "sample_id", "level"], observed=True)["drop"].mean().reset_index()
    drops = drops[drops["drop"] > 0].astype({"run": str, "sample_id": str})
    worst = drops.sort_values(["drop", "sample_id", "level"], ascending=[False, True, True]).drop_duplicates("run")
    named = worst.groupby("sample_id").agg(runs=("run", "size"), drop=("drop", "max")).reset_index()
    ordered = named.sort_values(["runs", "drop", "sample_id"], ascending=[False, False, True])
    runs = dict(zip(ordered["sample_id"], ordered["runs"], strict=True))
    rest = [Chosen(sample, f"largest drop of {count} of the runs") for sample, count in runs.items() if sample != fixed]
    return [Chosen(fixed, "drawn once, the same in every cell"), *rest][:most]
