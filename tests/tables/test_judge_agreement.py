"""People, judges and metrics beside each other, from records to the table that people read."""

import csv
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from scipy.stats import kendalltau

from medstress.config import Statistics
from medstress.errors import MedstressError
from medstress.records import JudgedRow, PredictionRow, ScoreRow, read_rows, write_rows
from medstress.score.ratings import COLUMNS, answer_mark
from medstress.table_spec import TableSpec
from medstress.tables.write import write_table

RUN = "vlm+lora@slake~seed1"
COUNT = 12
F1 = [place / COUNT for place in range(COUNT)]
GRADES = [1 + 4 * place // (COUNT - 1) for place in range(COUNT)]


def text_of(place: int) -> str:
    return f"answer {place}"


def score(place: int, metric: str, value: float | None, perturbation: str = "clean", status: str = "ok") -> ScoreRow:
    level = 0 if perturbation == "clean" else 1
    name = f"s{place}" if metric.startswith("open") else f"c{place}"
    place = place // 2
    return ScoreRow("vqa", RUN, 1, "slake", "", name, f"p{place}", "", perturbation, level, metric, value, status)


def ratings(folder: Path, rater: str, grades: Iterable[float], **changed: str) -> Path:
    path = folder / f"{rater}.csv"
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, COLUMNS)
        writer.writeheader()
        for place, grade in enumerate(grades):
            name = f"s{place}"
            row = {"rater": rater, "dataset": "slake", "sample_id": name, "answer_type": "open"}
            mark = answer_mark(RUN, name, changed.get(name, text_of(place)))
            writer.writerow({**row, "answer_mark": mark, "rating": f"{grade:g}"})
    return path


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, list[Path]]:
    """Twelve open answers and twelve closed ones, two of each a patient."""
    paths = {kind: tmp_path / kind / RUN / "slake.parquet" for kind in ("scores", "predictions")}
    paths["judged"] = tmp_path / "judged" / "strict" / RUN / "slake.parquet"
    scores = [score(place, "open_f1", value) for place, value in enumerate(F1)]
    scores += [score(place, "open_f1", 1 - value, "jpeg") for place, value in enumerate(F1)]
    scores += [score(place, "open_flip", 0.0) for place in range(COUNT)]
    scores += [score(place, "closed_accuracy", float(place % 2)) for place in range(COUNT)]
    write_rows(paths["scores"], ScoreRow, scores)
    answers = [PredictionRow(f"s{place}", "", "clean", 0, None, "ok", text=text_of(place)) for place in range(COUNT)]
    answers += [PredictionRow(f"s{place}", "", "jpeg", 1, None, "ok", text="?") for place in range(COUNT)]
    write_rows(paths["predictions"], PredictionRow, answers)
    judged = [JudgedRow(f"s{place}", "clean", 0, 6.0 - grade, "ok", "") for place, grade in enumerate(GRADES)]
    judged += [JudgedRow(f"c{place}", "clean", 0, place % 2, "ok", "") for place in range(COUNT - 2)]
    judged += [JudgedRow("c10", "clean", 0, 1.0, "identical", None), JudgedRow("c11", "clean", 0, None, "error", None)]
    judged += [JudgedRow(f"s{place}", "jpeg", 1, None, "unparsable", "Hm.") for place in range(2)]
    write_rows(paths["judged"], JudgedRow, judged)
    return {kind: [path] for kind, path in paths.items()} | {"ratings": []}


def table_of(folder: Path, sources: dict[str, list[Path]]) -> tuple[pd.DataFrame, str]:
    spec = TableSpec(
        study="toy",
        datasets={"slake": "SLAKE"},
        split_units={"slake": "patient"},
        runs={"vlm+lora": "VLM + LoRA"},
        baselines=[],
        perturbations=["jpeg"],
        levels=[1],
        tasks={"slake": "vqa"},
        judges={"strict": "Strict"},
        metrics=[],
        statistics=Statistics(resamples=100),
    )
    outputs = {suffix: folder / f"judge_agreement.{suffix}" for suffix in ("csv", "md", "tex", "parquet")}
    write_table(spec, "judge_agreement", sources, outputs)
    return pd.read_csv(outputs["csv"]), " ".join(outputs["md"].read_text(encoding="utf-8").split())


