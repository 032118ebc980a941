"""What runs of one task are compared by on one data set: one metric, clean and under the study's perturbations."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from medstress.names import Task
from medstress.runs import named_parts
from medstress.score.keys import keys_of
from medstress.score.metrics import METRICS, primary_metric
from medstress.score.robustness import clean_scores, counts, paired_drops
from medstress.score.statistics.shared import shared_means
from medstress.table_spec import TableSpec

Floats = npt.NDArray[np.float64]
_CELL = ("sample_id", "object_id", "perturbation", "level")


@dataclass(frozen=True)
class Compared:
    """One data set: `spec` is of its task alone; `clean` (in `value`) and `pairs` are those that means count."""

    task: Task
    spec: TableSpec
    dataset: str
    metric: str
    clean: pd.DataFrame
    pairs: pd.DataFrame


def compared(spec: TableSpec, frame: pd.DataFrame) -> Iterator[Compared]:
    """Every data set of the study that has scores, task by task."""
    for task in dict.fromkeys(spec.tasks.get(dataset, "segmentation") for dataset in spec.datasets):
        part = spec.of_task(task)
        for dataset in part.datasets:
            own = frame[(frame["dataset"] == dataset) & frame["run"].isin(list(part.runs))]
            metric = _metric_of(part, own)
            if metric is None:
                continue
            own = own[own["metric"] == metric]
            clean, pairs = clean_scores(own), paired_drops(own)
            yield Compared(
                task, part, dataset, metric, clean[counts(clean["status"], clean["value"])], pairs[pairs["scored"]]
            )


def _metric_of(spec: TableSpec, own: pd.DataFrame) -> str | None:
    """The primary metric, or the first that the data set has scores of: some have open questions alone."""
    found = set(clean_scores(own)["metric"].unique())
    ordered = [primary_metric(spec), *(name for name in spec.metrics if not METRICS[name].of_pair)]
    return next((name for name in ordered if name in found), None)


def studied(spec: TableSpec) -> list[str]:
    """The runs that are ranked: baselines only where there are no others, for one that is blind loses nothing."""
    return [run for run in spec.runs if run not in spec.baselines] or list(spec.runs)


def runs_with_fewer_cells(spec: TableSpec, rows: pd.DataFrame) -> list[str]:
    """Of the runs that are ranked, those with a seed that lacks a type at a level which another has.

    Their means are of something else, and one that lacks what is hard would be the best. `rows`: what means count under
    perturbations, on one data set and of one metric.
    """
    names = ["run", "seed", "perturbation", "level"]
    own = rows.loc[rows["run"].isin(studied(spec)), names].drop_duplicates()
    cells: dict[tuple[str, int], set[tuple[str, int]]] = {}
    for run, seed, perturbation, level in own.itertuples(index=False, name=None):
        cells.setdefault((run, seed), set()).add((perturbation, level))
    every = set().union(*cells.values())
    return [run for run in spec.runs if any(there != every for (name, _), there in cells.items() if name == run)]


class SharedMeans(NamedTuple):
    """Means of runs over the same cells: objects of samples under a type at a level.

    means: of each run over the data and over resamples that all share, float [1 + resamples]; groups: their number;
    cells: those that count; left_out: those that a compared run has and another, or one of its seeds, lacks.
    """

    means: dict[str, Floats]
    groups: int
    cells: int
    left_out: int


def means_of_runs(
    spec: TableSpec,
    rows: pd.DataFrame,
    column: str,
    dataset: str,
    *,
    by_seed: bool = False,
    drawn_as: str | None = None,
) -> SharedMeans:
    """Means of a column of `rows`, those that count on one data set and of one metric, over shared resamples.

    Over the cells that every compared run has with every seed: one that failed on what is hard would be the best. Runs
    of :func:`runs_with_fewer_cells` are left out instead, since without them there are types that none has. With
    `by_seed` the mean of the means of its seeds. With too few groups there are no resamples. `drawn_as`: the data set
    whose draws are taken, see :func:`drawn_together`.
    """
    if fewer := runs_with_fewer_cells(spec, rows):
        rows = rows[~rows["run"].isin(fewer)]
    there, cells, left_out = _in_all(spec, rows)
    rows = rows[there] if left_out else rows
    names = rows["group_id"].unique()
    resamples = spec.statistics.resamples if len(names) >= spec.statistics.min_groups else 0
    by = ["run", *(["seed"] if by_seed else [])]
    found = shared_means(rows, [column], by, names, drawn_as or dataset, resamples)
    runs: dict[str, list[Floats]] = {}
    for (run, *_), means in found.items():
        runs.setdefault(run, []).append(means[column])
    return SharedMeans({run: np.mean(means, axis=0) for run, means in runs.items()}, len(names), cells, left_out)


def _in_all(spec: TableSpec, rows: pd.DataFrame) -> tuple[npt.NDArray[np.bool_], int, int]:
    """Which rows are of cells that all compared runs and their seeds have, how many cells these are, and the others."""
    own = rows["run"].isin(studied(spec)).to_numpy()
    answers = len(rows.loc[own, ["run", "seed"]].drop_duplicates())
    _, places = np.unique(keys_of(rows, _CELL), return_inverse=True)
    times = np.bincount(places[own], minlength=int(places.max(initial=-1)) + 1)
    whole = times == answers
    return whole[places], int(whole.sum()), int(((times > 0) & ~whole).sum())


def kinds_of(spec: TableSpec) -> dict[str, list[str]]:
    """The runs that are ranked together: models as they are; strategies and what they start from."""
    runs = studied(spec)
    adapted = [run for run in runs if named_parts(run)["strategy"]]
    origins = {spec.adapted.get(run, named_parts(run)["model"]) for run in adapted}
    kinds = {
        "models": [run for run in runs if run not in adapted],
        "strategies": [run for run in runs if run in adapted or run in origins] if adapted else [],
    }
    return {kind: chosen for kind, chosen in kinds.items() if len(chosen) > 1}


def means_of_ranked(
    spec: TableSpec,
    pairs: pd.DataFrame,
    measure: Literal["perturbed", "drop"],
    dataset: str,
    *,
    drawn_as: str | None = None,
) -> SharedMeans:
    """What the runs of :func:`kinds_of` are ranked by on one data set, for tables and figures alike."""
    ranked = {run for runs in kinds_of(spec).values() for run in runs}
    return means_of_runs(spec, pairs[pairs["run"].isin(ranked)], measure, dataset, drawn_as=drawn_as)


def places_of(means: Mapping[str, Floats], *, smaller_is_better: bool) -> dict[str, int]:
    """The place of each run among these, 1 is best and ties share it; nothing where there is one run."""
    better = {run: float(values[0]) * (1 if smaller_is_better else -1) for run, values in means.items()}
    if len(better) < 2:
        return {}
    return {run: 1 + sum(other < own for other in better.values()) for run, own in better.items()}


def drawn_together(groups: Mapping[str, npt.ArrayLike]) -> dict[str, str]:
    """Of each data set the first one that has exactly the same groups, given their names, str [n].

    Means over data sets of the same patients, as optic disc and cup of the same eyes, must draw the same patients.
    Where names are equal by chance the draws are, too, which neither lengthens nor shortens intervals on average:
    what is unrelated in the data has a covariance of about 0.
    """
    first: dict[tuple[str, ...], str] = {}
    return {
        dataset: first.setdefault(tuple(sorted(set(map(str, np.asarray(names, dtype=str))))), dataset)
        for dataset, names in groups.items()
    }
