"""Noise floors, marks, comparisons and rankings in tables, against loops over resamples written out here."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau, rankdata, t, wilcoxon

from medstress.config import Statistics
from medstress.errors import MedstressError
from medstress.figures import strategy_ranking
from medstress.records import ScoreRow, write_rows
from medstress.score.bootstrap import resampled_together
from medstress.score.robustness import read_scores
from medstress.score.statistics.significance import signed_rank
from medstress.table_spec import TableSpec
from medstress.tables import comparisons, ranking, segmentation_main, segmentation_prompts, segmentation_top
from medstress.tables.latex import latex
from medstress.tables.markup import markdown
from medstress.tables.noise_marks import WITHIN_NOISE, marked

RUNS = ("box", "near", "far", "far+lora")
LOSS = {"box": 0.0, "near": 0.1, "far": 0.4, "far+lora": 0.11}
GROUPS = [f"p-{place}" for place in range(8)]
RESAMPLES = 300
KINDS = ("gaussian_noise", "jpeg")


def rows_of(run: str, dataset: str, random: np.random.Generator, seed: int = 0, count: int = 8) -> list[ScoreRow]:
    """Two objects a patient; a patient loses more or less than others, the same under every run."""
    rows = []
    family = run.split("@", maxsplit=1)[0]
    for place, obj in itertools.product(range(count), range(2)):
        clean = 0.9 - 0.02 * obj - 0.01 * RUNS.index(family)
        cells = [("clean", 0, clean)]
        for kind, level in itertools.product(KINDS, (1, 2)):
            loss = LOSS[family] * (1 + 0.3 * np.sin(place)) + 0.02 * random.normal() + 0.01 * level
            cells.append((kind, level, clean - loss))
        rows += [
            ScoreRow(
                "segmentation",
                run,
                seed,
                dataset,
                "iid",
                f"s{place}",
                f"p-{place}",
                f"o{obj}",
                *cell[:2],
                "iou",
                cell[2],
                "ok",
            )
            for cell in cells
        ]
    return rows


def spec_of(**changes: Any) -> TableSpec:
    values: dict[str, Any] = {
        "study": "toy",
        "datasets": {"many": "Many", "few": "Few"},
        "split_units": {"many": "patient", "few": "patient"},
        "runs": {"box": "Box", "near": "Near", "far": "Far", "far+lora": "Far + LoRA"},
        "baselines": ["box"],
        "perturbations": list(KINDS),
        "levels": [1, 2],
        "metrics": ["iou"],
        "statistics": Statistics(resamples=RESAMPLES),
    }
    return TableSpec.model_validate(values | changes)


@pytest.fixture
def frame(tmp_path: Path) -> pd.DataFrame:
    random, rows = np.random.default_rng(4), []
    for dataset, count in (("many", 8), ("few", 3)):
        for run in RUNS[:3]:
            rows += rows_of(run, dataset, random, count=count)
        for seed in (0, 1):
            rows += rows_of(f"far+lora@{dataset}~seed{seed}", dataset, random, seed, count)
    write_rows(tmp_path / "scores.parquet", ScoreRow, rows)
    return read_scores([tmp_path / "scores.parquet"])


def drops_of(frame: pd.DataFrame, dataset: str = "many") -> pd.DataFrame:
    """Drop of every value, by a dictionary of clean scores."""
    own = frame[frame["dataset"] == dataset].astype({"run": str, "group_id": str, "sample_id": str, "object_id": str})
    own = own.astype({"perturbation": str})
    clean = {(r.run, r.seed, r.sample_id, r.object_id): r.value for r in own.itertuples() if r.level == 0}
    lost = own[own["level"] > 0]
    drop = [clean[r.run, r.seed, r.sample_id, r.object_id] - r.value for r in lost.itertuples()]
    return lost.assign(drop=drop)


def times_drawn(dataset: str = "many") -> np.ndarray:
    """How often each resample draws each patient: the share of it among all, times their number."""
    eye = np.eye(len(GROUPS))
    return np.rint(resampled_together(eye, np.ones((8, 8)), dataset, RESAMPLES)[1:] * 8)


def resampled(frame: pd.DataFrame, runs: list[str], column: str = "drop") -> np.ndarray:
    """[1 + resamples, runs], by repeating the patients that were drawn."""
    values, patients = {}, {}
    for run in runs:
        own = frame[frame["run"] == run]
        values[run] = own[column].to_numpy()
        patients[run] = own["group_id"].map(GROUPS.index).to_numpy()
    found = []
    for times in [np.ones(8), *times_drawn()]:
        weights = {run: times[patients[run]] for run in runs}
        found.append([(values[run] * weights[run]).sum() / weights[run].sum() for run in runs])
    return np.array(found)


def stretched(value: float, groups: int) -> float:
    return value * np.sqrt(groups / (groups - 1)) * t.ppf(0.975, groups - 1) / 1.959963984540054


def floors_by_hand(off: np.ndarray, groups: int = 8) -> list[float]:
    """Of pairs whose resampled differences are off by this, [resamples, pairs]."""
    errors = [math.sqrt(sum(one * one for one in column) / len(column)) for column in off.T]
    largest = [max(abs(one) / error for one, error in zip(row, errors, strict=True)) for row in off]
    return [stretched(error * float(np.quantile(largest, 0.95)), groups) for error in errors]


def beside_best(means: np.ndarray, *, largest: bool = False) -> list[float]:
    """The floor of each run's difference from the best, which has none."""
    pairs = list(itertools.combinations(range(means.shape[1]), 2))
    off = np.array([[(row[a] - row[b]) - (means[0, a] - means[0, b]) for a, b in pairs] for row in means[1:]])
    floors = dict(zip(pairs, floors_by_hand(off), strict=True))
    best = int((means[0] * (-1 if largest else 1)).argmin())
    runs = range(means.shape[1])
    return [math.nan if run == best else floors[min(run, best), max(run, best)] for run in runs]