def test_judges_stand_beside_metrics(sources: dict[str, list[Path]], tmp_path: Path) -> None:
    table, shown = table_of(tmp_path, sources)
    assert table[["answer_type", "rater", "against", "n_answers", "n_groups"]].values.tolist() == [
        ["open", "strict", "open_f1", 12, 6],
        ["closed", "strict", "closed_accuracy", 10, 5],
    ]
    assert table["spearman"].tolist() == pytest.approx([-0.975, 1.0], abs=0.01)
    assert table["interval"].tolist() == ["95% bootstrap", "95% bootstrap"]
    assert "| judge Strict | Open F1 | 12 (6 patients) |" in shown
    assert "85.7%" in shown
    assert "SLAKE, judge Strict: answers without a grade: 2 unparsable, 1 failed." in shown
    assert table["parse_rate"].tolist() == pytest.approx([12 / 14, 1])


def test_people_stand_beside_all_others(sources: dict[str, list[Path]], tmp_path: Path) -> None:
    sources["ratings"] = [
        ratings(tmp_path, "Al", GRADES),
        ratings(tmp_path, "Bo", [5, *GRADES[1:6]], s0="an answer of last week"),
    ]
    table, shown = table_of(tmp_path, sources)
    found = table[table["answer_type"] == "open"].set_index(["rater", "against"])
    assert list(found.index) == [
        ("mean rating", "open_f1"),
        ("Al", "open_f1"),
        ("Bo", "open_f1"),
        ("strict", "open_f1"),
        ("mean rating", "strict"),
        ("Al", "Bo"),
        ("Al", "strict"),
        ("Bo", "strict"),
    ]
    assert found.loc[("Al", "Bo"), ["kendall", "n_answers"]].tolist() == [1.0, 5]
    assert found.loc[("Al", "strict"), "kendall"] == -1
    assert found.loc[("Bo", "strict"), "interval"] == "few groups"
    assert "rater Bo: 1 ratings left out, of answers that no run of the study gives now." in shown
    assert "mean rating | Open F1" in shown


def test_without_judges_and_ratings_there_is_nothing(sources: dict[str, list[Path]], tmp_path: Path) -> None:
    with pytest.raises(MedstressError, match="none of the study's rows"):
        table_of(tmp_path, sources | {"judged": []})


def test_what_is_no_answer_is_wrong_for_metrics_as_it_is_in_means(
    sources: dict[str, list[Path]], tmp_path: Path
) -> None:
    rows = read_rows(sources["scores"][0], ScoreRow)
    unread = [
        replace(row, value=0.0, status="unparsable") if row.sample_id in ("c1", "c3") else row
        for row in rows
        if not (row.sample_id == "c5" and row.metric == "closed_accuracy")
    ]
    unread += [replace(row, value=None, status="error") for row in rows if row.sample_id == "c5"]
    write_rows(sources["scores"][0], ScoreRow, unread)
    table, _ = table_of(tmp_path, sources)
    closed = table[table["answer_type"] == "closed"].iloc[0]
    # The judge says 1 of c1 and c3, in which the metric reads no option: 2 of 9 answers on which they differ.
    expected = kendalltau([0, 0, 0, 0, 0, 0, 0, 1, 1], [0, 1, 0, 1, 0, 0, 0, 1, 1]).statistic
    assert closed["n_answers"] == 9
    assert closed["kendall"] == pytest.approx(expected)


def test_ids_that_a_spreadsheet_changed_are_known_by_their_marks(
    sources: dict[str, list[Path]], tmp_path: Path
) -> None:
    sources["ratings"] = [ratings(tmp_path, "ann", GRADES)]
    whole, _ = table_of(tmp_path, sources)
    text = sources["ratings"][0].read_text(encoding="utf-8")
    for place in range(COUNT):
        text = text.replace(f",s{place},", f",{place},")
    sources["ratings"][0].write_text(text, encoding="utf-8")
    changed, _ = table_of(tmp_path, sources)
    assert changed.equals(whole)
    assert "ann" in set(whole["rater"])
