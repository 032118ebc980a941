"""What a judge said, as scores."""

from pathlib import Path

import pyarrow as pa
import pytest

from medstress.errors import MedstressError
from medstress.records import ImageRow, JudgedRow, SampleRow, write_rows
from medstress.score.asked import Answers, Asked, Cell, Outcome
from medstress.score.judged import judge_outcomes, read_judged

IMAGE = ImageRow("i1", "g1", "test", "ct", b"", 4, 4)
ASKED = [
    Asked(SampleRow("s1", "i1", "vqa", question="Where?", answer="left", answer_type="open"), IMAGE, ("",)),
    Asked(SampleRow("s2", "i1", "vqa", question="CT?", answer="yes", answer_type="closed"), IMAGE, ("",)),
]


def outcomes(folder: Path, cells: list[tuple[int, int, str]], rows: list[JudgedRow]) -> list[Outcome]:
    """Cells are the number of the sample, the level and the status of the answer."""
    record = folder / "judged.parquet"
    write_rows(record, JudgedRow, rows)
    kinds = [Cell(number, -1, "jpeg" if level else "clean", level, status, None) for number, level, status in cells]
    return judge_outcomes(Answers(ASKED, kinds, pa.table({})), record)


def said(number: int, level: int, score: float | None, status: str) -> JudgedRow:
    return JudgedRow(f"s{number + 1}", "jpeg" if level else "clean", level, score, status, None)


def test_scores_of_open_and_closed_questions(tmp_path: Path) -> None:
    found = outcomes(
        tmp_path,
        [(0, 0, "ok"), (0, 1, "ok"), (1, 0, "ok"), (1, 1, "unparsable")],
        # In another order than the cells.
        [said(1, 1, 0.0, "ok"), said(1, 0, 1.0, "identical"), said(0, 1, 2.0, "ok"), said(0, 0, 5.0, "identical")],
    )
    assert found == [
        Outcome("ok", {"judge_open": 5.0}),
        Outcome("ok", {"judge_open": 2.0}),
        Outcome("ok", {"judge_closed": 1.0}),
        Outcome("ok", {"judge_closed": 0.0}),
    ]


def test_no_answer_is_the_worst_and_no_judgement_is_none(tmp_path: Path) -> None:
    found = outcomes(
        tmp_path,
        [(0, 0, "empty"), (0, 1, "refused"), (0, 2, "ok"), (1, 0, "error"), (1, 1, "ok"), (1, 2, "ok"), (1, 3, "ok")],
        [
            *(said(0, level, None, "unanswered") for level in range(3)),
            said(1, 0, None, "unanswered"),
            said(1, 1, None, "unparsable"),
            said(1, 2, None, "refused"),
            said(1, 3, None, "error"),
        ],
    )
    assert found[:3] == [Outcome(status, {"judge_open": 1.0}) for status in ("empty", "refused", "empty")]
    statuses = ("error", "judge_unparsable", "judge_refused", "judge_error")
    assert found[3:] == [Outcome(status, {"judge_closed": None}) for status in statuses]


def test_answers_that_were_not_judged(tmp_path: Path) -> None:
    with pytest.raises(MedstressError, match=r"judged.parquet: 1 answers were not judged, such as s1/jpeg/1"):
        outcomes(tmp_path, [(0, 0, "ok"), (0, 1, "ok")], [said(0, 0, 3.0, "ok")])


def test_records_are_named_by_their_paths(tmp_path: Path) -> None:
    path = tmp_path / "judged" / "strict" / "vlm+lora@slake~seed1" / "slake.parquet"
    write_rows(path, JudgedRow, [said(0, 0, 3.0, "ok")])
    (row,) = read_judged([path]).to_dict("records")
    assert (row["judge"], row["run"], row["dataset"], row["score"]) == ("strict", "vlm+lora@slake~seed1", "slake", 3.0)
    assert read_judged([]).empty