def nearly(values: list[float]) -> object:
    return pytest.approx(values, nan_ok=True)


def test_the_main_table_marks_what_is_within_its_floor(frame: pd.DataFrame) -> None:
    spec = spec_of()
    table = segmentation_main.build(spec, frame)
    many = table[table["dataset"] == "many"].set_index("run")
    studied = ["near", "far", "far+lora"]
    means = resampled(drops_of(frame), studied)
    floors = beside_best(means)
    assert many.loc[studied, "noise_floor"].tolist() == nearly(floors)
    behind = means[0] - means[0].min()
    assert many.loc[studied, "behind_best"].tolist() == pytest.approx(behind.tolist())
    within = [math.isnan(floor) or bool(one <= floor) for one, floor in zip(behind, floors, strict=True)]
    assert many.loc[studied, "within_noise_of_best"].tolist() == within
    # Two seeds of 8 patients with 2 objects under 2 types at 2 levels are as many cells as one.
    assert many.loc["near", ["n_cells_compared", "n_cells_left_out"]].tolist() == [64, 0]
    # A baseline that is blind loses nothing, and is best at nothing.
    assert many.loc[["box"], ["noise_floor", "within_noise_of_best"]].isna().all(axis=None)
    assert (many.loc["near", "behind_best"], many.loc["far", "within_noise_of_best"]) == (0, False)
    assert many.loc["far+lora", "within_noise_of_best"]
    few = table[table["dataset"] == "few"]
    assert few["within_noise_of_best"].isna().all() and few["noise_floor"].isna().all()
    shown = segmentation_main.display(spec, table)["IoU drop"].tolist()
    assert shown[1].startswith("**0.1") and shown[1].endswith("]**")
    assert shown[3].endswith(f"] {WITHIN_NOISE}")
    assert not any("*" in one or WITHIN_NOISE in one for one in (shown[0], shown[2], *shown[4:]))
    explained, said, too_few = segmentation_main.remarks(spec, table)
    assert explained.startswith(f"Bold is the smallest IoU drop, baselines aside; {WITHIN_NOISE} marks")
    assert said == f"Many: noise floor of the IoU drop {floors[2]:.4f} to {floors[1]:.4f}."
    assert too_few.startswith("Few: few groups (3 patients), so no noise floor")


def test_marks_are_plain_in_every_format() -> None:
    row = {"within_noise_of_best": True, "behind_best": 0.0}
    shown = pd.DataFrame(
        {
            "A": [
                marked("0.1", row),
                marked("0.2", row | {"behind_best": 0.1}),
                marked("0.3", row | {"within_noise_of_best": pd.NA}),
            ]
        }
    )
    assert shown["A"].tolist() == ["**0.1**", "0.2 ‡", "0.3"]
    tex = latex("T", "C", shown, ["‡ is near."], "t")
    assert r"\textbf{0.1}" in tex and r"0.2 $^\ddagger$" in tex and "‡" not in tex
    assert "| **0.1** |" in markdown("T", "C", shown, [])


