"""The tables of uncertainty and of equal harm, against sums written out here."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
from scipy.stats import nct, t

from medstress.config import Statistics
from medstress.exports.bundle import KINDS
from medstress.score.robustness import of_perturbations, paired_drops, read_scores
from medstress.table_spec import TableSpec
from medstress.tables import ranking, severity_matched, uncertainty
from medstress.tables.registry import TABLES
from medstress.tables.write import write_table
from tests.tables.conftest import ToyStudy

RESAMPLED = "Confidence 95%, from 300 resamples of groups."
TYPES, LEVELS, PATIENTS = ("blur", "noise", "fog"), (1, 2, 3), 8


def _spec(**changes: object) -> TableSpec:
    values: dict[str, object] = {
        "study": "made",
        "datasets": {"one": "One", "words": "Words"},
        "split_units": {"one": "patient", "words": "image"},
        "tasks": {"one": "segmentation", "words": "captioning"},
        "runs": {"box": "Box", "net": "Net", "net+lora": "Net + LoRA", "talker": "Talker"},
        "scored_on": {"box": ["one"], "net": ["one"], "net+lora": ["one"], "talker": ["words"]},
        "baselines": ["box"],
        "perturbations": list(TYPES),
        "fixed": ["fog"],
        "levels": list(LEVELS),
        "metrics": ["iou", "dice"],
        "statistics": Statistics(resamples=300),
    }
    return TableSpec.model_validate(values | changes)


def _frame(slopes: Mapping[str, float], seeds: Mapping[str, int] | None = None) -> pd.DataFrame:
    """Scores on `one` that fall with the level by a slope, two images a patient; each seed loses .02 more."""
    random, rows = np.random.default_rng(4), []
    for run, slope in slopes.items():
        for seed in range((seeds or {}).get(run, 1)):
            for patient in range(PATIENTS):
                away = random.normal(0, 0.01)
                for image in "ab":
                    names = (run, seed, f"s{patient}{image}", f"p{patient}")
                    rows.append((*names, "clean", 0, 0.8))
                    for name in TYPES:
                        hard = random.normal(0, 0.01)
                        drops = {level: slope * level + 0.02 * seed + away + hard for level in LEVELS}
                        rows += [(*names, name, level, 0.8 - drop) for level, drop in drops.items()]
    columns = ["run", "seed", "sample_id", "group_id", "perturbation", "level", "value"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(dataset="one", object_id="", metric="iou", status="ok")


def test_standard_errors_and_the_detectable_drop_by_hand() -> None:
    frame = _frame({"box": 0.0, "net": 0.05, "net+lora": 0.1}, {"net+lora": 3})
    table = uncertainty.build(_spec(), frame).set_index("run")
    assert list(table.index) == ["box", "net", "net+lora", "talker"]
    lora = table.loc["net+lora"]
    pairs = paired_drops(frame[frame["run"] == "net+lora"])
    # All groups have the same number of pairs, so theirs is the standard error of a mean of groups.
    by_group = pairs.groupby("group_id")["drop"].mean()
    error = by_group.std(ddof=1) / math.sqrt(PATIENTS)
    assert lora["se_data"] == pytest.approx(error)
    by_seed = [pairs.loc[pairs["seed"] == seed, "drop"].mean() for seed in range(3)]
    spread = float(np.std(by_seed, ddof=1)) / math.sqrt(3)
    assert lora["se_seed"] == pytest.approx(spread) and spread > 0.005
    assert lora["se_total"] == pytest.approx(math.sqrt(error**2 + spread**2))
    assert 0 < lora["se_draw_at_most"] < lora["se_data"]
    assert lora["drop"] == pytest.approx(pairs["drop"].mean())
    assert (lora["n_pairs"], lora["n_groups"], lora["n_seeds"], lora["n_pairs_left_out"]) == (3 * 144, 8, 3, 0)
    # A study of eight groups finds that drop four times of five.
    shift, bound = lora["detectable_drop"] / error, t.ppf(0.975, PATIENTS - 1)
    assert nct.sf(bound, PATIENTS - 1, shift) == pytest.approx(0.8, abs=1e-6)
    assert pd.isna(table.loc["net", "se_seed"]) and table.loc["net", "se_total"] == table.loc["net", "se_data"]
    assert table.loc["talker", "metric"] == "cider_d" and table.loc["talker", "n_pairs"] == 0


def test_what_cannot_be_told_apart_is_said() -> None:
    spec, frame = _spec(), _frame({"net": 0.05, "net+lora": 0.1})
    alone = frame[(frame["group_id"] == "p0") & frame["perturbation"].isin(["clean", "blur"])]
    some = frame[(frame["run"] != "net+lora") | (frame["perturbation"] != "fog") | (frame["group_id"] != "p1")]
    twice = pd.concat(
        [frame[frame["run"] == "net"], _frame({"net+lora": 0.1}), some[some["run"] == "net+lora"].assign(seed=1)]
    )
    said = {
        name: uncertainty.remarks(spec, uncertainty.build(spec, rows))
        for name, rows in (("one", frame), ("alone", alone), ("lacking", twice))
    }
    assert said["one"] == [
        "One training seed, so what another training would do is not known, and not in the total: One (Net + LoRA).",
        RESAMPLED,
    ]
    assert any(text.startswith("One group, so no standard error") for text in said["alone"])
    assert said["lacking"] == [
        "Cells that some seeds lack are in the drop and in no standard error: One (Net + LoRA).",
        RESAMPLED,
    ]
    two = frame[frame["group_id"].isin(["p0", "p1"]) & frame["perturbation"].isin(["clean", "blur"])]
    assert any("not even a bound" in text for text in uncertainty.remarks(spec, uncertainty.build(spec, two)))
    shown = uncertainty.display(spec, uncertainty.build(spec, frame))
    assert shown.set_index("Run").loc["Net", "Seeds"] == "\N{EN DASH}"
    assert shown.set_index("Run").loc["Net + LoRA", "Seeds"] == "1"


def test_a_run_that_never_changes_has_no_detectable_drop() -> None:
    frame = _frame({"box": 0.0})
    frame["value"] = 0.8
    table = uncertainty.build(_spec(), frame).set_index("run")
    assert table.loc["box", "se_data"] == 0 and pd.isna(table.loc["box", "detectable_drop"])


def test_a_detectable_drop_is_the_same_in_both_tables() -> None:
    frame = _frame({"box": 0.0, "net": 0.05, "net+lora": 0.1}, {"net+lora": 3})
    # A run that never changes, and a patient that one seed lacks.
    frame.loc[frame["run"] == "box", "value"] = 0.8
    frame = frame[(frame["run"] != "net+lora") | (frame["seed"] != 1) | (frame["group_id"] != "p3")]
    spec = _spec(baselines=[], statistics=Statistics(resamples=300, confidence=0.9))
    alone = uncertainty.build(spec, frame).set_index("run")["detectable_drop"]
    ranked = ranking.build(spec, frame)
    assert set(ranked["run"]) == {"box", "net", "net+lora"}
    for row in ranked.to_dict("records"):
        assert row["detectable_drop"] == pytest.approx(alone[row["run"]], rel=1e-12, nan_ok=True)
    assert (
        pd.isna(alone["box"])
        and alone["net"] < uncertainty.build(_spec(), frame).set_index("run").loc["net", "detectable_drop"]
    )


def test_runs_are_matched_where_the_reference_loses_a_share() -> None:
    frame = _frame({"box": 0.0, "net": 0.01, "net+lora": 0.02})
    spec = _spec()
    table = severity_matched.build(spec, frame).set_index("run")
    assert set(table.loc[["box", "net", "net+lora"], "reference"]) == {"net"}
    pairs = paired_drops(frame)
    bands = pairs[pairs["perturbation"] != "fog"].groupby(["run", "level"])["drop"].mean()
    net, lora = bands["net"], bands["net+lora"]
    # 2 % of .8 is .016, between the drops of levels 1 and 2.
    assert net[1] < 0.016 < net[2]
    part = (0.016 - net[1]) / (net[2] - net[1])
    assert table.loc["net", "level_at_2"] == pytest.approx(1 + part)
    assert table.loc["net", "drop_at_2"] == pytest.approx(0.016)
    assert table.loc["net+lora", "drop_at_2"] == pytest.approx(lora[1] + part * (lora[2] - lora[1]))
    low, high = table.loc["net+lora", ["drop_at_2_low", "drop_at_2_high"]]
    assert low < table.loc["net+lora", "drop_at_2"] < high
    # The reference loses .03 of .8 at most, which is less than 5 %.
    assert table[["drop_at_5", "drop_at_10"]].isna().all(axis=None)
    shown = severity_matched.display(spec, table.reset_index()).set_index("Run")
    assert "Net (reference)" in shown.index
    assert shown.loc["Net + LoRA", "At 5%"] == "not reached"
    assert shown.loc["Talker (reference)", "At 5%"] == "\N{EN DASH}"
    said = severity_matched.remarks(spec, table.reset_index())
    assert said == [
        "The reference is Net, the first run that is no baseline: One.",
        "The reference is Talker, the first run that is no baseline: Words.",
        RESAMPLED,
    ]


def test_the_reference_is_the_normaliser_of_classifiers_and_none_among_baselines() -> None:
    values = {
        "datasets": {"one": "One"},
        "split_units": {"one": "image"},
        "scored_on": {},
        "runs": {"box": "Box", "net": "Net", "big": "Big"},
    }
    classes = {"kind": "multi_class", "names": ["no", "yes"]}
    spec = _spec(
        **values, tasks={"one": "classification"}, classes={"one": classes}, classification={"normaliser": "big"}
    )
    frame = _frame({"box": 0.0, "net": 0.01, "big": 0.02}).assign(metric="accuracy")
    table = severity_matched.build(spec, frame)
    assert set(table["reference"]) == {"big"}
    assert severity_matched.remarks(spec, table) == [
        "The reference is Big, which corruption errors are relative to: One.",
        RESAMPLED,
    ]
    spec = _spec(**values | {"runs": {"box": "Box"}}, tasks={"one": "segmentation"})
    table = severity_matched.build(spec, frame.assign(metric="iou"))
    assert severity_matched.remarks(spec, table) == ["No reference, since all runs are baselines: One.", RESAMPLED]
    assert severity_matched.display(spec, table)["At 1%"].tolist() == ["\N{EN DASH}"]


def test_few_groups_and_resamples_that_do_not_reach_it_have_no_interval() -> None:
    spec, frame = _spec(), _frame({"net": 0.01, "net+lora": 0.02})
    few = frame[frame["group_id"].isin(["p0", "p1", "p2"])]
    shown = severity_matched.display(spec, severity_matched.build(spec, few)).set_index("Run")
    assert shown.loc["Net (reference)", "At 1%"] == "0.008 (few groups)"
    far = frame.copy()
    # One patient loses all of it, and some resamples lack that patient.
    far.loc[(far["level"] > 0) & (far["group_id"] != "p3"), "value"] = 0.8
    far.loc[(far["level"] > 0) & (far["group_id"] == "p3"), "value"] = 0.5
    shown = severity_matched.display(spec, severity_matched.build(spec, far)).set_index("Run")
    assert shown.loc["Net (reference)", "At 1%"] == "0.008 (not reached in some resamples)"


def test_the_reference_loses_its_own_share_also_after_a_gain() -> None:
    spec, frame = _spec(), _frame({"net": 0.03, "net+lora": 0.05})
    # At level 1 all gain, and they lose from there.
    frame.loc[frame["level"] == 1, "value"] += 0.08
    table = severity_matched.build(spec, frame).set_index("run")
    assert table.loc["net", "drop_at_1"] == pytest.approx(table.loc["net", "reference_drop_at_1"])
    assert 1 < table.loc["net", "level_at_1"] < 2


@pytest.mark.parametrize("name", ["uncertainty", "severity_matched", "ranking", "comparisons", "published_numbers"])
def test_tables_from_records_are_the_same_twice_and_in_any_order(
    name: str, toy: ToyStudy, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert set(TABLES[name].reads) <= set(KINDS)
    written = []
    for sources in (toy.sources, {"scores": toy.sources["scores"][::-1]}):
        folder = tmp_path_factory.mktemp(name)
        outputs = {suffix: folder / f"{name}.{suffix}" for suffix in ("csv", "md", "tex", "parquet")}
        write_table(toy.spec, name, sources, outputs)
        written.append({suffix: path.read_bytes() for suffix, path in outputs.items()})
    assert written[0] == written[1]


def test_numbers_are_those_of_the_records(toy: ToyStudy) -> None:
    frame = of_perturbations(toy.spec, read_scores(toy.sources["scores"]))
    table, pairs = uncertainty.build(toy.spec, frame), paired_drops(frame)
    pairs = pairs[(pairs["metric"] == "iou") & pairs["scored"]]
    for row in table.to_dict("records"):
        own = pairs[(pairs["dataset"] == row["dataset"]) & (pairs["run"] == row["run"])]
        assert row["drop"] == pytest.approx(own["drop"].mean())
        assert (row["n_pairs"], row["n_groups"]) == (len(own), own["group_id"].nunique())
        assert row["n_seeds"] == (2 if row["run"] == "net+lora" else 1)
    assert len(table) == 5
