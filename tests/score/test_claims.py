"""Claims on made-up scores whose effects are known."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from medstress.cards.claim import Claim
from medstress.config import ClassScoring, Statistics
from medstress.score.claims import Finding, audit
from medstress.table_spec import TableSpec

RUNS = ("net", "net+lora", "net+full", "big+lora")
_ROW = ["run", "dataset", "perturbation", "level", "sample_id", "group_id", "metric", "value", "subset"]


def _spec(**changes: object) -> TableSpec:
    values: dict[str, object] = {
        "study": "claims",
        "datasets": {"one": "One", "two": "Two"},
        "split_units": {"one": "patient", "two": "patient"},
        "runs": {run: run for run in RUNS},
        "baselines": [],
        "perturbations": ["blur", "noise", "fog", "hair"],
        "medical": ["fog", "hair"],
        "levels": [1],
        "metrics": ["iou"],
        "statistics": Statistics(resamples=300),
    }
    return TableSpec.model_validate(values | changes)


def _frame(
    drops: Mapping[tuple[str, str], Mapping[str, float]], metric: str = "iou", patients: int = 30, clean: float = 0.8
) -> pd.DataFrame:
    """Scores of runs on data sets with these mean drops by type, two samples a patient, with a little noise."""
    random, rows = np.random.default_rng(6), []
    for (run, dataset), by_type in drops.items():
        for patient in range(patients):
            away = random.normal(0, 0.01)
            for sample in (f"s{patient}a", f"s{patient}b"):
                names = (sample, f"p{patient}", metric)
                rows.append((run, dataset, "clean", 0, *names, clean + away, ""))
                for name, drop in by_type.items():
                    value = clean + away - drop + random.normal(0, 0.01)
                    rows.append((run, dataset, name, 1, *names, value, ""))
    frame = pd.DataFrame(rows, columns=_ROW)
    return frame.assign(seed=0, object_id="", status="ok")


def _claim(**test: object) -> Claim:
    values = {"task": "segmentation", "metric": "iou", "measure": "drop"} | test
    published = {"text": "so", "where": "there", "models": ["net"], "datasets": ["one"]} | {
        "strategies": ["lora", "full"]
    }
    return Claim.model_validate(
        {"name": "claim", "text": "It is.", "source": "A paper", "published": published, "test": values}
    )


DROPS = {
    ("net+lora", "one"): {"blur": 0.2, "noise": 0.2},
    ("net+full", "one"): {"blur": 0.1, "noise": 0.1},
    ("net+lora", "two"): {"blur": 0.2, "noise": 0.2},
    # Of `full` there is none on two, and of another model no `full` at all: neither may come into the ratio.
    ("big+lora", "one"): {"blur": 0.5, "noise": 0.5},
}


WHERE = {"net+full": ["one"], "big+lora": ["one"]}
"""The data sets that runs are planned on."""


def _ratio(frame: pd.DataFrame, spec: TableSpec | None = None, **ends: Any) -> Finding:
    claim = _claim(called="LoRA", of=["*+lora"], against={"full": ["*+full"]}, compare="ratio", **ends)
    return audit(spec or _spec(scored_on=WHERE), frame, claim)


def test_sides_are_compared_where_both_have_scores() -> None:
    frame = _frame(DROPS)
    own = frame[(frame["dataset"] == "one") & (frame["level"] == 1)].groupby("run")["value"].mean()
    clean = frame[(frame["dataset"] == "one") & (frame["level"] == 0)].groupby("run")["value"].mean()
    found = _ratio(frame, at_least=1.5, at_most=2.5)
    by_hand = (clean["net+lora"] - own["net+lora"]) / (clean["net+full"] - own["net+full"])
    assert found.effect.mean == pytest.approx(by_hand)
    assert (found.verdict, found.runs, found.datasets) == ("survives", ("net+lora", "net+full"), ("one",))
    assert found.same_setting


@pytest.mark.parametrize(
    ("ends", "verdict"),
    [({"at_least": 2.3}, "does not"), ({"at_most": 1.7}, "does not"), ({"at_least": 2.0}, "not enough data")],
)
def test_the_whole_interval_decides(ends: dict[str, Any], verdict: str) -> None:
    assert _ratio(_frame(DROPS), **ends).verdict == verdict


def test_stand_ins_are_never_comparable() -> None:
    for stand_in in ("net+lora", "one"):
        found = _ratio(_frame(DROPS), _spec(stand_ins=[stand_in], scored_on=WHERE), at_least=1.5)
        assert (found.verdict, found.reason) == ("not comparable", f"stand-ins: {stand_in}")
        assert found.effect.low is not None
    nothing = _ratio(_frame({("net+lora", "one"): {"blur": 0.2}}), _spec(stand_ins=list(RUNS)), at_least=1)
    assert (nothing.verdict, nothing.effect.mean) == ("not comparable", None)


def test_what_is_lacking_is_said() -> None:
    few = _ratio(_frame(DROPS, patients=4), at_least=1.5)
    assert (few.verdict, few.reason, few.effect.low) == ("not enough data", "few groups", None)
    lonely = _ratio(_frame({("net+lora", "one"): {"blur": 0.2}}), at_least=1.5)
    assert lonely.reason == "net+full lacks all scores on One"
    unknown = audit(_spec(), _frame(DROPS), _claim(called="IA3", of=["*+ia3"], at_least=0))
    assert (unknown.verdict, unknown.reason) == ("not enough data", "not in this study: IA3")


def test_the_best_is_ahead_of_every_other() -> None:
    drops = {("net+lora", "one"): {"blur": 0.1}, ("net+full", "one"): {"blur": 0.3}, ("net", "one"): {"blur": 0.15}}
    claim = _claim(
        measure="perturbed", of=["*+lora"], against={"a": ["*+full"], "b": ["net"]}, compare="best", at_least=0
    )
    found = audit(_spec(), _frame(drops), claim)
    assert found.verdict == "survives"
    assert found.effect.mean == pytest.approx(0.05, abs=0.01)


def test_the_largest_relative_drop_counts() -> None:
    claim = _claim(measure="relative_drop", of=["net+*"], aggregate="largest", at_most=0.15)
    found = audit(_spec(scored_on=WHERE), _frame(DROPS), claim)
    assert found.effect.mean == pytest.approx(0.2 / 0.8, abs=0.01)
    assert found.verdict == "does not"


def test_the_share_of_medical_types_in_the_top() -> None:
    drops = {("net", "one"): {"blur": 0.05, "noise": 0.1, "fog": 0.3, "hair": 0.4}}
    claim = _claim(measure="top_share", of=["net"], top=2, at_least=0)
    found = audit(_spec(), _frame(drops), claim)
    assert (found.effect.mean, found.effect.low, found.verdict) == (0.5, 0.5, "survives")
    few = audit(_spec(), _frame(drops), _claim(measure="top_share", of=["net"], top=4, at_least=0))
    assert (few.verdict, few.reason) == (
        "not enough data",
        "2 medical types and 2 general ones: not enough to choose 4 from",
    )


def test_mean_corruption_errors_are_against_the_normaliser() -> None:
    drops = {("net", "one"): {"blur": 0.2, "noise": 0.2}, ("net+lora", "one"): {"blur": 0.0, "noise": 0.0}}
    spec = _spec(
        tasks={"one": "classification", "two": "classification"}, classification=ClassScoring(normaliser="net")
    )
    claim = _claim(
        task="classification", metric=None, measure="mce", of=["*+lora"], against={"before": ["net"]},
        compare="difference", at_most=0,
    )  # fmt: skip
    found = audit(spec, _frame(drops, "accuracy"), claim)
    # Errors of .2 and .4.
    assert found.effect.mean == pytest.approx(-50, abs=3)
    assert found.verdict == "survives"
    # A second data set with too few patients for resampling takes the interval away, and does not break the mean.
    both = {**drops, **{(run, "two"): by_type for (run, _), by_type in drops.items()}}
    frame = _frame(both, "accuracy")
    few = frame[(frame["dataset"] == "one") | frame["group_id"].isin(["p0", "p1", "p2"])]
    assert (audit(spec, few, claim).effect.low, audit(spec, few, claim).reason) == (None, "few groups")
    without = audit(spec.model_copy(update={"classification": ClassScoring()}), _frame(drops, "accuracy"), claim)
    assert without.reason == "the study has no normaliser of corruption errors"


def _shifted(kept: Mapping[str, tuple[float, float]]) -> pd.DataFrame:
    """Clean scores above 0, of which each run keeps these shares on the two shifts, with noise."""
    random, rows = np.random.default_rng(2), []
    for run, shares in kept.items():
        for patient in range(40):
            for shift, share in zip(("x", "y"), shares, strict=True):
                for side, mean in (("iid", 0.8), ("ood", 0.8 * share)):
                    value = mean + random.normal(0, 0.02)
                    where = (f"s{patient}{side}{shift}", f"p{patient}", "open_f1", value, f"{shift}/{side}")
                    rows.append((run, "one", "clean", 0, *where))
    return pd.DataFrame(rows, columns=_ROW).assign(seed=0, object_id="", status="ok")


@pytest.mark.parametrize(
    ("kept", "verdict"),
    [
        ({"net+lora": (0.9, 0.5), "net+full": (0.7, 0.7)}, "survives"),
        ({"net+lora": (0.9, 0.9), "net+full": (0.7, 0.7)}, "does not"),
        ({"net+lora": (0.9, 0.7), "net+full": (0.7, 0.7)}, "not enough data"),
    ],
)
def test_no_method_wins_everywhere(kept: dict[str, tuple[float, float]], verdict: str) -> None:
    spec = _spec(tasks={"one": "vqa", "two": "vqa"}, shifts={"one": ["x", "y"]})
    claim = _claim(
        task="vqa", metric="open_f1", measure="shift_robustness", of=["*+lora"], against={"full": ["*+full"]},
        compare="wins", at_most=0,
    )  # fmt: skip
    assert audit(spec, _shifted(kept), claim).verdict == verdict


def test_the_order_of_rows_does_not_matter() -> None:
    frame = _frame(DROPS)
    assert _ratio(frame, at_least=1) == _ratio(frame.sample(frac=1, random_state=0), at_least=1)


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ({}, "give at_least, above, at_most or below"),
        ({"at_least": 0, "above": 0}, "not both"),
        ({"at_least": 2, "at_most": 1}, "must not be above"),
        ({"compare": "ratio", "at_least": 1}, "needs one side"),
        ({"compare": "best", "at_least": 1}, "needs sides"),
        ({"measure": "shift_robustness", "at_least": 1}, "go together"),
        ({"measure": "mce", "at_least": 1}, "leave it out"),
        ({"metric": "blue_4", "at_least": 1}, "Input should be"),
    ],
)
def test_claims_that_cannot_be_tested_are_refused(test: dict[str, object], expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        _claim(**test)


EQUAL = {(run, "one"): {"blur": 0.01, "noise": 0.05} for run in ("net+lora", "net+full")}


def _without(frame: pd.DataFrame, **where: object) -> pd.DataFrame:
    lost = pd.Series(data=True, index=frame.index)
    for name, value in where.items():
        lost &= frame[name] == value
    return frame[~lost]


def test_a_side_that_lacks_a_type_has_no_verdict() -> None:
    frame = _frame(EQUAL)
    assert _ratio(frame, at_least=1.5, at_most=2.5).verdict == "does not"
    found = _ratio(_without(frame, run="net+lora", perturbation="blur"), at_least=1.5, at_most=2.5)
    # Over both types of the other side the ratio would be .05 over .03.
    assert found.effect.mean == pytest.approx(1, abs=0.1)
    assert (found.verdict, found.reason) == ("not enough data", "net+lora lacks blur on One")
    neither = _without(frame, perturbation="blur")
    assert _ratio(neither, at_least=1.5, at_most=2.5).verdict == "does not"


def test_sides_are_compared_on_the_same_images() -> None:
    frame = _frame(EQUAL)
    hard = frame["sample_id"].isin([f"s{patient}a" for patient in range(10)]) & (frame["level"] > 0)
    frame.loc[hard, "value"] -= 0.3
    # Of one side the hard images failed under noise.
    failed = hard & (frame["run"] == "net+full") & (frame["perturbation"] == "noise")
    frame.loc[failed, "status"] = "error"
    frame.loc[failed, "value"] = np.nan
    found = _ratio(frame, at_least=1.5, at_most=2.5)
    easy = frame[~(hard & (frame["perturbation"] == "noise"))].set_index(["run", "sample_id", "perturbation"])["value"]
    drop = {run: (easy[run].xs("clean", level=1) - easy[run].drop("clean", level=1)).mean() for run in RUNS[1:3]}
    assert found.effect.mean == pytest.approx(drop["net+lora"] / drop["net+full"])
    assert found.verdict == "does not"


def test_a_run_without_scores_where_others_have_some_is_named() -> None:
    frame = _frame({**EQUAL, ("net+lora", "two"): {"blur": 0.1}})
    found = _ratio(frame, _spec(scored_on={"big+lora": ["one"]}), at_least=1.5)
    assert (found.verdict, found.reason) == ("not enough data", "net+full lacks all scores on Two")
    assert found.datasets == ("one",)


def test_a_model_without_a_value_is_named() -> None:
    frame = _frame({("net", "one"): {"blur": 0.01}, ("big", "one"): {"blur": 0.01}})
    frame.loc[frame["run"] == "big", "value"] = 0.0
    spec = _spec(runs={"net": "Net", "big": "Big"}, datasets={"one": "One"}, split_units={"one": "patient"})
    claim = _claim(measure="relative_drop", aggregate="largest", below=0.07)
    found = audit(spec, frame, claim)
    assert (found.verdict, found.reason) == ("not enough data", "Big has no value on One")


def _trained(
    drops: Mapping[str, float], seeds: int, spread: float, random: np.random.Generator, patients: int = 12
) -> pd.DataFrame:
    """Scores of strategies of net on one, each trained with so many seeds, whose drops vary between trainings."""
    parts = []
    for run, drop in drops.items():
        for seed in range(seeds):
            own = drop + random.normal(0, spread)
            part = _frame({(f"net+{run}", "one"): {"blur": own}}, patients=patients).assign(seed=seed)
            parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _lead(frame: pd.DataFrame) -> Finding:
    claim = _claim(measure="perturbed", of=["*+lora"], against={"full": ["*+full"]}, compare="best", above=0)
    return audit(_spec(scored_on=WHERE, statistics=Statistics(resamples=200)), frame, claim)


def test_another_training_is_part_of_the_interval() -> None:
    random, wrong = np.random.default_rng(4), 0
    for _ in range(40):
        found = _lead(_trained({"lora": 0.1, "full": 0.1}, 3, 0.03, random))
        assert "one seed" not in found.reason
        wrong += found.verdict != "not enough data"
    # 5 % of 40; the images alone leave an interval of less than a tenth of this spread.
    assert wrong <= 5


def test_trainings_that_agree_leave_a_verdict() -> None:
    found = _lead(_trained({"lora": 0.1, "full": 0.2}, 3, 0.005, np.random.default_rng(1)))
    assert (found.verdict, found.reason) == ("survives", "")


def test_one_training_qualifies_the_verdict() -> None:
    found = _lead(_trained({"lora": 0.1, "full": 0.2}, 1, 0.03, np.random.default_rng(1)))
    assert (found.verdict, found.reason) == ("survives", "for these trainings: one seed")
    # Models that were not trained here have none.
    untouched = _frame({("net", "one"): {"blur": 0.1}})
    assert audit(_spec(), untouched, _claim(of=["net"], above=0)).reason == ""


def test_a_bound_that_is_only_touched_decides_nothing() -> None:
    frame = _frame({(run, "one"): {"blur": 0.1} for run in ("net+lora", "net+full")})
    frame["value"] = np.where(frame["level"] == 0, 0.8, 0.7)
    found = _lead(frame)
    assert (found.effect.low, found.effect.high, found.verdict) == (0, 0, "not enough data")


@pytest.mark.parametrize(
    ("full", "reason"), [(-0.02, "full does not lose"), (0.002, "full may not lose: it does not in some resamples")]
)
def test_a_ratio_to_a_gain_is_none(full: float, reason: str) -> None:
    drops = {("net+lora", "one"): {"blur": -0.04}, ("net+full", "one"): {"blur": full}}
    found = _ratio(_frame(drops), at_least=1.5, at_most=2.5)
    assert (found.effect.mean, found.verdict, found.reason) == (None, "not enough data", reason)


def test_groups_are_those_of_what_was_averaged() -> None:
    frame = _frame(EQUAL, patients=30)
    few = (frame["run"] == "net+full") & ~frame["group_id"].isin([f"p{place}" for place in range(7)])
    other = frame[frame["run"] == "net"].assign(metric="dice")
    found = _ratio(pd.concat([frame[~(few & (frame["level"] > 0))], other]), at_least=1.5)
    assert found.effect.n_groups == 7


def test_methods_win_within_a_model() -> None:
    # LoRA wins both shifts of net and full both of big, so neither wins everywhere; of means over models LoRA would.
    kept = {"net+lora": (0.9, 0.9), "net+full": (0.5, 0.5), "big+lora": (0.6, 0.6), "big+full": (0.7, 0.7)}
    runs = {run: run for run in kept}
    spec = _spec(runs=runs, tasks={"one": "vqa", "two": "vqa"}, shifts={"one": ["x", "y"]})
    claim = _claim(
        task="vqa", metric="open_f1", measure="shift_robustness", of=["*+lora"], against={"full": ["*+full"]},
        compare="wins", at_most=0,
    )  # fmt: skip
    assert audit(spec, _shifted(kept), claim).verdict == "survives"
    # A model that one side lacks is not compared.
    lonely = _shifted({name: kept[name] for name in ("net+lora", "big+full")})
    apart = audit(_spec(runs={"net+lora": "", "big+full": ""}, tasks=spec.tasks, shifts=spec.shifts), lonely, claim)
    assert (apart.effect.mean, apart.verdict) == (None, "not enough data")


def test_types_of_a_hard_data_set_are_not_the_first_for_that() -> None:
    # On two everything costs .3 more; fog is made there alone, and costs no more than what is made everywhere.
    drops = {
        ("net", "one"): {"blur": 0.05, "noise": 0.05, "hair": 0.15},
        ("net", "two"): {"blur": 0.35, "noise": 0.35, "fog": 0.25},
    }
    found = audit(_spec(), _frame(drops), _claim(measure="top_share", of=["net"], top=1, above=0))
    assert (found.effect.mean, found.verdict) == (0.5, "survives")
    swapped = {("net", "one"): drops["net", "one"] | {"hair": 0.0}, ("net", "two"): drops["net", "two"]}
    assert audit(_spec(), _frame(swapped), _claim(measure="top_share", of=["net"], top=1, above=0)).effect.mean == -0.5
    apart = {("net", "one"): {"blur": 0.1, "hair": 0.2}, ("net", "two"): {"noise": 0.1, "fog": 0.2}}
    nothing = audit(_spec(), _frame(apart), _claim(measure="top_share", of=["net"], top=1, above=0))
    assert "no type is on all data sets" in nothing.reason


def test_stand_ins_are_left_out_where_the_rest_is_enough() -> None:
    drops = {("net", "one"): {"blur": 0.01}, ("big", "one"): {"blur": 0.3}}
    spec = _spec(runs={"net": "Net", "big": "Big"}, stand_ins=["big"])
    found = audit(spec, _frame(drops), _claim(aggregate="largest", below=0.07))
    assert (found.verdict, found.runs, found.reason) == ("survives", ("net",), "stand-ins left out: big")
    whole = audit(spec.model_copy(update={"stand_ins": ["net", "big"]}), _frame(drops), _claim(below=0.07))
    assert whole.verdict == "not comparable"
    assert whole.effect.mean == pytest.approx(0.155, abs=0.01)


def test_the_published_setting_is_of_strategies_too() -> None:
    frame = _frame(EQUAL)
    assert _ratio(frame, at_least=1).same_setting
    claim = _claim(called="LoRA", of=["*+lora"], against={"full": ["*+full"]}, compare="ratio", at_least=1)
    for changed in ({"strategies": ["lora"]}, {"models": ["net", "big"]}, {"differs": "boxes stay"}):
        other = claim.model_copy(update={"published": claim.published.model_copy(update=changed)})
        assert not audit(_spec(scored_on=WHERE), frame, other).same_setting
