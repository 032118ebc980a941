"""Paired drops on numbers worked out by hand."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from medstress.errors import MedstressError
from medstress.records import ScoreRow, write_rows
from medstress.score.robustness import left_out, paired_drops, read_scores, relative_robustness


def row(name: str, kind: str, level: int, value: float | None, status: str = "ok", metric: str = "iou") -> ScoreRow:
    return ScoreRow(
        "segmentation", "model", 0, "toy", "iid", f"s-{name}", f"p-{name}", name, kind, level, metric, value, status
    )


def frame_of(tmp_path: Path, rows: list[ScoreRow]) -> pd.DataFrame:
    write_rows(tmp_path / "scores.parquet", ScoreRow, rows)
    return read_scores([tmp_path / "scores.parquet"])


ROWS = [
    row("a", "clean", 0, 0.9),
    row("b", "clean", 0, 0.6),
    row("c", "clean", 0, None, "error"),
    row("a", "jpeg", 1, 0.8),
    row("a", "jpeg", 2, 0.1, "unreachable"),
    row("a", "rotation", 1, None, "object_lost"),
    row("b", "jpeg", 1, 0.0, "empty"),
    row("b", "jpeg", 2, 0.5),
    row("b", "rotation", 1, None, "refused"),
    row("c", "jpeg", 1, 0.7),
]


def test_drops_are_paired_per_object(tmp_path: Path) -> None:
    pairs = paired_drops(frame_of(tmp_path, ROWS))
    outcome = {(r.object_id, r.perturbation, r.level): r.outcome for r in pairs.itertuples()}
    assert outcome == {
        ("a", "jpeg", 1): "scored",
        ("a", "jpeg", 2): "unreachable",
        ("a", "rotation", 1): "object_lost",
        ("b", "jpeg", 1): "scored",
        ("b", "jpeg", 2): "scored",
        ("b", "rotation", 1): "refused",
        ("c", "jpeg", 1): "error",
    }
    counted = pairs[pairs.scored]
    assert counted["drop"].round(12).tolist() == [0.1, 0.6, 0.1]
    # What does not count has no number either, so that it cannot slip into a mean.
    assert pairs[~pairs.scored][["clean", "perturbed", "drop"]].isna().all(axis=None)
    assert relative_robustness(pairs) == pytest.approx((0.8 + 0.0 + 0.5) / (0.9 + 0.6 + 0.6))


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    counts = left_out(frame_of(tmp_path, ROWS))
    assert counts == {"n_unreachable": 1, "n_object_lost": 1, "n_failed": 2, "n_empty": 1}


def test_a_longer_distance_is_a_loss(tmp_path: Path) -> None:
    rows = [row("a", "clean", 0, 2.0, metric="hd95"), row("a", "jpeg", 1, 5.0, metric="hd95")]
    assert paired_drops(frame_of(tmp_path, rows))["drop"].tolist() == [3.0]


def test_runs_and_metrics_are_not_mixed(tmp_path: Path) -> None:
    rows = [row("a", "clean", 0, 0.9), row("a", "jpeg", 1, 0.8)]
    rows += [row("a", "clean", 0, 0.5, metric="dice"), row("a", "jpeg", 1, 0.2, metric="dice")]
    assert paired_drops(frame_of(tmp_path, rows))["drop"].round(12).tolist() == [0.1, 0.3]


def test_no_clean_score(tmp_path: Path) -> None:
    rows = [row("a", "jpeg", 1, 0.8), row("b", "jpeg", 1, 0.7)]
    pairs = paired_drops(frame_of(tmp_path, rows))
    assert pairs["outcome"].tolist() == ["no_clean", "no_clean"]
    assert not pairs["scored"].any()
    assert pairs["drop"].isna().all()
    # Of some objects alone, and not of others: not a hole, but a damaged record.
    with pytest.raises(MedstressError, match=r"1 scores have no clean score.*toy/model/0/s-a/a/iou"):
        paired_drops(frame_of(tmp_path, [*rows, row("b", "clean", 0, 0.9)]))


def test_nothing_is_kept_of_nothing(tmp_path: Path) -> None:
    assert relative_robustness(paired_drops(frame_of(tmp_path, [row("a", "clean", 0, 0.9)]))) is None


def test_the_order_of_files_does_not_change_a_row(tmp_path: Path) -> None:
    paths = []
    for seed in (0, 1):
        paths.append(tmp_path / f"model+lora@toy~seed{seed}" / "toy.parquet")
        rows = [row("a", "clean", 0, 0.9), row("a", "jpeg", 1, 0.8 - seed / 3)]
        write_rows(paths[-1], ScoreRow, [replace(one, run=paths[-1].parent.name, seed=seed) for one in rows])
    frame = read_scores(paths)
    pd.testing.assert_frame_equal(frame, read_scores(paths[::-1]))
    # Seeds of one strategy are one run, and drops are paired inside a seed.
    assert set(frame["run"]) == {"model+lora"}
    assert paired_drops(frame)["drop"].tolist() == [pytest.approx(0.1), pytest.approx(0.1 + 1 / 3)]
