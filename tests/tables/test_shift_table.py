"""The table of shifts against numbers worked out by hand."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from medstress.config import Statistics
from medstress.records import ScoreRow, write_rows
from medstress.score.robustness import read_scores
from medstress.table_spec import TableSpec
from medstress.tables import vqa_shifts
from medstress.tables.write import write_table

IID, OOD = [f"i{place}" for place in range(8)], [f"o{place}" for place in range(6)]
LENT = "o5"
DASH = "\N{EN DASH}"


def spec_of(**changes: Any) -> TableSpec:
    values: dict[str, Any] = {
        "study": "toy",
        "datasets": {"asked": "Asked"},
        "split_units": {"asked": "patient"},
        "runs": {"majority": "Majority", "vlm~no_image": "VLM, no image", "vlm": "VLM"},
        "baselines": ["majority", "vlm~no_image"],
        "no_image": {"vlm": "vlm~no_image"},
        "perturbations": ["jpeg"],
        "levels": [1],
        "tasks": {"asked": "vqa"},
        "shifts": {"asked": ["modality"]},
        "metrics": ["iou"],
        "statistics": Statistics(resamples=200),
    }
    return TableSpec.model_validate(values | changes).of_task("vqa")


def scores_of(run: str, iid: int, ood: int, perturbed: int) -> list[ScoreRow]:
    """How many answers are right, from the first: of 8 in distribution, 6 out of it, 13 perturbed ones."""

    def row(sample: str, subset: str, level: int, metric: str, value: float) -> ScoreRow:
        kind = "jpeg" if level else "clean"
        return ScoreRow("vqa", run, 0, "asked", subset, f"s-{sample}", sample, "", kind, level, metric, value, "ok")

    rows = []
    for side, samples, right in (("iid", IID, iid), ("ood", OOD, ood)):
        for place, sample in enumerate(samples):
            # Two options in distribution, four out of it. What train lends is in no other subset.
            for subset in (f"modality/{side}", *([""] if sample != LENT else [])):
                rows.append(row(sample, subset, 0, "closed_accuracy", float(place < right)))
                rows.append(row(sample, subset, 0, "closed_chance", 0.5 if side == "iid" else 0.25))
    shown = [sample for sample in (*IID, *OOD) if sample != LENT]
    return rows + [
        row(sample, "", 1, "closed_accuracy", float(place < perturbed)) for place, sample in enumerate(shown)
    ]


@pytest.fixture
def rows() -> list[ScoreRow]:
    return [*scores_of("majority", 4, 2, 6), *scores_of("vlm~no_image", 5, 3, 8), *scores_of("vlm", 7, 3, 9)]


def frame_of(folder: Path, rows: list[ScoreRow]) -> pd.DataFrame:
    write_rows(folder / "asked.parquet", ScoreRow, rows)
    return read_scores([folder / "asked.parquet"], sides=True)


def cell(table: pd.DataFrame, **keys: object) -> pd.Series:
    chosen = table[(table[list(keys)] == list(keys.values())).all(axis=1)]
    assert len(chosen) == 1
    return chosen.iloc[0]


def test_real_and_synthetic_shifts(tmp_path: Path, rows: list[ScoreRow]) -> None:
    spec = spec_of()
    table = vqa_shifts.build(spec, frame_of(tmp_path, rows))
    vlm = cell(table, run="vlm", shift="modality")
    assert (vlm["shift_kind"], vlm["n_iid_samples"], vlm["n_ood_samples"]) == ("real", 8, 6)
    assert (vlm["iid"], vlm["ood"]) == (pytest.approx(7 / 8), pytest.approx(3 / 6))
    assert (vlm["chance_iid"], vlm["chance_ood"]) == (0.5, 0.25)
    assert vlm["relative_robustness"] == pytest.approx((3 / 6 - 0.25) / (7 / 8 - 0.5))
    assert vlm["drop"] == pytest.approx(7 / 8 - 3 / 6)
    assert vlm["drop_low"] < vlm["drop"] < vlm["drop_high"]
    # What the same model has without the image, above the guess.
    assert vlm["explained_iid"] == pytest.approx((5 / 8 - 0.5) / (7 / 8 - 0.5))
    assert vlm["explained_ood"] == pytest.approx(1)
    assert (vlm["baseline_iid"], vlm["baseline_ood"]) == (0.5, pytest.approx(2 / 6))
    assert (vlm["no_image_iid"], vlm["no_image_ood"]) == (pytest.approx(5 / 8), 0.5)
    assert (vlm["beats_baselines"], vlm["beats_baselines_ood"]) == ("yes", "no")

    made = cell(table, run="vlm", shift="perturbations")
    chance = (8 * 0.5 + 5 * 0.25) / 13
    assert (made["shift_kind"], made["n_iid_samples"], made["n_ood_groups"]) == ("synthetic", 13, 13)
    # Clean: 7 in distribution and 3 of the 5 others that are not lent.
    assert (made["iid"], made["ood"]) == (pytest.approx(10 / 13), pytest.approx(9 / 13))
    assert made["relative_robustness"] == pytest.approx((9 / 13 - chance) / (10 / 13 - chance))
    assert cell(table, run="vlm", shift="jpeg")["ood"] == made["ood"]

    # The commonest answer is as good as a guess here: nothing that could be kept.
    majority = cell(table, run="majority", shift="modality")
    assert pd.isna(majority["relative_robustness"])
    assert pd.isna(majority["explained_iid"])
    assert majority["beats_baselines"] == "baseline"


def test_as_people_read_it(tmp_path: Path, rows: list[ScoreRow]) -> None:
    spec = spec_of()
    shown = vqa_shifts.display(spec, vqa_shifts.build(spec, frame_of(tmp_path, rows)))
    assert shown["Shift"].unique().tolist() == ["modality", "perturbations"]
    vlm = shown[(shown["Run"] == "VLM") & (shown["Shift"] == "modality")].iloc[0]
    assert vlm["Relative robustness"].startswith("67%")
    assert vlm["Questions in / out"] == "8 / 6"
    assert vlm["Baseline in / out"] == "0.500 / 0.333"
    assert vlm["Beats baselines out"] == "**NO**"
    majority = shown[(shown["Run"] == "Majority") & (shown["Shift"] == "modality")].iloc[0]
    assert (majority["Relative robustness"], majority["Explained in"]) == (DASH, DASH)
    assert vqa_shifts.notes(spec, frame_of(tmp_path, rows)) == []


_FILL = (
    "To fill: `snakemake results/toy/scores/vlm/asked.parquet --forcerun results/toy/predictions/vlm/asked.parquet "
    "--profile local --configfile STUDY.yaml`."
)


def test_what_is_missing(tmp_path: Path, rows: list[ScoreRow]) -> None:
    spec = spec_of(no_image={}, baselines=["majority"])
    kept = [row for row in rows if (row.run, row.subset) != ("vlm", "modality/ood")]
    frame = frame_of(tmp_path, kept)
    table = vqa_shifts.build(spec, frame)
    real = table[table["shift"] == "modality"].set_index("run")
    assert real["ood"].isna().to_dict() == {"majority": False, "vlm~no_image": False, "vlm": True}
    assert vqa_shifts.notes(spec, frame) == [
        "Asked, no scores on both sides of modality: VLM.",
        "Not asked without the image, so no share is explained: VLM, no image; VLM.",
        _FILL,
    ]


def test_few_groups_are_said_where_quotients_rest_on_them(tmp_path: Path, rows: list[ScoreRow]) -> None:
    # Two patients are out of distribution, eight in it.
    few = [row for row in rows if row.subset != "modality/ood" or row.group_id in OOD[:2]]
    spec = spec_of()
    table = vqa_shifts.build(spec, frame_of(tmp_path, few))
    shown = vqa_shifts.display(spec, table)
    vlm = shown[(shown["Run"] == "VLM") & (shown["Shift"] == "modality")].iloc[0]
    # Both who are out of it are right: above the guess 1 - 1/4, over 7/8 - 1/2 in it.
    assert vlm["Out of distribution"] == "1.000 (few groups)"
    assert vlm["Relative robustness"] == "200% (few groups)"
    assert vlm["Explained out"] == "100% (few groups)"
    # Of eight patients with seven right, resamples may have nothing above the guess: no interval, yet not few groups.
    assert "few groups" not in vlm["Explained in"]
    assert cell(table, run="vlm", shift="modality")["interval"] == "few groups"


def test_quotients_without_an_interval_though_groups_are_enough(tmp_path: Path) -> None:
    # Five of eight are right, a guess is right about four: many resamples are no better than it.
    spec = spec_of()
    rows = [*scores_of("majority", 4, 2, 6), *scores_of("vlm~no_image", 5, 3, 8), *scores_of("vlm", 5, 3, 9)]
    shown = vqa_shifts.display(spec, vqa_shifts.build(spec, frame_of(tmp_path, rows)))
    vlm = shown[(shown["Run"] == "VLM") & (shown["Shift"] == "modality")].iloc[0]
    assert vlm["Relative robustness"] == "200% (no interval)"
    assert vlm["Explained in"] == "100% (no interval)"


@pytest.mark.parametrize("tuned", [True, False])
def test_why_tuned_runs_have_no_sides(tmp_path: Path, rows: list[ScoreRow], tuned: bool) -> None:
    spec = spec_of(adapted={"vlm": "other"} if tuned else {}, no_image={}, baselines=["majority", "vlm~no_image"])
    reason = ", trained on both (a strategy with `shift: modality` is scored on both)" if tuned else ""
    neither = [row for row in rows if row.run != "vlm" or row.subset == ""]
    assert vqa_shifts.notes(spec, frame_of(tmp_path, neither)) == [
        f"Asked, no scores on both sides of modality{reason}: VLM.",
        "Not asked without the image, so no share is explained: VLM.",
        *([] if tuned else [_FILL]),
    ]
    # One that was trained in distribution has that side; a run without any score says nothing of its training.
    one_side = [row for row in rows if (row.run, row.subset) != ("vlm", "modality/ood")]
    without = [row for row in rows if row.run != "vlm"]
    for kept in (one_side, without):
        assert vqa_shifts.notes(spec, frame_of(tmp_path, kept))[0] == "Asked, no scores on both sides of modality: VLM."
    # Where the others have none either, a side is empty, whatever the training was.
    empty = [row for row in neither if row.subset != "modality/ood"]
    said = "Asked, no scores on both sides of modality: Majority; VLM, no image; VLM."
    assert vqa_shifts.notes(spec, frame_of(tmp_path, empty))[0] == said


def test_written(tmp_path: Path, rows: list[ScoreRow]) -> None:
    scores = tmp_path / "scores" / "vlm" / "asked.parquet"
    write_rows(scores, ScoreRow, rows)
    outputs = {suffix: tmp_path / f"table.{suffix}" for suffix in ("csv", "md", "tex", "parquet")}
    write_table(spec_of(), "vqa_shifts", {"scores": [scores]}, outputs)
    table = pd.read_csv(outputs["csv"])
    assert cell(table, run="vlm", shift="modality")["n_ood_samples"] == 6
    assert "Relative robustness" in outputs["md"].read_text()


def test_a_type_that_is_made_for_some_images_counts_these_on_both_sides(tmp_path: Path, rows: list[ScoreRow]) -> None:
    some = [row for row in rows if row.level == 0 or row.sample_id in ("s-i0", "s-i1", "s-o4")]
    table = vqa_shifts.build(spec_of(partial={"asked": ["jpeg"]}), frame_of(tmp_path, some))
    made = cell(table, run="vlm", shift="jpeg")
    assert (made["n_iid_samples"], made["n_ood_samples"], made["n_iid_groups"]) == (3, 3, 3)
    # Clean: 7 of 8 and 3 of 6 are right, from the first; perturbed: 9 of 13.
    assert (made["iid"], made["ood"]) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert made["chance_iid"] == made["chance_ood"] == pytest.approx((0.5 + 0.5 + 0.25) / 3)
