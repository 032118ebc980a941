"""Every table against numbers worked out by hand."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest

from medstress.errors import MedstressError
from medstress.names import TableName
from medstress.records import ScoreRow, write_rows
from medstress.score.robustness import read_scores
from medstress.table_spec import TableSpec
from medstress.tables import (
    calibration,
    segmentation_levels,
    segmentation_main,
    segmentation_perturbations,
    segmentation_strategies,
    trainable_parameters,
)
from medstress.tables.missing import FEWER
from medstress.tables.registry import TABLES
from medstress.tables.write import read_training, write_table

MakeSpec = Callable[..., TableSpec]
MakeScore = Callable[..., ScoreRow]
PATIENTS = ("a", "b", "c", "d", "e")
UNMOVED = ("segmentation_adversarial", "segmentation_transfer", "segmentation_prompts")


def frame_of(tmp_path: Path, rows: list[ScoreRow]) -> pd.DataFrame:
    write_rows(tmp_path / "scores.parquet", ScoreRow, rows)
    return read_scores([tmp_path / "scores.parquet"])


@pytest.fixture
def rows(make_score: MakeScore) -> list[ScoreRow]:
    """Five patients with one object each; the net loses .1 a level of noise and .3 under a turn, the box nothing."""
    made = []
    for name in PATIENTS:
        made += [make_score(name, "clean", 0, 0.8), make_score(name, "clean", 0, 0.7, run="box")]
        for level in (1, 2):
            made += [
                make_score(name, "gaussian_noise", level, 0.8 - 0.1 * level),
                make_score(name, "rotation", level, 0.5),
                make_score(name, "gaussian_noise", level, 0.7, run="box"),
                make_score(name, "rotation", level, 0.7, run="box"),
            ]
    return made


@pytest.fixture
def spec(make_spec: MakeSpec) -> TableSpec:
    return make_spec(datasets={"many": "Many patients"}, metrics=["iou"])


def cell(table: pd.DataFrame, **keys: object) -> pd.Series:
    chosen = table[(table[list(keys)] == list(keys.values())).all(axis=1)]
    assert len(chosen) == 1
    return chosen.iloc[0]


def changed(rows: list[ScoreRow], new: ScoreRow) -> list[ScoreRow]:
    def key(row: ScoreRow) -> tuple[object, ...]:
        return row.run, row.sample_id, row.perturbation, row.level, row.metric

    assert sum(key(row) == key(new) for row in rows) == 1
    return [new if key(row) == key(new) else row for row in rows]


def test_names_are_those_of_the_configuration() -> None:
    assert list(TABLES) == list(get_args(TableName))
    for name, entry in TABLES.items():
        module = import_module(entry.module)
        assert module.TITLE
        assert module.CAPTION
        # Readers are told that a moved object is scored on what is left of it; attacks and prompts move none.
        moves = entry.reads == ("scores",) and name not in UNMOVED and entry.task == "segmentation"
        assert ("only pixels that still show the scene" in module.CAPTION) == moves


def test_main(tmp_path: Path, spec: TableSpec, rows: list[ScoreRow]) -> None:
    table = segmentation_main.build(spec, frame_of(tmp_path, rows))
    net = cell(table, run="net")
    assert (net["n_objects"], net["n_groups"], net["group_unit"], net["n_pairs"]) == (5, 5, "patient", 20)
    assert net["iou_clean"] == pytest.approx(0.8)
    # Four cells an object: 0.7, 0.6, 0.5, 0.5.
    assert net["iou_perturbed"] == pytest.approx(0.575)
    assert net["iou_drop"] == pytest.approx(0.225)
    assert net["iou_kept"] == pytest.approx(0.575 / 0.8)
    # Every patient is alike, so resampling patients changes nothing.
    assert (net["iou_drop_low"], net["iou_drop_high"]) == (pytest.approx(0.225), pytest.approx(0.225))
    assert net["interval"] == "95% bootstrap"
    assert (net["beats_baselines"], cell(table, run="box")["beats_baselines"]) == ("yes", "baseline")


def test_main_leaves_out_and_counts(
    tmp_path: Path, spec: TableSpec, rows: list[ScoreRow], make_score: MakeScore
) -> None:
    for new in (
        make_score("a", "gaussian_noise", 2, 0.0, "unreachable"),
        make_score("b", "rotation", 1, None, "object_lost"),
        make_score("c", "rotation", 1, None, "error"),
        make_score("d", "gaussian_noise", 1, 0.0, "empty"),
    ):
        rows = changed(rows, new)
    net = cell(segmentation_main.build(spec, frame_of(tmp_path, rows)), run="net")
    counts = {name: net[name] for name in ("n_unreachable", "n_object_lost", "n_failed", "n_empty", "n_pairs")}
    assert counts == {"n_unreachable": 1, "n_object_lost": 1, "n_failed": 1, "n_empty": 1, "n_pairs": 17}
    assert net["iou_perturbed"] == pytest.approx((4 * 0.7 + 0.0 + 4 * 0.6 + 8 * 0.5) / 17)


def test_main_few_groups(tmp_path: Path, spec: TableSpec, rows: list[ScoreRow]) -> None:
    table = segmentation_main.build(spec, frame_of(tmp_path, [row for row in rows if row.group_id != "p-a"]))
    net = cell(table, run="net")
    assert net["n_groups"] == 4
    assert pd.isna(net["iou_clean_low"])
    assert net["iou_clean"] == pytest.approx(0.8)
    assert net["interval"] == "few groups"
    assert segmentation_main.display(spec, table)["Clean IoU"].tolist() == ["0.700 (few groups)", "0.800 (few groups)"]


def test_main_marks_what_does_not_beat_the_baselines(
    tmp_path: Path, spec: TableSpec, rows: list[ScoreRow], make_score: MakeScore
) -> None:
    for name in PATIENTS:
        rows = changed(rows, make_score(name, "clean", 0, 0.7))
    table = segmentation_main.build(spec, frame_of(tmp_path, rows))
    assert cell(table, run="net")["beats_baselines"] == "no"
    assert segmentation_main.display(spec, table)["Beats baselines"].tolist() == ["baseline", "**NO**"]


def test_main_says_what_is_missing(tmp_path: Path, make_spec: MakeSpec, rows: list[ScoreRow]) -> None:
    spec = make_spec(metrics=["iou"])
    present = [row for row in rows if row.run == "net" and (row.perturbation, row.level) != ("rotation", 2)]
    frame = frame_of(tmp_path, present)
    table = segmentation_main.build(spec, frame)
    assert len(table) == 4
    absent = cell(table, dataset="few", run="box")
    assert absent["n_objects"] == 0
    assert pd.isna(absent["iou_clean"])
    assert pd.isna(absent["interval"])
    # Without the baseline's scores nothing can be said.
    assert pd.isna(cell(table, dataset="many", run="net")["beats_baselines"])
    assert segmentation_main.notes(spec, frame) == [
        "dice was not scored.",
        "hd95 was not scored.",
        "nsd was not scored.",
        "Many patients, Box_fill: no scores.",
        "Many patients, Net: no iou for rotation, level 2.",
        "Few slabs, Box_fill; Net: no scores.",
        "To fill: `snakemake results/toy/scores/box/many.parquet results/toy/scores/{box,net}/few.parquet "
        "--profile local --configfile STUDY.yaml`.",
        "To fill: `snakemake results/toy/scores/net/many.parquet --forcerun results/toy/predictions/net/many.parquet "
        "--profile local --configfile STUDY.yaml`.",
        FEWER,
    ]


def test_perturbations(tmp_path: Path, spec: TableSpec, rows: list[ScoreRow], make_score: MakeScore) -> None:
    for name in PATIENTS:
        for level, value in [(1, 0.75), (2, 0.5)]:
            rows.append(make_score(name, "jpeg", level, value))
    wider = spec.model_copy(update={"perturbations": ["gaussian_noise", "jpeg", "rotation"]})
    table = segmentation_perturbations.build(wider, frame_of(tmp_path, rows))
    noise, jpeg, turn = (cell(table, run="net", perturbation=name) for name in ("gaussian_noise", "jpeg", "rotation"))
    assert (noise["drop"], jpeg["drop"], turn["drop"]) == (
        pytest.approx(0.15),
        pytest.approx(0.175),
        pytest.approx(0.3),
    )
    assert (noise["n_pairs"], noise["n_objects"], noise["n_groups"]) == (10, 5, 5)
    # Types that move pixels are ranked apart.
    assert (jpeg["rank"], noise["rank"], turn["rank"]) == (1, 2, 1)
    assert turn["scale"] == "table"
    shown = segmentation_perturbations.display(wider, table)
    assert shown["Perturbation"].tolist() == ["gaussian noise", "jpeg", "rotation†"]
    assert shown["Net: IoU drop"].tolist()[0] == "0.150 [0.150, 0.150] #2"
    assert shown["Net: IoU drop"].tolist()[1] == "0.175 [0.175, 0.175] #1"
    assert shown["Box_fill: IoU drop"].tolist()[1] == "\N{EN DASH}"


def test_ranks_do_not_tell_overlapping_types_apart(tmp_path: Path, spec: TableSpec, make_score: MakeScore) -> None:
    rows = []
    kinds = {"gaussian_noise": (0.1, 0.02), "jpeg": (0.12, 0.02), "speckle": (0.5, 0.02)}
    for place, name in enumerate(PATIENTS):
        rows.append(make_score(name, "clean", 0, 0.8))
        for kind, (drop, spread) in kinds.items():
            rows.append(make_score(name, kind, 1, 0.8 - drop + spread * (place - 2)))
    wider = spec.model_copy(update={"perturbations": list(kinds), "levels": [1]})
    ranks = segmentation_perturbations.build(wider, frame_of(tmp_path, rows)).set_index("perturbation")["rank"]
    assert ranks.to_dict() == {"speckle": 1, "jpeg": 2, "gaussian_noise": 2}
    # Without intervals nothing is ranked.
    four = segmentation_perturbations.build(wider, frame_of(tmp_path, [row for row in rows if row.group_id != "p-a"]))
    assert four["rank"].isna().all()
    shown = segmentation_perturbations.display(wider, four)["Net: IoU drop"]
    assert shown.tolist()[1] == "0.110 (few groups)"


def test_runs_with_one_title_keep_their_columns(
    tmp_path: Path, make_spec: MakeSpec, rows: list[ScoreRow], make_score: MakeScore
) -> None:
    spec = make_spec(datasets={"many": "Many patients"}, metrics=["iou"], runs={"box": "Net", "net": "Net"})
    frame = frame_of(tmp_path, rows)
    shown = segmentation_perturbations.display(spec, segmentation_perturbations.build(spec, frame))
    assert shown["Net (net): IoU drop"].str[:5].tolist() == ["0.150", "0.300"]
    assert shown["Net (box): IoU drop"].str[:5].tolist() == ["0.000", "0.000"]
    for module in (segmentation_main, segmentation_levels):
        assert set(module.display(spec, module.build(spec, frame))["Run"]) == {"Net (box)", "Net (net)"}
    assert "Many patients, Net (box); Net (net): no iou for jpeg, levels 1, 2." in segmentation_main.notes(
        spec.model_copy(update={"perturbations": ["jpeg"]}), frame
    )


SEED_CLEAN = {0: 0.9, 1: 0.8}
LORA = {"runs": {"box": "Box_fill", "net": "Net", "net+lora": "Net + LoRA"}, "scored_on": {"net+lora": ["many"]}}


@pytest.fixture
def adapted(rows: list[ScoreRow], make_score: MakeScore) -> list[ScoreRow]:
    """Also a strategy with two seeds, .9 and .8 on clean images; they lose .1 and .3 under everything."""
    for seed, clean in SEED_CLEAN.items():
        for name in PATIENTS:
            run = f"net+lora@many~seed{seed}"
            rows.append(make_score(name, "clean", 0, clean, run=run, seed=seed))
            for kind in ("gaussian_noise", "rotation"):
                for level in (1, 2):
                    rows.append(make_score(name, kind, level, clean - 0.1 - 0.2 * seed, run=run, seed=seed))
    return rows


def test_strategies(tmp_path: Path, make_spec: MakeSpec, adapted: list[ScoreRow]) -> None:
    spec = make_spec(metrics=["iou"], **LORA)
    table = segmentation_strategies.build(spec, frame_of(tmp_path, adapted))
    # On the other data set no strategy is scored, so it has no rows.
    assert list(zip(table["dataset"], table["run"], strict=True)) == [("many", run) for run in spec.runs]
    lora = cell(table, run="net+lora")
    assert (lora["n_seeds"], lora["n_objects"], lora["n_groups"], lora["n_pairs"]) == (2, 5, 5, 40)
    spread = 0.1 / 2**0.5
    assert (lora["clean"], lora["clean_sd"]) == (pytest.approx(0.85), pytest.approx(spread))
    assert (lora["clean_min"], lora["clean_max"]) == (pytest.approx(0.8), pytest.approx(0.9))
    assert (lora["perturbed"], lora["perturbed_min"]) == (pytest.approx(0.65), pytest.approx(0.5))
    assert (lora["drop"], lora["drop_sd"]) == (pytest.approx(0.2), pytest.approx(2 * spread))
    assert (lora["drop_min"], lora["drop_max"]) == (pytest.approx(0.1), pytest.approx(0.3))
    net = cell(table, run="net")
    assert (net["n_seeds"], net["clean"]) == (1, pytest.approx(0.8))
    assert pd.isna(net["clean_sd"])
    assert table["beats_baselines"].tolist() == ["baseline", "yes", "yes"]
    shown = segmentation_strategies.display(spec, table)
    assert shown["Clean IoU"].tolist() == ["0.700", "0.800", "0.850 ± 0.071"]
    assert shown["IoU drop"].tolist()[2] == "**0.200 ± 0.141**"
    assert shown["Objects"].tolist()[2] == "5 (5 patients)"


def test_a_seed_weighs_the_same_however_much_it_answered(
    tmp_path: Path, make_spec: MakeSpec, adapted: list[ScoreRow], make_score: MakeScore
) -> None:
    run = "net+lora@many~seed1"
    for name in PATIENTS[1:]:
        adapted = changed(adapted, make_score(name, "clean", 0, None, "error", run=run, seed=1))
    adapted = changed(adapted, make_score("a", "rotation", 1, None, "object_lost", run=run, seed=1))
    lora = cell(
        segmentation_strategies.build(make_spec(metrics=["iou"], **LORA), frame_of(tmp_path, adapted)), run="net+lora"
    )
    assert (lora["clean"], lora["drop"]) == (pytest.approx(0.85), pytest.approx(0.2))
    assert (lora["n_pairs"], lora["n_failed"], lora["n_object_lost"]) == (20 + 3, 4, 1)


def test_strategies_that_do_not_beat_the_baselines(
    tmp_path: Path, make_spec: MakeSpec, adapted: list[ScoreRow], make_score: MakeScore
) -> None:
    for name in PATIENTS:
        adapted = changed(adapted, make_score(name, "clean", 0, 0.85, run="box"))
    spec = make_spec(metrics=["iou"], **LORA)
    table = segmentation_strategies.build(spec, frame_of(tmp_path, adapted))
    # A tie is no win.
    assert table["beats_baselines"].tolist() == ["baseline", "no", "no"]
    assert segmentation_strategies.display(spec, table)["Beats baselines"].tolist() == ["baseline", "**NO**", "**NO**"]
    alone = make_spec(metrics=["iou"], baselines=[], **LORA)
    table = segmentation_strategies.build(alone, frame_of(tmp_path, adapted))
    assert table["beats_baselines"].isna().all()
    assert "The study has no baseline, so no run is compared with one." in segmentation_strategies.notes(
        alone, frame_of(tmp_path, adapted)
    )


def test_distances_of_strategies(tmp_path: Path, make_spec: MakeSpec, make_score: MakeScore) -> None:
    rows = []
    for run, clean in [("box", 3.0), ("net", 4.0), ("net+lora@many~seed0", 2.0)]:
        rows += [make_score("a", "clean", 0, clean, run=run, metric="hd95")]
        rows += [make_score("a", "jpeg", 1, clean + 1, run=run, metric="hd95")]
    spec = make_spec(metrics=["hd95"], perturbations=["jpeg"], levels=[1], **LORA)
    table = segmentation_strategies.build(spec, frame_of(tmp_path, rows))
    assert table["drop"].tolist() == [1, 1, 1]
    assert table["beats_baselines"].tolist() == ["baseline", "no", "yes"]
    assert segmentation_strategies.display(spec, table)["HD95 rise"].tolist() == ["1.0"] * 3


def test_a_study_without_strategies_is_told(tmp_path: Path, spec: TableSpec, rows: list[ScoreRow]) -> None:
    with pytest.raises(MedstressError, match="the study has no run with a strategy"):
        segmentation_strategies.build(spec, frame_of(tmp_path, rows))


def test_trainable_parameters(toy, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    frame = read_training(toy.sources["training"][::-1])
    table = trainable_parameters.build(toy.spec, frame)
    assert table["run"].tolist() == ["net+lora"] * 2
    assert table["seed"].tolist() == [0, 1]
    assert table["share"].tolist() == [1_500 / 120_000] * 2
    # The kept step is the second look.
    assert table["val_before"].round(12).tolist() == [0.5, 0.6]
    assert table["val_kept"].round(12).tolist() == [0.6, 0.7]
    shown = trainable_parameters.display(toy.spec, table).iloc[1]
    assert shown[["Run", "Trained on", "Seed", "Trained", "All", "Share", "Kept step"]].tolist() == [
        "Net + LoRA",
        "Many patients",
        "1",
        "1,500",
        "120,000",
        "1.2%",
        "10",
    ]
    assert trainable_parameters.notes(toy.spec, frame) == []
    names = {dataset: [f"net+lora@{dataset}~seed{seed}" for seed in (0, 1)] for dataset in ("many", "few")}
    wider = toy.spec.model_copy(update={"scored_on": {"net+lora": ["many", "few"]}, "members": {"net+lora": names}})
    lacking = "Net + LoRA on Few slabs: no training record of seed 0, 1."
    assert trainable_parameters.notes(wider, frame) == [
        lacking,
        "To fill: `snakemake results/toy/checkpoints/{net+lora@few~seed0,net+lora@few~seed1}/training.json "
        "--profile local --configfile STUDY.yaml`.",
    ]
    # Other budgets make strategies incomparable.
    longer = frame.assign(planned_steps=[20, 40])
    said = "equal budgets on Many patients: what is compared was trained for 20 steps of 2, 40 steps of 2 images."
    assert trainable_parameters.notes(toy.spec, longer) == [said]
    # The note is in the file that people read.
    outputs = {kind: tmp_path / f"table.{kind}" for kind in ("csv", "md", "tex", "parquet")}
    write_table(wider, "trainable_parameters", toy.sources, outputs)
    text = outputs["md"].read_text()
    assert f"* {lacking}" in text and text.count("STUDY.yaml is the study's configuration file.") == 1


def test_levels(tmp_path: Path, spec: TableSpec, rows: list[ScoreRow]) -> None:
    table = segmentation_levels.build(spec, frame_of(tmp_path, rows))
    net = table[table["run"] == "net"]
    assert list(zip(net["scale"], net["level"], strict=True)) == [
        ("clean", 0),
        ("ssim", 1),
        ("ssim", 2),
        ("table", 1),
        ("table", 2),
    ]
    assert net["iou"].round(12).tolist() == [0.8, 0.7, 0.6, 0.5, 0.5]
    assert net["iou_drop"].round(12).tolist()[1:] == [0.1, 0.2, 0.3, 0.3]
    assert pd.isna(net["iou_drop"].iloc[0])
    assert net["n_values"].tolist() == [5, 5, 5, 5, 5]


def test_distances_rise(tmp_path: Path, make_spec: MakeSpec, make_score: MakeScore) -> None:
    spec = make_spec(datasets={"many": "Many"}, metrics=["hd95"], perturbations=["jpeg"], levels=[1])
    rows = []
    for name in PATIENTS:
        for run, clean in [("net", 2.0), ("box", 3.0)]:
            rows.append(make_score(name, "clean", 0, clean, run=run, metric="hd95"))
            rows.append(make_score(name, "jpeg", 1, 6.0, run=run, metric="hd95"))
    table = segmentation_main.build(spec, frame_of(tmp_path, rows))
    net = cell(table, run="net")
    assert net["hd95_drop"] == 4.0
    assert "hd95_kept" not in table.columns
    assert net["beats_baselines"] == "yes"
    assert segmentation_main.display(spec, table)["HD95 rise"].tolist()[1] == "4.0 [4.0, 4.0]"


def test_calibration(make_spec: MakeSpec) -> None:
    def image(name: str, level: int, ssim: float, status: str, strength: float) -> dict[str, object]:
        low, high = {1: (0.9, 0.98), 2: (0.8, 0.89)}[level]
        return {
            "dataset": "many",
            "perturbation": "gaussian_noise",
            "image_id": name,
            "level": level,
            "strength": strength,
            "ssim": ssim,
            "band_low": low,
            "band_high": high,
            "status": status,
        }

    cells = [
        image("a", 1, 0.94, "in_band", 1.0),
        image("b", 1, 0.92, "in_band", 2.0),
        image("c", 1, 0.99, "in_band", 6.0),  # says that it is in its band, and is not
        image("a", 2, 0.85, "in_band", 5.0),
        image("b", 2, 0.93, "unreachable", 9.0),
        image("c", 2, 0.80, "in_band", 7.0),
    ]
    by_table = [
        {**item, "perturbation": "rotation", "status": "table", "band_low": None, "band_high": None} for item in cells
    ]
    spec = make_spec(datasets={"many": "Many patients"})
    frame = pd.DataFrame(cells + by_table)
    table = calibration.build(spec, frame)
    noise, turn = cell(table, perturbation="gaussian_noise"), cell(table, perturbation="rotation")
    assert (noise["n_images"], noise["n_unreachable"]) == (3, 1)
    assert (noise["reach_1"], noise["reach_2"], noise["reach"]) == (1.0, pytest.approx(2 / 3), pytest.approx(5 / 6))
    assert noise["in_band_share"] == pytest.approx(4 / 5)
    assert noise["ssim_1"] == pytest.approx(0.95)
    assert (noise["strength_1"], noise["strength_2"]) == (2.0, 7.0)
    assert turn["scale"] == "table"
    assert pd.isna(turn["reach_1"])
    assert pd.isna(turn["in_band_share"])
    shown = calibration.display(spec, table)
    assert shown["Reach 2"].tolist() == ["67%", "table"]
    assert calibration.notes(spec, frame) == []
    assert calibration.notes(make_spec(), frame) == [
        "Few slabs: no images for gaussian_noise, rotation, levels 1, 2.",
        "To fill: `snakemake results/toy/perturbed/few/{gaussian_noise,rotation}.parquet --forcerun "
        "results/toy/perturbed/few/{gaussian_noise,rotation}.parquet --profile local --configfile STUDY.yaml`.",
    ]
