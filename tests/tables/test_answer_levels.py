"""The tables of questions, captions and boxes by level against numbers worked out by hand."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from medstress.config import Statistics
from medstress.config_tasks import with_usual_outputs
from medstress.configfile import load_project
from medstress.names import TableName
from medstress.records import ScoreRow, write_rows
from medstress.score.robustness import read_scores
from medstress.table_spec import TableSpec
from medstress.tables import captioning_levels, grounding_levels, vqa_levels
from medstress.tables.registry import TABLES
from medstress.tables.write import write_table

PATIENTS = [f"p{place}" for place in range(6)]
CELLS = [("clean", 0), *((kind, level) for kind in ("jpeg", "rotation") for level in (1, 2))]
STRATEGY = "vlm+lora"
DASH = "\N{EN DASH}"


def spec_of(task: str, **changes: Any) -> TableSpec:
    values: dict[str, Any] = {
        "study": "toy",
        "datasets": {"asked": "Asked"},
        "split_units": {"asked": "patient"},
        "runs": {"vlm": "VLM", STRATEGY: "VLM + LoRA"},
        "adapted": {STRATEGY: "vlm"},
        "baselines": [],
        "perturbations": ["jpeg", "rotation"],
        "fixed": ["rotation"],
        "levels": [1, 2],
        "tasks": {"asked": task},
        "metrics": ["iou"],
        "statistics": Statistics(resamples=200),
    }
    return TableSpec.model_validate(values | changes).of_task(task)  # type: ignore[arg-type]


def row_of(
    patient: str, cell: tuple[str, int], metric: str, value: float | None, status: str = "ok", seed: int | None = None
) -> ScoreRow:
    run = "vlm" if seed is None else f"{STRATEGY}@asked~seed{seed}"
    return ScoreRow("vqa", run, seed or 0, "asked", "", f"{patient}#0", patient, "", *cell, metric, value, status)


def right(metric: str, counts: tuple[int, ...], seed: int | None = None) -> Iterator[ScoreRow]:
    """Of each cell, how many of the six patients, from the first, have 1; the others have 0."""
    for cell, count in zip(CELLS, counts, strict=True):
        for place, patient in enumerate(PATIENTS):
            yield row_of(patient, cell, metric, float(place < count), seed=seed)


def changed(rows: list[ScoreRow], patient: str, cell: tuple[str, int], value: float | None, status: str) -> None:
    """Give the run without a strategy another score of one cell, of every metric."""
    for place, row in enumerate(rows):
        if (row.run, row.group_id, row.perturbation, row.level) == ("vlm", patient, *cell):
            rows[place] = row_of(patient, cell, row.metric, value, status)


@pytest.fixture
def rows() -> list[ScoreRow]:
    """Closed and open questions; one image cannot reach its band, one request failed and one answer declines."""
    made = [*right("closed_accuracy", (5, 4, 2, 3, 3))]
    changed(made, "p0", ("jpeg", 2), 1.0, "unreachable")
    changed(made, "p1", ("jpeg", 1), None, "error")
    changed(made, "p2", ("rotation", 1), 0.0, "refused")
    return [*made, *right("closed_accuracy", (6, 5, 3, 6, 6), 0), *right("closed_accuracy", (4, 4, 2, 4, 4), 1)]


def frame_of(folder: Path, rows: list[ScoreRow]) -> pd.DataFrame:
    names = sorted({row.run for row in rows})
    for name in names:
        write_rows(folder / f"{name}.parquet", ScoreRow, [row for row in rows if row.run == name])
    return read_scores([folder / f"{name}.parquet" for name in names])


def test_what_each_level_costs(tmp_path: Path, rows: list[ScoreRow]) -> None:
    table = vqa_levels.build(spec_of("vqa"), frame_of(tmp_path, rows))
    own = table[table["run"] == "vlm"]
    assert [*zip(own["scale"], own["level"], strict=True)] == [
        ("clean", 0),
        ("ssim", 1),
        ("ssim", 2),
        ("table", 1),
        ("table", 2),
    ]
    # Noise of level 1: of five patients p0, p2 and p3 are right, and clean p0, p2, p3 and p4. Level 2: of p1 to p5 p1
    # is right, and clean p1 to p4. A declined answer counts as wrong.
    assert own["score"].tolist() == pytest.approx([5 / 6, 3 / 5, 1 / 5, 2 / 6, 3 / 6])
    assert own["drop"].tolist()[1:] == pytest.approx([4 / 5 - 3 / 5, 4 / 5 - 1 / 5, 5 / 6 - 2 / 6, 5 / 6 - 3 / 6])
    assert pd.isna(own["drop"].iloc[0])
    assert own["n_values"].tolist() == own["n_samples"].tolist() == own["n_groups"].tolist() == [6, 5, 5, 6, 6]
    assert own["n_unreachable"].tolist() == [0, 0, 1, 0, 0]
    assert own["n_failed"].tolist() == [0, 1, 0, 0, 0]
    assert own["n_refused"].tolist() == [0, 0, 0, 1, 0]
    assert set(own["interval"]) == {"95% bootstrap"}
    drops = own.iloc[1:]
    assert (drops["drop_low"] < drops["drop"]).all()
    assert (drops["drop"] < drops["drop_high"]).all()


def test_seeds_of_a_strategy_are_one_run(tmp_path: Path, rows: list[ScoreRow]) -> None:
    table = vqa_levels.build(spec_of("vqa"), frame_of(tmp_path, rows))
    tuned = table[table["run"] == STRATEGY]
    assert tuned["score"].tolist() == pytest.approx([10 / 12, 9 / 12, 5 / 12, 10 / 12, 10 / 12])
    # Each answer is held against the clean one of its own seed.
    assert tuned["drop"].tolist()[1:] == pytest.approx([1 / 12, 5 / 12, 0, 0])
    assert tuned["n_values"].tolist() == [12] * 5
    assert tuned["n_samples"].tolist() == tuned["n_groups"].tolist() == [6] * 5


def test_an_answer_without_a_clean_one_is_in_no_mean(tmp_path: Path, rows: list[ScoreRow]) -> None:
    changed(rows, "p5", ("clean", 0), None, "error")
    table = vqa_levels.build(spec_of("vqa"), frame_of(tmp_path, rows))
    own = table[table["run"] == "vlm"]
    assert own["score"].tolist() == pytest.approx([5 / 5, 3 / 4, 1 / 4, 2 / 5, 3 / 5])
    assert own["n_values"].tolist() == [5, 4, 4, 5, 5]
    # Intervals need five groups.
    assert own["interval"].tolist() == ["95% bootstrap", "few groups", "few groups", "95% bootstrap", "95% bootstrap"]


def test_questions_as_people_read_them(tmp_path: Path, rows: list[ScoreRow]) -> None:
    spec = spec_of("vqa", judges={"strict": "Strict judge"}, runs={"vlm": "VLM"})
    more = {"open_f1": (2, 2, 1, 2, 1), "open_recall": (3, 3, 3, 3, 3), "judge_open": (6, 6, 6, 6, 6)}
    rows += [row for metric, counts in more.items() for row in right(metric, counts)]
    frame = frame_of(tmp_path, rows)
    table = vqa_levels.build(spec, frame)
    assert table["metric"].unique().tolist() == ["closed_accuracy", "open_recall", "open_f1", "judge_open"]
    shown = vqa_levels.display(spec, table)
    assert shown["Metric"].unique().tolist() == ["Closed accuracy", "Open F1", "Judge of open answers"]
    first, _, second = (row for _, row in shown.iloc[:3].iterrows())
    assert first[["Data set", "Run", "Scale", "Level", "Drop"]].tolist() == ["Asked", "VLM", "clean", "0", DASH]
    assert second[["Scale", "Level", "Samples", "Values", "Unreachable"]].tolist() == ["ssim", "2", "5", "5", "1"]
    assert second["Score"].startswith("0.200 [")
    assert second["Drop"].startswith("0.600 [")
    lacking = [row for row in rows if (row.perturbation, row.level) != ("jpeg", 2)]
    hole = "Asked, VLM: no closed_accuracy, open_recall, open_f1, judge_open for jpeg, level 2."
    assert hole in vqa_levels.notes(spec, frame_of(tmp_path, lacking))


def test_captions_and_boxes(tmp_path: Path) -> None:
    spec = spec_of("captioning", runs={"vlm": "VLM"})
    rows = [row for metric in ("bleu_1", "bleu_4", "rouge_l", "cider_d") for row in right(metric, (6, 6, 3, 6, 3))]
    table = captioning_levels.build(spec, frame_of(tmp_path, rows))
    shown = captioning_levels.display(spec, table)
    assert shown["Metric"].unique().tolist() == ["BLEU-4", "ROUGE-L", "CIDEr-D"]
    assert "Unparsable" not in shown

    spec = spec_of("grounding", runs={"vlm": "VLM"})
    rows = [row for metric in ("box_iou", "accuracy_50", "accuracy_75") for row in right(metric, (6, 6, 3, 6, 3))]
    changed(rows, "p0", ("rotation", 2), None, "object_lost")
    table = grounding_levels.build(spec, frame_of(tmp_path, rows))
    shown = grounding_levels.display(spec, table)
    assert shown["Metric"].unique().tolist() == ["IoU of boxes", "Acc@0.5"]
    turned = shown.iloc[4]
    assert turned[["Scale", "Level", "Values", "Lost"]].tolist() == ["table", "2", "5", "1"]
    # Of p1 to p5 two are found, and all on the clean image.
    assert (turned["Score"][:5], turned["Drop"][:5]) == ("0.400", "0.600")


def test_written(tmp_path: Path, rows: list[ScoreRow]) -> None:
    scores = tmp_path / "scores" / "vlm" / "asked.parquet"
    write_rows(scores, ScoreRow, [row for row in rows if row.run == "vlm"])
    outputs = {suffix: tmp_path / f"table.{suffix}" for suffix in ("csv", "md", "tex", "parquet")}
    write_table(spec_of("vqa", runs={"vlm": "VLM"}), "vqa_levels", {"scores": [scores]}, outputs)
    assert pd.read_csv(outputs["csv"])["score"].tolist() == pytest.approx([5 / 6, 3 / 5, 1 / 5, 2 / 6, 3 / 6])
    assert f"# {vqa_levels.TITLE}" in outputs["md"].read_text()


@pytest.mark.parametrize("task", ["vqa", "captioning", "grounding"])
def test_studies_that_name_no_tables_have_it(task: str) -> None:
    project = load_project(Path(__file__).parents[2] / "config" / "config.yaml")
    about = {name: card for name, card in project.datasets.items() if card.task == task}
    unsaid = project.study.model_copy()
    unsaid.model_fields_set.discard("tables")
    usual: list[TableName] = with_usual_outputs(unsaid, about).tables
    assert usual[:2] == [f"{task}_main", f"{task}_levels"]
    assert all(TABLES[name].task in (task, None) for name in usual)