def test_types_are_marked_against_the_worst(frame: pd.DataFrame) -> None:
    spec = spec_of(datasets={"many": "Many"})
    frame = frame[frame["dataset"] == "many"]
    table = segmentation_top.build(spec, frame).set_index("perturbation")
    lost = drops_of(frame)
    runs = ["near", "far", "far+lora"]
    by_type = [resampled(lost[lost["perturbation"] == kind], runs).mean(axis=1) for kind in KINDS]
    floors = beside_best(np.stack(by_type, axis=1), largest=True)
    assert table.loc[list(KINDS), "noise_floor"].tolist() == nearly(floors)
    worst = table["drop"].idxmax()
    assert table.loc[worst, "behind_best"] == 0 and table["within_noise_of_best"].all()
    assert segmentation_top.remarks(spec, table.reset_index())[0].startswith("Noise floor of the IoU drop: 0.0")


def test_prompts_have_a_floor_of_their_own(frame: pd.DataFrame) -> None:
    # What is moved by noise here is moved by a prompt there.
    spec = spec_of(datasets={"many": "Many"}, prompts={"jpeg": [0.1, 0.2]}, perturbations=[])
    table = segmentation_prompts.build(spec, frame)
    lost = drops_of(frame)
    for level in (1, 2):
        own = table[(table["prompt"] == "jpeg") & (table["level"] == level)].set_index("run")
        means = resampled(
            lost[(lost["perturbation"] == "jpeg") & (lost["level"] == level)], ["near", "far", "far+lora"]
        )
        assert own.loc[["near", "far", "far+lora"], "noise_floor"].tolist() == nearly(beside_best(means))
    assert table.loc[table["prompt"] == "right", "noise_floor"].isna().all()


def averaged(lost: pd.DataFrame, run: str, column: str = "drop") -> "pd.Series[float]":
    key = ["group_id", "sample_id", "object_id", "perturbation", "level"]
    return lost[lost["run"] == run].groupby(key)[column].mean()


def step_up(p_values: list[float]) -> list[float]:
    """Benjamini and Hochberg: the smallest level at which the procedure rejects each, by trying them all."""
    count, ordered = len(p_values), sorted(p_values)
    levels = sorted(count * p / (rank + 1) for rank, p in enumerate(ordered))

    def rejects(level: float) -> float:
        """All p-values up to the largest that is under its line."""
        return max((p for rank, p in enumerate(ordered) if p <= (rank + 1) / count * level * (1 + 1e-12)), default=-1.0)

    return [next(min(level, 1.0) for level in levels if p <= rejects(level)) for p in p_values]


def test_comparisons_are_paired_tested_and_adjusted(frame: pd.DataFrame) -> None:
    spec = spec_of()
    table = comparisons.build(spec, frame)
    assert len(table) == 2 * 2 * 6
    many = table[(table["dataset"] == "many") & (table["measure"] == "drop")].set_index(["run", "other"])
    lost, drawn, off = drops_of(frame), times_drawn(), []
    for (run, other), row in many.iterrows():
        difference = (averaged(lost, run) - averaged(lost, other)).reset_index()
        by_group = difference.groupby("group_id")["drop"].mean()
        # Groups are of one size here.
        means = drawn @ by_group.to_numpy() / 8
        off.append(means - by_group.mean())
        assert row["kind"] == ("with a baseline" if "box" in (run, other) else "runs")
        assert row["difference"] == pytest.approx(by_group.mean())
        low, high = np.quantile(means, [0.025, 0.975])
        assert row["difference_low"] == pytest.approx(by_group.mean() + stretched(low - by_group.mean(), 8))
        assert row["difference_high"] == pytest.approx(by_group.mean() + stretched(high - by_group.mean(), 8))
        assert row["p"] == pytest.approx(wilcoxon(by_group, method="exact").pvalue)
        assert (row["test"], row["n_groups"], row["n_values"]) == ("Wilcoxon", 8, 64)
    # Pairs with a baseline, which come first, have floors of their own.
    floors = floors_by_hand(np.array(off[:3]).T) + floors_by_hand(np.array(off[3:]).T)
    assert many["noise_floor"].tolist() == pytest.approx(floors)
    within = [bool(abs(one) <= floor) for one, floor in zip(many["difference"], floors, strict=True)]
    assert many["within_noise"].tolist() == within
    assert many.loc[("near", "far+lora"), "within_noise"] and not many.loc[("near", "far"), "within_noise"]
    tested = table[table["p"].notna()]
    assert set(tested["dataset"]) == {"many"} and table[table["dataset"] == "few"]["q"].isna().all()
    families = list(tested.groupby(["measure", "kind"]))
    assert [len(own) for _, own in families] == [3] * 4
    for _, own in families:
        assert own["q"].tolist() == pytest.approx(step_up(own["p"].tolist()))
    shown = comparisons.display(spec, table)
    assert set(shown["Within noise"]) == {"yes", "no"} and set(shown["Data set"]) == {"Many"}
    floors_said, least, few, tests, resamples = comparisons.remarks(spec, table)
    assert floors_said.startswith("Many: noise floor ") and "(drop, with a baseline)" in floors_said
    assert least == "Many: the smallest p that 8 patients can have is 0.00781."
    assert few.startswith("Few: few groups (3 patients), so no noise floor and no test of 12 pairs")
    assert (
        tests
        == "q is over "
        + ", ".join(
            f"3 tests (segmentation, {measure}{kind})"
            for measure in ("clean", "drop")
            for kind in (", with a baseline", "")
        )
        + "."
    )
    assert resamples == "Confidence 95%, from 300 resamples of groups."


