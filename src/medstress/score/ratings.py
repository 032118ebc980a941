"""What people said of answers: the CSV files that come back from a rating sheet."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow.compute as pc

from medstress.errors import MedstressError
from medstress.journal import content_key
from medstress.records import CLEAN, PredictionRow, read_tables

COLUMNS = ("rater", "dataset", "sample_id", "answer_type", "answer_mark", "rating")
"""What is read of a file of ratings; others are for people."""
GRADES = {"open": (1.0, 2.0, 3.0, 4.0, 5.0), "closed": (0.0, 0.5, 1.0)}
"""Ratings that an answer may have, by the type of its question."""
_EXAMPLES = 5


def answer_mark(run: str, sample_id: str, text: str) -> str:
    """Marks what was rated: a rating is of this answer of a run to this sample, and of no later one.

    The mark alone says which run that is: raters are not told.

    16 hexadecimal digits behind a letter, without which a spreadsheet takes some marks for numbers and rounds them.
    """
    return "m" + content_key("rated answer v1", run, sample_id, text)[:16]


def read_answer_marks(paths: Sequence[Path]) -> pd.DataFrame:
    """The marks of all answers to clean images, by `run`, `dataset` and `sample_id`.

    Paths are predictions/{run}/{dataset}.parquet.
    """
    parts = [pd.DataFrame(columns=["run", "dataset", "sample_id", "answer_mark"])]
    for path in paths:
        table = read_tables([path], PredictionRow, ["sample_id", "perturbation", "text"])
        clean = table.filter((pc.field("perturbation") == CLEAN) & pc.field("text").is_valid())
        names, texts = clean["sample_id"].to_pylist(), clean["text"].to_pylist()
        run = path.parent.name
        marks = [answer_mark(run, name, text) for name, text in zip(names, texts, strict=True)]
        part = pd.DataFrame({"sample_id": names, "answer_mark": marks}, dtype=object)
        parts.append(part.assign(run=run, dataset=path.stem))
    return pd.concat(parts[1:] or parts, ignore_index=True)


def read_ratings(paths: Sequence[Path]) -> pd.DataFrame:
    """The ratings of several files, in a fixed order: COLUMNS, one row a rater and answer; what is unrated is left out.

    A rater without a name has that of the file. Raises MedstressError with all problems of all files.
    """
    rows: list[dict[str, str | float]] = []
    problems: list[str] = []
    for path in sorted(paths):
        try:
            rows += _rows_of(path)
        except MedstressError as error:
            problems.append(str(error))
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"rating": "float64"})
    key = ["rater", "dataset", "answer_mark"]
    twice = frame[frame.duplicated(key)]
    for rater, part in twice.groupby("rater"):
        shown = ", ".join(part["sample_id"].head(_EXAMPLES))
        problems.append(
            f"ratings: {rater} rated {len(part)} answers more than once, such as {shown}. Keep one of each."
        )
    if problems:
        raise MedstressError("\n".join(problems))
    return frame.sort_values(key, ignore_index=True)


def _rows_of(path: Path) -> list[dict[str, str | float]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise MedstressError(f"{path}: no such file. Correct `ratings` in the study.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise MedstressError(f"{path}: cannot be read as UTF-8 ({error}). Save it as CSV in UTF-8.") from None
    head = text.partition("\n")[0]
    # Spreadsheets in countries with a decimal comma write semicolons.
    reader = csv.DictReader(io.StringIO(text), delimiter=max(",;\t", key=head.count))
    if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
        raise MedstressError(
            f"{path}: no column {', '.join(missing)}. Expected a file made by `medstress rating-sheet`."
        )
    problems = []
    rows: list[dict[str, str | float]] = []
    for number, row in enumerate(reader, start=2):
        written = (row["rating"] or "").strip().replace(",", ".")
        if not written:
            continue
        found = _rating(written)
        allowed = GRADES.get(row["answer_type"], ())
        if found not in allowed:
            grades = ", ".join(f"{grade:g}" for grade in allowed) or "nothing: answer_type must be open or closed"
            problems.append(f"{path}, row {number}: rating is {written!r}, expected {grades}")
            continue
        rater = (row["rater"] or "").strip() or path.stem
        rows.append({name: row[name] for name in COLUMNS} | {"rater": rater, "rating": found})
    if problems:
        more = [f"and {len(problems) - _EXAMPLES} more"] if len(problems) > _EXAMPLES else []
        raise MedstressError("\n".join([*problems[:_EXAMPLES], *more]))
    return rows


def _rating(written: str) -> float:
    try:
        return float(written)
    except ValueError:
        return float("nan")
