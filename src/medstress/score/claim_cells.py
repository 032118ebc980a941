"""Which scores a claim is tested on: those that all sides of it have, and what some of them lack."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from medstress.cards.claim import ClaimTest
from medstress.runs import named_parts
from medstress.score.corruption_error import error_metric
from medstress.score.keys import keys_of
from medstress.score.metrics import METRICS
from medstress.score.robustness import SCORED, clean_scores, counts, paired_drops
from medstress.score.titles import dataset_titles, plural, run_titles
from medstress.shifts import WHOLE_SUBSETS, subset_name
from medstress.table_spec import TableSpec

Sides = Mapping[str, Sequence[str]]
"""The runs of each side, the side that a claim is about first."""
PERTURBATIONS = "perturbations"
"""The shift from clean images to perturbed ones."""
_PLACE = ["sample_id", "object_id", "perturbation", "level", "shift", "side"]
_TRAINING = ["run", "seed"]


@dataclass(frozen=True)
class Cells:
    """Scores of one data set at the same places for all trainings that are compared; and what some of them lack.

    `rows` have the columns of scores, or of pairs, and `model`, `shift` and `side`, which are empty but of shifts.
    """

    rows: pd.DataFrame
    lacking: tuple[str, ...]


def model_of(run: str) -> str:
    """The model of a run."""
    return named_parts(run)["model"] or run


def cells_of(spec: TableSpec, frame: pd.DataFrame, dataset: str, test: ClaimTest, sides: Sides) -> Cells:
    """The scores of all sides on a data set; `frame` is of all runs of the study.

    Compared are the runs of one model, and of one shift; where nothing is compared, the seeds of one run. A place is
    an object of a sample in a cell, and counts where each training, which is a run and its seed, has a score that
    counts. A cell of the study that one of them lacks as a whole is named.
    """
    runs = list(dict.fromkeys(run for side in sides.values() for run in side))
    known = frame[frame["dataset"] == dataset]
    own = known[known["run"].isin(runs)]
    counted = _COUNTED[test.measure](spec, own, dataset, test)
    counted = counted.assign(
        run=counted["run"].astype(str),
        perturbation=counted["perturbation"].astype(str),
        model=counted["run"].astype(str).map(model_of).astype(object),
    )
    unit = ["model", "shift"] if test.against else ["run", "shift"]
    whole = _with_all_sides(counted, sides, unit)
    kept = whole[_everywhere(whole, unit)]
    lacking = [
        *_without_scores(spec, counted, dataset, sides),
        *_without_cells(spec, _cells_of_study(spec, known, dataset, test), whole, dataset),
    ]
    return Cells(kept, tuple(lacking))


def _with_all_sides(counted: pd.DataFrame, sides: Sides, unit: list[str]) -> pd.DataFrame:
    """The rows of units that have runs of all sides."""
    keys, runs = keys_of(counted, unit), counted["run"].to_numpy()
    there = pd.DataFrame({"key": keys, "run": runs}).drop_duplicates().groupby("key")["run"].agg(set)
    whole = there.map(lambda found: all(found & set(side) for side in sides.values()))
    return counted[np.isin(keys, there.index[whole.to_numpy(bool)].to_numpy())]


def _everywhere(rows: pd.DataFrame, unit: list[str]) -> npt.NDArray[np.bool_]:
    """Which rows are at places that all trainings of their unit have, bool [rows]."""
    units, trainings = keys_of(rows, unit), keys_of(rows, [*unit, *_TRAINING])
    first = ~pd.Series(trainings).duplicated().to_numpy()
    expected = pd.Series(units).map(pd.Series(units[first]).value_counts()).to_numpy()
    _, places, sizes = np.unique(keys_of(rows, [*unit, *_PLACE]), return_inverse=True, return_counts=True)
    return np.asarray(sizes[places] == expected)


def _without_scores(spec: TableSpec, counted: pd.DataFrame, dataset: str, sides: Sides) -> list[str]:
    """The runs without any score on a data set, if the study has all sides of their model there, and others have some.

    A data set that nothing was scored on yet makes no difference between the sides; the table names it as a hole.
    """
    found, titles = set(counted["run"]), run_titles(spec)
    if not found:
        return []
    planned = {name: [run for run in side if run in spec.runs_on(dataset)] for name, side in sides.items()}
    models = [{model_of(run) for run in side} for side in planned.values()]
    compared = set.intersection(*models)
    lacking = dict.fromkeys(run for side in planned.values() for run in side if run not in found)
    return [
        f"{titles[run]} lacks all scores on {dataset_titles(spec)[dataset]}"
        for run in lacking
        if model_of(run) in compared
    ]


def _cells_of_study(spec: TableSpec, known: pd.DataFrame, dataset: str, test: ClaimTest) -> list[tuple[str, int]]:
    """Perturbations and levels of which any run of the study has a score that counts."""
    metric = test.metric or error_metric(spec, dataset)
    asked = known[(known["metric"] == metric) & counts(known["status"], known["value"]) & (known["level"] > 0)]
    there = asked[["perturbation", "level"]].drop_duplicates()
    pairs = set(zip(there["perturbation"].astype(str), there["level"], strict=True))
    return [(name, level) for name in spec.perturbations_on(dataset) for level in spec.levels if (name, level) in pairs]


def _without_cells(spec: TableSpec, cells: Sequence[tuple[str, int]], rows: pd.DataFrame, dataset: str) -> list[str]:
    perturbed = rows[rows["level"] > 0]
    # Of clean scores no cells are asked for.
    if not len(perturbed):
        return []
    lost: dict[str, dict[str, None]] = {}
    for (run, _), own in perturbed.groupby(_TRAINING, observed=True):
        there = own[["perturbation", "level"]].drop_duplicates()
        have = set(zip(there["perturbation"], there["level"], strict=True))
        for name, _level in (cell for cell in cells if cell not in have):
            lost.setdefault(str(run), {})[name] = None
    titles, where = run_titles(spec), dataset_titles(spec)[dataset]
    return [f"{titles[run]} lacks {_some(list(names))} on {where}" for run, names in lost.items()]


_NAMED = 3


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMED])
    rest = len(names) - _NAMED
    return shown if rest <= 0 else f"{shown} and {plural(rest, 'other type')}"


def _clean(_spec: TableSpec, own: pd.DataFrame, _dataset: str, test: ClaimTest) -> pd.DataFrame:
    clean = clean_scores(_whole(own, test.metric))
    return clean[counts(clean["status"], clean["value"])].assign(shift="", side="")


def _pairs(_spec: TableSpec, own: pd.DataFrame, _dataset: str, test: ClaimTest) -> pd.DataFrame:
    pairs = paired_drops(_whole(own, test.metric).drop(columns="subset"))
    return pairs[pairs["scored"]].assign(shift="", side="")


def _errors(spec: TableSpec, own: pd.DataFrame, dataset: str, _test: ClaimTest) -> pd.DataFrame:
    rows = _whole(own, error_metric(spec, dataset))
    return rows[rows["status"].isin(SCORED)].assign(shift="", side="")


def _whole(rows: pd.DataFrame, metric: str | None) -> pd.DataFrame:
    return rows[(rows["metric"] == metric) & rows["subset"].isin(WHOLE_SUBSETS)]


def _shifts(spec: TableSpec, own: pd.DataFrame, dataset: str, test: ClaimTest) -> pd.DataFrame:
    """Scores above what a guess scores, on both sides of each shift.

    Runs that were trained on both sides of a shift have no scores of it. Of the shift PERTURBATIONS, clean images are
    in distribution and their perturbed versions out of it.
    """
    assert test.metric is not None
    of_metric = own[own["metric"] == test.metric]
    clean = clean_scores(of_metric)
    clean = clean[counts(clean["status"], clean["value"])].rename(columns={"value": "score"})
    pairs = _pairs(spec, own, dataset, test)
    parts = [
        pairs.assign(score=pairs["clean"], shift=PERTURBATIONS, side="iid"),
        pairs.assign(score=pairs["perturbed"], shift=PERTURBATIONS, side="ood"),
    ]
    for shift in spec.shifts.get(dataset, []):
        parts += [
            clean[clean["subset"] == subset_name(shift, side)].assign(shift=shift, side=side) for side in ("iid", "ood")
        ]
    columns = ["run", "seed", "group_id", *_PLACE, "score"]
    counted = pd.concat([part[columns].astype({"perturbation": str}) for part in parts], ignore_index=True)
    return counted.assign(score=counted["score"] - _floors(own, counted, test.metric))


def _floors(rows: pd.DataFrame, counted: pd.DataFrame, metric: str) -> "pd.Series[float] | float":
    """What a guess scores."""
    known = METRICS[metric]
    if not known.chance:
        return known.smallest
    once = rows[rows["metric"] == known.chance].drop_duplicates("sample_id")
    by_sample = pd.Series(once["value"].to_numpy(np.float64), index=once["sample_id"].astype(str))
    return counted["sample_id"].astype(str).map(by_sample)


_COUNTED: Mapping[str, Callable[[TableSpec, pd.DataFrame, str, ClaimTest], pd.DataFrame]] = {
    "clean": _clean,
    "perturbed": _pairs,
    "drop": _pairs,
    "relative_drop": _pairs,
    "mce": _errors,
    "top_share": _pairs,
    "shift_robustness": _shifts,
}