def test_right_and_wrong_answers_have_mcnemars_test(tmp_path: Path) -> None:
    rows = []
    for run, right in {"near": (1, 1, 1, 1, 1, 1, 0, 0), "far": (0, 0, 0, 0, 0, 1, 0, 1)}.items():
        for place, value in enumerate(right):
            place_of = ("vqa", run, 0, "many", "", f"s{place}", f"p-{place}", "")
            rows += [
                ScoreRow(*place_of, kind, level, "closed_accuracy", float(value), "ok")
                for kind, level in (("clean", 0), ("jpeg", 1))
            ]
    write_rows(tmp_path / "scores.parquet", ScoreRow, rows)
    spec = spec_of(datasets={"many": "Many"}, tasks={"many": "vqa"}, runs={"near": "Near", "far": "Far"}, baselines=[])
    clean, drop = comparisons.build(spec, read_scores([tmp_path / "scores.parquet"])).to_dict("records")
    # Of six patients that changed, five are for one run: 2 (1 + 6) / 64.
    assert (clean["test"], clean["p"]) == ("sign test (McNemar over groups)", pytest.approx(14 / 64))
    # Runs that lose the same are not tested: a p of 1 would only make the other q larger.
    assert pd.isna(drop["test"]) and pd.isna(drop["p"]) and drop["difference"] == 0
    assert (drop["noise_floor"], drop["within_noise"]) == (0.0, True)


def test_many_runs_are_compared_with_the_best(frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparisons, "MOST_PAIRWISE", 2)
    table = comparisons.build(spec_of(datasets={"many": "Many"}), frame)
    # The baseline is best of all, and stands beside the best of the others.
    assert [set(own["other"]) for _, own in table.groupby("measure")] == [{"near"}, {"near"}]
    assert len(table) == 6


def test_two_baselines_are_compared_only_where_there_is_nothing_else(frame: pd.DataFrame) -> None:
    both = spec_of(datasets={"many": "Many"}, baselines=["box", "near"])
    pairs = comparisons.build(both, frame)[["run", "other"]].drop_duplicates().to_numpy().tolist()
    assert ["box", "near"] not in pairs and len(pairs) == 5
    alone = spec_of(datasets={"many": "Many"}, runs={"box": "Box", "near": "Near"}, baselines=["box", "near"])
    table = comparisons.build(alone, frame)
    assert set(table["kind"]) == {"runs"} and table["p"].notna().all()


def test_five_groups_can_show_nothing_and_that_is_said(frame: pd.DataFrame) -> None:
    five = frame[frame["group_id"].isin(GROUPS[:5])]
    spec = spec_of(datasets={"many": "Many"})
    table = comparisons.build(spec, five)
    assert table["p"].min() == pytest.approx(0.0625)
    assert (
        "Many: the smallest p that 5 patients can have is 0.0625, so nothing can be significant at 0.05."
        in comparisons.remarks(spec, table)
    )


