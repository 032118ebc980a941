"""Paired drops: what each object loses from its clean image to a perturbed one."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pandas.api.types import union_categoricals

from medstress.errors import MedstressError
from medstress.records import CLEAN, ScoreRow, read_tables
from medstress.runs import family_of
from medstress.score.keys import coded, keys_of
from medstress.score.metrics import SMALLER_IS_BETTER
from medstress.shifts import WHOLE_SUBSETS
from medstress.table_spec import TableSpec

SCORED = ("ok", "empty")
"""Statuses that means count: an empty prediction is a wrong answer, not a missing one."""
_NO_ANSWER = ("refused", "unparsable")

_OBJECT = ["dataset", "run", "seed", "sample_id", "object_id", "metric"]
_RUN = ["dataset", "run", "seed", "metric"]


def read_scores(paths: Sequence[Path], *, sides: bool = False) -> pd.DataFrame:
    """Scores as a frame; names are categories.

    With `sides`, also the rows that tell on which side of a shift a sample is, and the column `subset`; see
    :func:`medstress.shifts.subsets`.

    `run` is the family: the training sets and seeds of a strategy are one run, told apart by `dataset` and `seed`.
    Rows do not depend on the order of the paths, so neither do the last digits of sums over them.
    """
    columns = [*_OBJECT, "group_id", "perturbation", "level", "value", "status", "subset"]
    given = [[path] for path in sorted(paths)] or [[]]
    frame = _joined([_scores_of(paths, columns, sides=sides) for paths in given])
    return frame.assign(run=_families(frame["run"]), level=frame["level"].astype("int64"))


def _scores_of(paths: Sequence[Path], columns: list[str], *, sides: bool) -> pd.DataFrame:
    table = read_tables(paths, ScoreRow, columns, coded=True).unify_dictionaries()
    if not sides:
        whole = pc.is_in(table["subset"].cast(pa.string()), value_set=pa.array(WHOLE_SUBSETS))
        table = table.filter(whole).drop_columns("subset")
    frame: pd.DataFrame = table.to_pandas(split_blocks=True)
    return frame


def _joined(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The rows of the parts, whose columns are taken from them one by one: millions of rows are not there twice."""
    columns: dict[str, Any] = {}
    for name in map(str, list(parts[0])):
        taken = [part.pop(name) for part in parts]
        named = isinstance(taken[0].dtype, pd.CategoricalDtype)
        columns[name] = union_categoricals(taken) if named else np.concatenate(taken)
    return pd.DataFrame(columns, copy=False)


def _families(runs: pd.Series) -> pd.Categorical:
    values, codes = coded(runs)
    names, places = np.unique(np.array([family_of(run) for run in values], dtype=str), return_inverse=True)
    return pd.Categorical.from_codes(places.astype(np.int16)[codes], pd.Index(names.astype(object)))


def of_perturbations(spec: TableSpec, frame: pd.DataFrame) -> pd.DataFrame:
    """The scores of clean images and of the study's perturbations: attacks and moved prompts are not among them."""
    return frame[frame["perturbation"].isin([CLEAN, *spec.perturbations])]


def counts(status: pd.Series, value: pd.Series) -> "pd.Series[bool]":
    """Which scores means count: SCORED, and what is no answer where it has a value, as it has to questions in words."""
    return status.isin(SCORED) | (status.isin(_NO_ANSWER) & value.notna())


def clean_scores(frame: pd.DataFrame) -> pd.DataFrame:
    """The scores of clean images."""
    return frame[frame["level"] == 0]


def scores_under(names: Iterable[str], frame: pd.DataFrame) -> pd.DataFrame:
    """The scores of clean images and those under the names: perturbations, attacks or moved prompts."""
    return frame[(frame["level"] == 0) | frame["perturbation"].isin(list(names))]


