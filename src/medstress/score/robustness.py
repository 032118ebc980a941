"""Paired drops: what each object loses from its clean image to a perturbed one."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from medstress.errors import MedstressError
from medstress.records import CLEAN, ScoreRow, read_tables
from medstress.runs import family_of
from medstress.score.metrics import SMALLER_IS_BETTER
from medstress.shifts import WHOLE_SUBSETS
from medstress.table_spec import TableSpec

SCORED = ("ok", "empty")
"""Statuses that means count: an empty prediction is a wrong answer, not a missing one."""
_NO_ANSWER = ("refused", "unparsable")

_OBJECT = ["dataset", "run", "seed", "sample_id", "object_id", "metric"]


def read_scores(paths: Sequence[Path], *, sides: bool = False) -> pd.DataFrame:
    """Scores as a frame; names are categories.

    With `sides`, also the rows that tell on which side of a shift a sample is, and the column `subset`; see
    :func:`medstress.shifts.subsets`.

    `run` is the family: the training sets and seeds of a strategy are one run, told apart by `dataset` and `seed`.
    Rows do not depend on the order of the paths, so neither do the last digits of sums over them.
    """
    columns = [*_OBJECT, "group_id", "perturbation", "level", "value", "status", "subset"]
    frame: pd.DataFrame = read_tables(sorted(paths), ScoreRow, columns).to_pandas(strings_to_categorical=True)
    if not sides:
        frame = frame[frame["subset"].isin(WHOLE_SUBSETS)].drop(columns="subset")
    families = frame["run"].map(family_of).astype("category")
    return frame.assign(run=families).astype({"level": "int64"})


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
    why not: the perturbed side's status, else the clean side's. Values of pairs that do not count are NaN.
    Raises MedstressError where an object has perturbed scores and no clean one.
    """
    clean = clean_scores(frame)[[*_OBJECT, "value", "status"]]
    pairs = frame[frame["level"] > 0].merge(
        clean.rename(columns={"value": "clean", "status": "clean_status"}),
        on=_OBJECT,
        how="left",
        validate="many_to_one",
    )
    if len(lonely := pairs[pairs["clean_status"].isna()]):
        names = "/".join(str(lonely.iloc[0][name]) for name in _OBJECT)
        raise MedstressError(
            f"{len(lonely)} scores have no clean score to be paired with, such as {names}. Score again."
        )
    pairs = pairs.rename(columns={"value": "perturbed"})
    status, clean_status = pairs["status"].astype(str), pairs["clean_status"].astype(str)
    answered, clean_answered = counts(status, pairs["perturbed"]), counts(clean_status, pairs["clean"])
    pairs["outcome"] = status.where(~answered, clean_status.where(~clean_answered, "scored"))
    pairs["scored"] = pairs["outcome"] == "scored"
    pairs[["clean", "perturbed"]] = pairs[["clean", "perturbed"]].where(pairs["scored"], np.nan)
    sign = np.where(pairs["metric"].isin(SMALLER_IS_BETTER), -1.0, 1.0)
    pairs["drop"] = sign * (pairs["clean"] - pairs["perturbed"])
    return pairs.drop(columns="clean_status")


def relative_robustness(pairs: pd.DataFrame) -> float | None:
    """Share of the clean score that is kept, mean perturbed / mean clean over the pairs that count.

    For metrics where larger is better. None without pairs, or where the clean mean is 0.
    """
    counted = pairs[pairs["scored"]]
    clean = float(counted["clean"].sum())
    return float(counted["perturbed"].sum()) / clean if clean else None


def left_out(scores: pd.DataFrame) -> dict[str, int]:
    """How many scores of one metric are not in the means, by reason, and how many predictions were empty.

    `n_failed` counts refusals, errors and everything else that is no answer; `n_empty` are scored, not left out.
    """
    given = scores["status"].astype(str).value_counts()
    named = {name: int(given.get(name, 0)) for name in (*SCORED, "unreachable", "object_lost")}
    return {
        "n_unreachable": named["unreachable"],
        "n_object_lost": named["object_lost"],
        "n_failed": int(given.sum()) - sum(named.values()),
        "n_empty": named["empty"],
    }