def test_a_noisy_run_does_not_decide_about_the_others(frame: pd.DataFrame) -> None:
    """`far` loses wildly; what `near` and `far+lora` differ by is as sure as without it, but for one more test."""
    random = np.random.default_rng(1)
    by_patient = dict(zip(GROUPS, random.normal(0, 1, 8), strict=True))
    wild = (frame["run"] == "far") & (frame["level"] > 0)
    away = frame["group_id"].astype(str).map(by_patient)
    noisy = frame.assign(value=frame["value"].where(~wild, frame["value"] + away))
    spec = spec_of(datasets={"many": "Many"}, runs={"near": "Near", "far": "Far", "far+lora": "L"}, baselines=[])
    alone = spec_of(datasets={"many": "Many"}, runs={"near": "Near", "far+lora": "L"}, baselines=[])
    floors = []
    for one in (spec, alone):
        table = comparisons.build(one, noisy)
        table = table[table["measure"] == "drop"].set_index(["run", "other"])
        floors.append(table.loc[("near", "far+lora"), "noise_floor"])
    assert floors[1] < floors[0] < 1.5 * floors[1]
    main = segmentation_main.build(spec, noisy).set_index("run")
    assert main.loc["far", "noise_floor"] > 10 * floors[0]


def test_signed_ranks_with_ties_count_every_sign() -> None:
    values = np.array([0.1, 0.1, -0.1, 0.2, 0.3, 0.3, 0.4, -0.2, 0.5])
    ranks = rankdata(np.abs(values))
    sums = [np.dot(ranks, signs) for signs in itertools.product((0, 1), repeat=len(values))]
    middle = ranks.sum() / 2
    given = abs(ranks[values > 0].sum() - middle)
    assert signed_rank(values) == pytest.approx(np.mean([abs(one - middle) >= given - 1e-9 for one in sums]))
    random = np.random.default_rng(0).normal(0.3, 1, 40)
    assert signed_rank(random) == pytest.approx(wilcoxon(random, method="exact").pvalue)


def test_rankings_are_those_of_every_resample(frame: pd.DataFrame) -> None:
    spec = spec_of(datasets={"many": "Many"})
    table = ranking.build(spec, frame)
    assert table.groupby(["measure", "ranked"])["run"].apply(set).to_dict() == {
        (measure, kind): runs
        for measure in ("drop", "perturbed")
        for kind, runs in (("models", {"near", "far"}), ("strategies", {"far", "far+lora"}))
    }
    runs = ["far", "far+lora"]
    lost = drops_of(frame).rename(columns={"value": "perturbed"})
    for measure, sign in (("drop", 1), ("perturbed", -1)):
        own = table[(table["measure"] == measure) & (table["ranked"] == "strategies")].set_index("run").loc[runs]
        means = sign * resampled(lost, runs, measure)
        ranks = np.array([rankdata(row) for row in means])
        assert own["place"].tolist() == ranks[0].tolist()
        assert own["mean_rank"].tolist() == pytest.approx(ranks[1:].mean(axis=0).tolist())
        # The smallest rank that as many resamples have or are below, and no number between ranks.
        lowest = [min(rank for rank in column if (column <= rank).mean() >= 0.025) for column in ranks[1:].T]
        assert own["mean_rank_low"].tolist() == lowest
        assert own["share_first"].tolist() == pytest.approx((ranks[1:] == 1).mean(axis=0).tolist())
        taus = [kendalltau(means[0], row).statistic for row in means[1:]]
        assert own["tau"].tolist() == pytest.approx([np.mean(taus)] * 2)
        assert own["noise_floor"].tolist() == nearly(beside_best(means))
    shown = ranking.display(spec, table)
    assert set(shown["Groups"]) == {"8"}
    assert any(text.startswith("Many: tau ") for text in ranking.remarks(spec, table))


def test_rankings_over_data_sets_name_them(frame: pd.DataFrame) -> None:
    spec = spec_of()
    table = ranking.build(spec, frame)
    over = table[table["n_datasets"] == 2]
    assert set(over["datasets"]) == {"many few"}
    alone = table[table["n_datasets"] == 1].set_index(["dataset", "measure", "ranked", "run"])["mean"]
    for row in over.itertuples():
        parts = [alone[dataset, row.measure, row.ranked, row.run] for dataset in ("many", "few")]
        assert row.mean == pytest.approx(np.mean(parts))
    # Three patients of one are too few for all.
    assert over["mean_rank"].isna().all() and over["n_groups"].tolist() == [3] * len(over)
    assert "Mean over 2: Many; Few" in set(ranking.display(spec, table)["Data set"])
    partly = spec_of(scored_on={"near": ["many"]})
    rows = frame[(frame["run"] != "near") | (frame["dataset"] == "many")]
    kinds = ranking.build(partly, rows)
    assert set(kinds[kinds["n_datasets"] == 2]["ranked"]) == {"strategies"}


