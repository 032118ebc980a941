"""Scores of answers from what a judge said of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from medstress.errors import MedstressError
from medstress.records import JudgedRow, read_tables
from medstress.score.asked import Answers, Outcome, is_answer

JUDGE_METRICS = {"open": "judge_open", "closed": "judge_closed"}
"""Metric of each type of question: 1 (wrong) to 5 for open ones, 0 to 1 for closed ones."""
_FLOORS = {"judge_open": 1.0, "judge_closed": 0.0}
_KEY = ["sample_id", "perturbation", "level"]
_EXAMPLES = 5


def judge_outcomes(answers: Answers[Any], judged: Path) -> list[Outcome]:
    """The outcome of every cell by a judge, in the order of the cells.

    What answers nothing, because it is empty or refused, has the worst score and its own status, as in all metrics;
    what failed has none. Where the judge gave no score, the status is judge_unparsable, judge_refused or judge_error,
    which no mean counts. Raises MedstressError where an answer was not judged.
    """
    said = read_tables([judged], JudgedRow, [*_KEY, "score", "status"])
    columns = [said[name].to_pylist() for name in (*_KEY, "score", "status")]
    found = {tuple(row[:3]): row[3:] for row in zip(*columns, strict=True)}
    outcomes, missing = [], []
    for cell in answers.cells:
        sample = answers.asked[cell.asked].sample
        metric = JUDGE_METRICS[sample.answer_type or "open"]
        key = sample.sample_id, cell.perturbation, cell.level
        if key not in found:
            missing.append("/".join(map(str, key)))
            continue
        score, status = found[key]
        outcomes.append(_outcome(metric, cell.status, score, status))
    if missing:
        shown = ", ".join(missing[:_EXAMPLES]) + (" and more" if len(missing) > _EXAMPLES else "")
        raise MedstressError(
            f"{judged}: {len(missing)} answers were not judged, such as {shown}. "
            "Delete this record and run the same command again."
        )
    return outcomes


def _outcome(metric: str, answered: str, score: float | None, status: str) -> Outcome:
    """The outcome of one cell, from the status of its answer and from what the judge said."""
    if status in ("ok", "identical"):
        return Outcome("ok", {metric: score})
    if status != "unanswered":
        return Outcome(f"judge_{status}", {metric: None})
    # A text of spaces is empty, whatever its status.
    own = answered if answered not in ("ok", "unparsable") else "empty"
    return Outcome(own, {metric: _FLOORS[metric] if is_answer(own) else None})


def read_judged(paths: Sequence[Path]) -> pd.DataFrame:
    """Judged records as a frame; `judge`, `run` and `dataset` are those of their paths.

    Paths are judged/{judge}/{run}/{dataset}.parquet.
    """
    columns = [*_KEY, "score", "status"]
    parts = [pd.DataFrame(columns=["judge", "run", "dataset", *columns])]
    for path in sorted(paths):
        part: pd.DataFrame = read_tables([path], JudgedRow, columns).to_pandas()
        parts.append(part.assign(judge=path.parts[-3], run=path.parts[-2], dataset=path.stem))
    return pd.concat(parts[1:] or parts, ignore_index=True)