def paired_drops(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a perturbed score, with `clean`, `perturbed`, `drop` and `scored`.

    `drop` is clean minus perturbed, and perturbed minus clean for the metrics in SMALLER_IS_BETTER. `scored` tells
    whether the pair counts: both sides have a value and the image is in its band. `outcome` is `scored`, or the reason
    why not: the perturbed side's status, else the clean side's, `no_clean` where a run has no clean scores of a metric
    at all. Values of pairs that do not count are NaN.
    Raises MedstressError where a run has clean scores of a metric, but not of every object that has perturbed ones.
    """
    moved = (frame["level"] > 0).to_numpy()
    clean = clean_scores(frame)
    pairs = pd.DataFrame({name: column.array[moved] for name, column in frame.items()}, copy=False)
    places = _places_of_clean(frame, clean, moved)
    if (lonely := places < 0).any():
        _check_holes(pairs.loc[lonely, _OBJECT], clean)
    before = clean["value"].to_numpy(np.float64)
    statuses, codes = coded(pairs["status"])
    clean_statuses, clean_codes = coded(clean["status"])
    names = list(dict.fromkeys(["scored", "no_clean", *statuses, *clean_statuses]))
    # The last of the clean ones stands for those that are not there, whose place is -1.
    own = _outcomes(names, statuses, codes, counts(pairs["status"], pairs["value"]))
    others = _outcomes(names, clean_statuses, clean_codes, counts(clean["status"], clean["value"]))
    outcome = np.where(own > 0, own, np.append(others, np.int16(1))[places])
    scored = outcome == 0
    perturbed = np.where(scored, pairs.pop("value").to_numpy(np.float64), np.nan)
    kept = np.where(scored, np.append(before, np.nan)[places], np.nan)
    drop = kept - perturbed
    np.negative(drop, out=drop, where=pairs["metric"].isin(SMALLER_IS_BETTER).to_numpy())
    pairs["perturbed"], pairs["clean"], pairs["drop"] = perturbed, kept, drop
    pairs["outcome"], pairs["scored"] = pd.Categorical.from_codes(outcome, pd.Index(names)), scored
    return pairs


def _places_of_clean(frame: pd.DataFrame, clean: pd.DataFrame, moved: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Of each perturbed score the place of its object among the clean ones, or -1."""
    keys = keys_of(frame, _OBJECT)
    index = pd.Index(keys[(frame["level"] == 0).to_numpy()])
    if len(double := clean.loc[index.duplicated(), _OBJECT]):
        raise MedstressError(f"{len(double)} clean scores are there twice, such as {_name_of(double)}. Score again.")
    return index.get_indexer(pd.Index(keys[moved]))


def _check_holes(lonely: pd.DataFrame, clean: pd.DataFrame) -> None:
    # A run whose clean images were not scored is a hole of the study; one that lacks some of them is damaged.
    damaged = lonely.merge(clean[_RUN].drop_duplicates(), on=_RUN)
    if len(damaged):
        raise MedstressError(
            f"{len(damaged)} scores have no clean score to be paired with, such as {_name_of(damaged)}. Score again."
        )


def _name_of(scores: pd.DataFrame) -> str:
    return "/".join(str(scores.iloc[0][name]) for name in _OBJECT)


def _outcomes(
    names: list[str], statuses: list[str], codes: npt.NDArray[np.integer[Any]], counted: "pd.Series[bool]"
) -> npt.NDArray[np.int16]:
    """Numbers of outcomes: 0 where a score counts, else that of its status among the names."""
    places = np.array([names.index(status) for status in statuses], dtype=np.int16)
    return np.where(counted.to_numpy(), np.int16(0), places[codes]) if len(codes) else np.empty(0, np.int16)


def relative_robustness(pairs: pd.DataFrame) -> float | None:
    """Share of the clean score that is kept, mean perturbed / mean clean over the pairs that count.

    For metrics where larger is better. None without pairs, or where the clean mean is 0.
    """
    counted = pairs[pairs["scored"]]
    # Sums that do not depend on the order of rows.
    clean = math.fsum(counted["clean"])
    return math.fsum(counted["perturbed"]) / clean if clean else None


def left_out(scores: pd.DataFrame) -> dict[str, int]:
    """How many scores of one metric are not in the means, by reason, and how many predictions were empty.

    `n_failed` counts refusals, errors and everything else that is no answer; `n_empty` are scored, not left out.
    """
    given = scores["status"].value_counts()
    named = {name: int(given.get(name, 0)) for name in (*SCORED, "unreachable", "object_lost")}
    return {
        "n_unreachable": named["unreachable"],
        "n_object_lost": named["object_lost"],
        "n_failed": int(given.sum()) - sum(named.values()),
        "n_empty": named["empty"],
    }