def test_nothing_to_rank_or_compare_is_said(frame: pd.DataFrame) -> None:
    spec = spec_of(runs={"near": "Near"}, baselines=[])
    with pytest.raises(MedstressError, match="no data set has scores of two models"):
        ranking.build(spec, frame)
    with pytest.raises(MedstressError, match="no two runs have scores on one data set"):
        comparisons.build(spec, frame)


def test_a_run_that_lacks_a_hard_cell_is_no_best(frame: pd.DataFrame) -> None:
    """Without its worst level `far` would lose least of all; it keeps its mean and has no mark and no rank."""
    spec = spec_of(runs={"box": "Box", "near": "Near", "far": "Far", "far+lora": "Far + LoRA"})
    values = frame["value"].where((frame["run"] != "far") | (frame["perturbation"] != "jpeg"), 0.9)
    easy = frame.assign(value=values)
    lacking = easy[(easy["run"] != "far") | (easy["perturbation"] != "gaussian_noise") | (easy["level"] != 2)]
    main = segmentation_main.build(spec, lacking)
    many = main[main["dataset"] == "many"].set_index("run")
    assert pd.notna(many.loc["far", "iou_drop"]) and pd.isna(many.loc["far", "behind_best"])
    assert many.loc["near", "behind_best"] == 0
    # The floor is of those that are compared.
    means = resampled(drops_of(frame), ["near", "far+lora"])
    assert many.loc[["near", "far+lora"], "noise_floor"].tolist() == nearly(beside_best(means))
    said = [text for text in segmentation_main.remarks(spec, main) if text.startswith("In no mark and no rank: ")]
    assert len(said) == 1 and said[0].startswith("In no mark and no rank: Many (Far); Few (Far). They")
    assert not [text for text in segmentation_main.remarks(spec, segmentation_main.build(spec, frame)) if text in said]
    ranked = ranking.build(spec, lacking)
    models = ranked[(ranked["dataset"] == "many") & (ranked["measure"] == "drop") & (ranked["ranked"] == "models")]
    # Of two models one is left, so there is no order.
    assert models["run"].tolist() == ["near", "far"] and models["place"].isna().all()
    # A seed that lacks a cell makes the mean of the seeds one over other cells, too.
    seed = frame[(frame["run"] != "far+lora") | (frame["seed"] != 1) | (frame["level"] != 2)]
    many = segmentation_main.build(spec, seed).iloc[:4].set_index("run")
    assert many["behind_best"].isna().to_dict() == {"box": True, "near": False, "far": False, "far+lora": True}
    # Types are compared where each run has all levels of them.
    top = segmentation_top.build(spec, lacking).set_index("perturbation")
    assert pd.isna(top.loc["gaussian_noise", "rank"]) and top.loc["jpeg", "rank"] == 1


def test_a_run_that_failed_on_hard_patients_is_compared_on_the_others(frame: pd.DataFrame) -> None:
    """Without four patients `far` loses least of all; on what all have it loses most, as before."""
    spec = spec_of(datasets={"many": "Many"})
    hard = GROUPS[:4]
    moved = frame["level"] > 0
    # All lose much of the hard patients and little of the others, but `far` always the most.
    extra = {"near": (0.7, 0.1), "far+lora": (0.7, 0.12), "far": (0.8, 0.2), "box": (0.0, 0.0)}
    loss = [
        extra[run][0 if group in hard else 1]
        for run, group in zip(frame["run"].astype(str), frame["group_id"].astype(str), strict=True)
    ]
    values = frame["value"].where(~moved, 0.9 - np.array(loss) + 0.01 * frame["value"])
    failed = moved & (frame["run"] == "far") & frame["group_id"].isin(hard)
    status = frame["status"].astype(str).mask(failed, "error")
    broken = frame.assign(value=values.mask(failed), status=status.astype("category"))
    broken = broken[broken["dataset"] == "many"]
    main = segmentation_main.build(spec, broken)
    rows = main.set_index("run")
    assert rows.loc["far", "iou_drop"] < rows.loc["near", "iou_drop"]
    assert rows.loc["near", "behind_best"] == 0 and rows.loc["far", "behind_best"] == pytest.approx(0.1, abs=0.02)
    assert rows.loc["far", ["n_cells_compared", "n_cells_left_out"]].tolist() == [32, 32]
    assert any("over the 32 of 64 cells" in text for text in segmentation_main.remarks(spec, main))
    table = ranking.build(spec, broken)
    drops = table[(table["measure"] == "drop") & (table["ranked"] == "models")].set_index("run")
    assert drops["place"].to_dict() == {"near": 1, "far": 2}
    assert any("32 are left out" in text for text in ranking.remarks(spec, table))
    # Four patients are too few, so nothing is called noise.
    assert drops["n_groups"].tolist() == [4, 4] and drops["mean_rank"].isna().all()


