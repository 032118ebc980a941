"""The headline tables of questions, captions and boxes against numbers worked out by hand."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from medstress.config import Statistics
from medstress.records import ScoreRow, write_rows
from medstress.score.captions import bleu_signature
from medstress.score.robustness import read_scores
from medstress.table_spec import TableSpec
from medstress.tables import captioning_main, grounding_main, vqa_main
from medstress.tables.write import write_table

PATIENTS = [f"p{place}" for place in range(6)]
CELLS = [("clean", 0), *((kind, level) for kind in ("jpeg", "rotation") for level in (1, 2))]
DASH = "\N{EN DASH}"


def spec_of(task: str, **changes: Any) -> TableSpec:
    values: dict[str, Any] = {
        "study": "toy",
        "datasets": {"asked": "Asked", "lungs": "Lungs"},
        "split_units": {"asked": "patient", "lungs": "patient"},
        "runs": {"majority": "Majority", "vlm~no_image": "VLM, no image", "vlm": "VLM"},
        "scored_on": {run: ["asked"] for run in ("majority", "vlm~no_image", "vlm")},
        "baselines": ["majority", "vlm~no_image"],
        "no_image": {"vlm": "vlm~no_image"},
        "perturbations": ["jpeg", "rotation"],
        "levels": [1, 2],
        "tasks": {"asked": task, "lungs": "segmentation"},
        "metrics": ["iou"],
        "statistics": Statistics(resamples=200),
    }
    return TableSpec.model_validate(values | changes)


def row_of(
    run: str, sample: str, cell: tuple[str, int], metric: str, value: float | None, status: str = "ok", subset: str = ""
) -> ScoreRow:
    group = sample.split("#", maxsplit=1)[0]
    return ScoreRow("vqa", run, 0, "asked", subset, sample, group, "", *cell, metric, value, status)


def scored(run: str, metric: str, right: tuple[int, ...], number: int = 0) -> list[ScoreRow]:
    """Of each cell, how many of the six patients, from the first, have 1; the others have 0."""
    return [
        row_of(run, f"{patient}#{number}", cell, metric, float(place < count))
        for cell, count in zip(CELLS, right, strict=True)
        for place, patient in enumerate(PATIENTS)
    ]


@pytest.fixture
def rows() -> list[ScoreRow]:
    return [
        *scored("majority", "closed_accuracy", (3, 3, 3, 3, 3)),
        *scored("vlm~no_image", "closed_accuracy", (4, 4, 4, 4, 4)),
        *scored("vlm", "closed_accuracy", (5, 4, 2, 5, 3)),
        *scored("vlm", "closed_flip", (0, 1, 3, 0, 2)),
        *scored("majority", "open_f1", (2, 2, 2, 2, 2), 1),
        *scored("vlm~no_image", "open_f1", (0, 0, 0, 0, 0), 1),
        *scored("vlm", "open_f1", (2, 2, 1, 2, 1), 1),
    ]


def frame_of(folder: Path, rows: list[ScoreRow]) -> pd.DataFrame:
    write_rows(folder / "asked.parquet", ScoreRow, rows)
    return read_scores([folder / "asked.parquet"])


def cell(table: pd.DataFrame, **keys: object) -> pd.Series:
    chosen = table[(table[list(keys)] == list(keys.values())).all(axis=1)]
    assert len(chosen) == 1
    return chosen.iloc[0]


def test_one_column_a_type(tmp_path: Path, rows: list[ScoreRow]) -> None:
    spec = spec_of("vqa").of_task("vqa")
    table = vqa_main.build(spec, frame_of(tmp_path, rows))
    assert set(table["metric"]) == {"closed_accuracy", "closed_flip", "open_f1"}
    vlm = cell(table, run="vlm", metric="closed_accuracy")
    assert vlm["clean"] == pytest.approx(5 / 6)
    assert vlm["perturbed_jpeg"] == pytest.approx(6 / 12)
    assert vlm["perturbed_rotation"] == pytest.approx(8 / 12)
    assert vlm["perturbed"] == pytest.approx(14 / 24)
    assert vlm["drop"] == vlm["delta_tp"] == pytest.approx(5 / 6 - 14 / 24)
    assert vlm["drop_low"] < vlm["drop"] < vlm["drop_high"]
    # Of 24 pairs, 1 + 3 + 0 + 2 were lost and none was gained.
    assert (vlm["share_worse"], vlm["share_better"]) == (pytest.approx(6 / 24), 0)
    assert (vlm["n_samples"], vlm["n_groups"], vlm["n_pairs"]) == (6, 6, 24)
    flips = cell(table, run="vlm", metric="closed_flip")
    assert (flips["clean"], flips["perturbed"]) == (0, pytest.approx(6 / 24))
    verdicts = {
        metric: cell(table, run="vlm", metric=metric)["beats_baselines"] for metric in ("closed_accuracy", "open_f1")
    }
    assert verdicts == {"closed_accuracy": "yes", "open_f1": "no"}
    assert pd.isna(flips["beats_baselines"])
    assert cell(table, run="vlm~no_image", metric="open_f1")["beats_baselines"] == "baseline"


def test_as_people_read_it(tmp_path: Path, rows: list[ScoreRow]) -> None:
    spec = spec_of("vqa").of_task("vqa")
    shown = vqa_main.display(spec, vqa_main.build(spec, frame_of(tmp_path, rows)))
    assert list(shown.columns)[:8] == ["Data set", "Run", "Metric", "Samples", "Clean", "jpeg", "rotation", "Average"]
    flips = shown[shown["Metric"] == "Closed answer flips"].iloc[-1]
    assert (flips["Run"], flips["Clean"], flips["jpeg"], flips["Drop"]) == ("VLM", DASH, "0.333", DASH)
    assert shown[(shown["Run"] == "VLM") & (shown["Metric"] == "Open F1")]["Beats baselines"].tolist() == ["**NO**"]
    assert "Samples" in shown
    notes = vqa_main.notes(spec, frame_of(tmp_path, rows))
    # Of the metrics that some run has; others are of questions that there are none of.
    assert notes[0] == "Asked, Majority; VLM, no image: no closed_flip."
    assert not any("open_recall" in note for note in notes)
    judged = spec_of("vqa", judges={"strict": "Strict judge"}).of_task("vqa")
    assert [metric for metric in judged.metrics if metric not in spec.metrics] == ["judge_open", "judge_closed"]


def test_what_is_no_answer_is_wrong_and_what_failed_is_left_out(tmp_path: Path) -> None:
    given = [("ok", 1.0), ("ok", 1.0), ("unparsable", 0.0), ("refused", 0.0), ("empty", 0.0), ("error", None)]
    rows = [
        row_of("vlm", f"{patient}#0", ("clean", 0), "closed_accuracy", value, status)
        for patient, (status, value) in zip(PATIENTS, given, strict=True)
    ]
    beyond = ("jpeg", 1)
    rows += [row_of("vlm", f"{one}#0", beyond, "closed_accuracy", 1.0, "unreachable") for one in PATIENTS[:1]]
    rows += [row_of("vlm", f"{one}#0", beyond, "closed_accuracy", 1.0) for one in PATIENTS[1:]]
    spec = spec_of("vqa", runs={"vlm": "VLM"}, baselines=[], no_image={}).of_task("vqa")
    row = vqa_main.build(spec, frame_of(tmp_path, rows)).iloc[0]
    assert row["clean"] == pytest.approx(2 / 5)
    assert row["clean_failed_as_wrong"] == pytest.approx(2 / 6)
    # Pairs: neither the unreachable image nor the answer without a clean one.
    assert (row["n_pairs"], row["perturbed"], row["drop"]) == (4, 1, pytest.approx(0.25 - 1))
    counts = ("n_unparsable", "n_refused", "n_empty", "n_failed", "n_unreachable", "n_object_lost")
    assert [row[name] for name in counts] == [1, 1, 1, 1, 1, 0]


def test_captions_say_how_bleu_was_made(tmp_path: Path) -> None:
    assert bleu_signature() == captioning_main.BLEU_SIGNATURE
    rows = [row for metric in ("bleu_1", "bleu_2", "cider_d") for row in scored("vlm", metric, (6, 6, 3, 6, 3))]
    spec = spec_of("captioning").of_task("captioning")
    assert spec.metrics == ["bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider_d"]
    compared = spec_of("captioning").model_copy(update={"caption_similarity": True}).of_task("captioning")
    assert compared.metrics == [*spec.metrics, "caption_similarity"]
    assert (
        "caption_similarity"
        not in spec_of("vqa").model_copy(update={"caption_similarity": True}).of_task("vqa").metrics
    )
    table = captioning_main.build(spec, frame_of(tmp_path, rows))
    assert cell(table, run="vlm", metric="cider_d")["perturbed_jpeg"] == pytest.approx(9 / 12)
    shown = captioning_main.display(spec, table)
    assert set(shown["Metric"]) == {"BLEU-1", "CIDEr-D"}
    # A run without scores has its rows, of what others have.
    assert shown["Samples"].tolist().count("0 (0 patients)") == 4


def test_grounding_is_written(tmp_path: Path) -> None:
    rows = [row for metric in ("box_iou", "accuracy_50") for row in scored("vlm", metric, (6, 6, 3, 6, 3))]
    lost = [("rotation", 2), "accuracy_50"]
    rows = [row for row in rows if [(row.perturbation, row.level), row.metric] != lost]
    rows += [row_of("vlm", f"{patient}#0", ("rotation", 2), "accuracy_50", None, "object_lost") for patient in PATIENTS]
    scores = tmp_path / "scores" / "vlm" / "asked.parquet"
    write_rows(scores, ScoreRow, rows)
    outputs = {suffix: tmp_path / f"table.{suffix}" for suffix in ("csv", "md", "tex", "parquet")}
    write_table(spec_of("grounding"), "grounding_main", {"scores": [scores]}, outputs)
    table = pd.read_csv(outputs["csv"])
    row = cell(table, run="vlm", metric="accuracy_50")
    assert (row["perturbed_rotation"], row["n_pairs"], row["n_object_lost"]) == (1, 18, 6)
    assert f"# {grounding_main.TITLE}" in outputs["md"].read_text()
    assert r"$\Delta$TP" in outputs["tex"].read_text()


def test_sides_of_shifts_are_in_no_other_table(tmp_path: Path, rows: list[ScoreRow]) -> None:
    spec = spec_of("vqa").of_task("vqa")
    sides = [
        row_of("vlm", "p9#0", ("clean", 0), "closed_accuracy", 1.0, subset=f"modality/{side}")
        for side in ("iid", "ood")
    ]
    expected = vqa_main.build(spec, frame_of(tmp_path, rows))
    assert vqa_main.build(spec, frame_of(tmp_path, [*rows, *sides])).equals(expected)


def test_types_that_are_made_for_some_images_say_for_how_many(tmp_path: Path, rows: list[ScoreRow]) -> None:
    spec = spec_of("vqa", partial={"asked": ["rotation"]}).of_task("vqa")
    left = ("p4#0", "p5#0", "p4#1", "p5#1")
    frame = frame_of(tmp_path, [row for row in rows if row.perturbation != "rotation" or row.sample_id in left])
    vlm = cell(vqa_main.build(spec, frame), run="vlm", metric="closed_accuracy")
    assert vlm["perturbed_jpeg"] == pytest.approx(6 / 12)
    assert vlm["perturbed_rotation"] == pytest.approx(1 / 4)
    assert (vlm["n_pairs"], vlm["perturbed"]) == (16, pytest.approx(7 / 16))
    # Clean, each of five patients has 1: of the pairs 10 of 12 and 2 of 4.
    assert vlm["drop"] == pytest.approx(12 / 16 - 7 / 16)
    assert vlm["delta_tp"] == pytest.approx(5 / 6 - 7 / 16)
    said = "Asked: of 12 samples, some types are made for those of one modality alone: rotation (4). "
    assert vqa_main.notes(spec, frame)[0].startswith(said)
