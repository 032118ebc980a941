"""Published numbers beside own ones: which belong, what is computed, and what is said to differ."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medstress.configfile import load_project
from medstress.score.published import SHA256, PublishedNumber, published_numbers
from medstress.score.published_setting import LEVELS, STRATEGIES, TYPES, datasets_of, models_of
from medstress.score.robustness import paired_drops
from medstress.table_slice import table_spec
from medstress.table_spec import TableSpec
from medstress.tables.published_numbers import NOTHING_BELONGS, build, display, remarks

ROOT = Path(__file__).parents[2]
NUMBERS = ROOT / "src/medstress/score/published.csv"
_STEP = {"medsam": 0.01, "sam_med2d": 0.02}


@pytest.fixture(autouse=True)
def _at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope="module")
def spec() -> TableSpec:
    found = table_spec(load_project(ROOT / "config/medfm_robust.yaml"))
    return found.model_copy(update={"statistics": found.statistics.model_copy(update={"resamples": 50})})


@pytest.fixture(scope="module")
def frame(spec: TableSpec) -> pd.DataFrame:
    """Six patients a data set; what a type costs grows with the level, by run and data set, and a little by patient."""
    random, rows = np.random.default_rng(8), []
    for place, dataset in enumerate(spec.datasets):
        made = spec.perturbations_on(dataset)
        for run in (one for one in spec.runs if one.split("+")[0] in _STEP):
            step = _STEP[run.split("+")[0]] + 0.001 * len(run) + 0.003 * place
            for patient in range(6):
                names = (dataset, run, f"s{patient}", f"p{patient}")
                rows.append((*names, "clean", 0, 0.9 - 0.01 * place + random.normal(0, 0.01)))
                for kind in made:
                    hard = random.uniform(0, 0.02)
                    rows += [(*names, kind, level, 0.85 - hard - step * level) for level in spec.levels]
    columns = ["dataset", "run", "sample_id", "group_id", "perturbation", "level", "value"]
    whole = pd.DataFrame(rows, columns=columns)
    return whole.assign(object_id="", metric="iou", status="ok", seed=0)


def _row(table: pd.DataFrame, **named: object) -> pd.Series:
    rows = table
    for name, value in named.items():
        rows = rows[rows[name].isna()] if value is None else rows[rows[name] == value]
    assert len(rows) == 1, rows
    return rows.iloc[0]


def _by_hand(frame: pd.DataFrame, column: str, run: str, dataset: str, levels: tuple[int, ...] = LEVELS) -> float:
    pairs = paired_drops(frame[(frame["run"] == run) & (frame["dataset"] == dataset)])
    kept = pairs["perturbation"].isin(TYPES[dataset]) & pairs["level"].isin(levels)
    return float(pairs.loc[kept, column].mean())


def test_numbers_are_own_means_over_the_published_cells(spec: TableSpec, frame: pd.DataFrame) -> None:
    table = build(spec, frame)
    whole = {"dataset": "mean of data sets", "perturbation": None, "level": None}
    lora = _row(table, quantity="mean drop", model="sam_med2d", strategy="lora", **whole)
    drops = [_by_hand(frame, "drop", "sam_med2d+paper_lora", dataset) for dataset in TYPES]
    assert lora["own"] == pytest.approx(np.mean(drops))
    assert lora["own_low"] <= lora["own"] <= lora["own_high"]
    assert (lora["published"], lora["runs"], lora["n_groups"]) == (0.0608, "sam_med2d+paper_lora", 6)
    assert set(lora["datasets"].split()) == set(TYPES)
    both = _row(table, quantity="mean drop", model="mean of models", strategy="lora", **whole)
    other = np.mean([_by_hand(frame, "drop", "medsam+paper_lora", dataset) for dataset in TYPES])
    assert both["own"] == pytest.approx((lora["own"] + other) / 2)
    # The published mean of adapters is of one model.
    assert (
        _row(table, model="mean of models", strategy="adapter_only", **whole)["runs"] == "sam_med2d+paper_adapter_only"
    )
    clean = _row(table, quantity="clean", model="medsam", strategy="full", **whole)
    own = frame[(frame["run"] == "medsam+paper_full") & (frame["level"] == 0)]
    assert clean["own"] == pytest.approx(own.groupby("dataset")["value"].mean().mean())
    level = _row(table, model="mean of models", strategy="full", dataset="mean of data sets", level=5)
    drops = [_by_hand(frame, "drop", f"{one}+paper_full", name, (5,)) for one in _STEP for name in TYPES]
    assert level["own"] == pytest.approx(np.mean(drops))
    jpeg = _row(table, quantity="mean perturbed", perturbation="jpeg", level=3)
    runs = [f"{one}+paper_{two}" for one in _STEP for two in STRATEGIES if (one, two) != ("medsam", "adapter_only")]
    cell = frame[(frame["dataset"] == "isic2016") & (frame["perturbation"] == "jpeg") & (frame["level"] == 3)]
    assert jpeg["own"] == pytest.approx(cell[cell["run"].isin(runs)]["value"].mean())
    assert (jpeg["datasets"], set(jpeg["runs"].split())) == ("isic2016", set(runs))


def test_every_difference_is_named_and_what_lacks_has_no_number(spec: TableSpec, frame: pd.DataFrame) -> None:
    table = build(spec, frame)
    assert table["differs"].notna().all() and (table["differs"] != "").all()
    own = table[table["own"].notna()]
    assert own["differs"].str.startswith("tuned again; other split").all()
    assert own.loc[own["quantity"] != "clean", "differs"].str.contains("strengths").all()
    # Types of OCT are not made on fundus photographs here.
    moved = table[(table["perturbation"] == "oct_row_motion") & (table["quantity"] == "mean drop")].iloc[0]
    assert pd.isna(moved["own"]) and "on glaucoma_disc under oct_row_motion" in moved["differs"]
    brain = _row(table, dataset="brain_tumour", precision="printed")
    assert "not whole" not in brain["differs"] and "mean of all six strategies" in brain["differs"]
    disc = _row(table, dataset="glaucoma_disc", precision="printed")
    missing = "oct_shadow, oct_blink, oct_row_motion, oct_defocus, oct_speckle"
    assert f"glaucoma_disc not whole: {missing}" in disc["differs"]
    for changed, why in (
        ({"stand_ins": ["sam_med2d+paper_lora"]}, "not in this study: sam_med2d+paper_lora"),
        ({"stand_ins": ["kvasir"]}, "not in this study: kvasir"),
    ):
        part = build(spec.model_copy(update=changed), frame)
        lora = _row(part, quantity="mean drop", model="sam_med2d", strategy="lora", dataset="mean of data sets")
        assert pd.isna(lora["own"]) and lora["differs"] == why
    lonely = build(spec, frame[frame["run"] != "sam_med2d+paper_lora"])
    assert _row(lonely, model="sam_med2d", strategy="lora", quantity="clean")["differs"].startswith(
        "no scores of sam_med2d"
    )
    shown = display(spec, table)
    assert shown.loc[shown["Strategy"] == "lora", "Published"].iloc[0] == "0.048 (printed)"
    assert remarks(spec, table) == []


@pytest.mark.parametrize("study", ["medfm_robust_vlm", "sure_vqa", "robustmedclip"])
def test_numbers_that_cannot_be_repeated_say_why(study: str) -> None:
    spec = table_spec(load_project(Path(f"config/{study}.yaml")))
    table = build(spec, _no_scores())
    assert len(table) and table["own"].isna().all() and table["differs"].str.contains("not published").all()
    assert remarks(spec, table) == ["Nothing here is of the same models and data as a published number."]


def _no_scores() -> pd.DataFrame:
    names = ["dataset", "run", "sample_id", "group_id", "perturbation", "level", "value"]
    return pd.DataFrame(columns=[*names, "object_id", "metric", "status", "seed"])


@pytest.mark.parametrize("study", ["config", "ci"])
def test_a_study_that_no_number_belongs_to_says_so(study: str) -> None:
    spec = table_spec(load_project(Path(f"config/{study}.yaml")))
    table = build(spec, _no_scores())
    assert table["differs"].tolist() == [NOTHING_BELONGS] and table["published"].isna().all()
    assert remarks(spec, table)[1].startswith("Stand-ins are never beside published numbers: ")
    assert set(table.columns) == set(build(_of_ovqa(), _no_scores()).columns)
    assert display(spec, table)["Published"].tolist() == ["\N{EN DASH}"]


def _of_ovqa() -> TableSpec:
    return table_spec(load_project(Path("config/sure_vqa.yaml")))


def test_units_are_one_and_a_changed_file_changes_the_code() -> None:
    assert hashlib.sha256(NUMBERS.read_bytes()).hexdigest() == SHA256
    written = pd.read_csv(NUMBERS, keep_default_na=False)
    for one, row in zip(published_numbers(), written.to_dict("records"), strict=True):
        per_cent = row["unit"] == "percent"
        assert one.value == pytest.approx(row["value"] / 100 if per_cent else row["value"])
        assert one.unit == ("share" if per_cent else row["unit"])
        assert one.unit != "share" or 0 < one.value < 1
    assert set(written["unit"]) == {"share", "percent", "percent of CLIP", "correlation", "count"}


def test_every_number_is_of_cards_that_there_are() -> None:
    cards = {kind: {path.stem for path in (ROOT / "config" / kind).glob("*.yaml")} for kind in ("models", "datasets")}
    unnamed = {"", "all models", "medical models", "tuned models", "mean of modalities"}
    named: list[PublishedNumber] = list(published_numbers())
    assert {one for number in named for one in models_of(number)} - unnamed <= cards["models"]
    assert {one for number in named for one in datasets_of(number)} - unnamed <= cards["datasets"]
    strategies = {path.stem for path in (ROOT / "config/strategies").glob("*.yaml")}
    assert {f"paper_{one}" for one in STRATEGIES} <= strategies