def test_data_sets_of_the_same_patients_draw_the_same(frame: pd.DataFrame) -> None:
    own = frame[frame["dataset"] == "many"].astype({"dataset": str})
    twice = pd.concat([own, own.assign(dataset="twin")])
    spec = spec_of(datasets={"many": "Many", "twin": "Twin"}, split_units={"many": "patient", "twin": "patient"})
    table = ranking.build(spec, twice).set_index(["dataset", "measure", "ranked", "run"]).sort_index()
    alone = table.loc[("many", "drop", "models")]
    over = table[table["n_datasets"] == 2].droplevel("dataset").loc[("drop", "models")]
    # The mean of a number and itself is no surer than the number.
    columns = ["mean", "mean_low", "mean_high", "mean_rank", "share_first", "tau", "noise_floor"]
    np.testing.assert_allclose(over[columns].astype(float), alone[columns].astype(float))
    other = pd.concat([own, own.assign(dataset="twin", group_id=own["group_id"].astype(str) + "x")])
    over = ranking.build(spec, other)
    over = (
        over[(over["n_datasets"] == 2) & (over["measure"] == "drop") & (over["ranked"] == "models")]
        .set_index("run")
        .sort_index()
    )
    assert (over["mean_high"] - over["mean_low"] < 0.9 * (alone["mean_high"] - alone["mean_low"])).all()


def test_the_figure_has_the_places_of_the_table(frame: pd.DataFrame, tmp_path: Path) -> None:
    spec = spec_of(datasets={"many": "Many"}, runs={"far": "Far", "near": "Near", "far+lora": "L", "near+lora": "N"})
    twin = frame[frame["run"] == "far+lora"].assign(run="near+lora")
    lacking = twin[(twin["level"] < 2) & (twin["dataset"] == "many")]
    rows = pd.concat([frame[frame["run"] != "box"].astype({"run": str}), lacking.astype({"run": str})])
    table = ranking.build(spec, rows)
    order = table[(table["measure"] == "drop") & (table["ranked"] == "strategies")].set_index("run")["place"]
    written = [
        ScoreRow(
            "segmentation",
            f"{row.run}@many~seed{row.seed}" if "+" in row.run else row.run,
            row.seed,
            "many",
            "iid",
            row.sample_id,
            row.group_id,
            row.object_id,
            row.perturbation,
            row.level,
            "iou",
            row.value,
            "ok",
        )
        for row in rows[rows["dataset"] == "many"].itertuples()
    ]
    write_rows(tmp_path / "many.parquet", ScoreRow, written)
    figure = strategy_ranking.draw(spec, {"scores": [tmp_path / "many.parquet"]})
    axes = figure.axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert pd.isna(order["near+lora"]) and labels[-1] == "N  not ranked:"
    assert [label.split("  ")[1].split(".")[0] for label in labels[:-1]] == ["1", "2", "3"]
    titles = {"Far": "far", "Near": "near", "L": "far+lora"}
    assert [order[titles[label.split("  ")[0]]] for label in labels[:-1]] == [1, 2, 3]
    best = table[(table["measure"] == "drop") & (table["ranked"] == "strategies") & (table["place"] == 1)]["mean"].iloc[
        0
    ]
    bands = [patch for patch in axes.patches if patch.get_width() > 0]
    assert len(bands) == 2 and all(patch.get_x() == pytest.approx(best) for patch in bands)
