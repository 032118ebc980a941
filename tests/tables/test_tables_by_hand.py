"""Every table against numbers worked out by hand."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest

from medstress.config import TableName, TableSpec
from medstress.records import ScoreRow, write_rows
from medstress.score.robustness import read_scores
from medstress.tables import calibration, segmentation_levels, segmentation_main, segmentation_perturbations
from medstress.tables.registry import TABLES

MakeSpec = Callable[..., TableSpec]
MakeScore = Callable[..., ScoreRow]
PATIENTS = ("a", "b", "c", "d", "e")


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
    for entry in TABLES.values():
        module = import_module(entry.module)
        assert module.TITLE
        assert module.CAPTION


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
        "Few slabs, Box_fill: no scores.",
        "Few slabs, Net: no scores.",
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
    assert shown["Box_fill: IoU drop"].tolist()[1] == "\N{EN DASH}"


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
        "Few slabs: no images for gaussian_noise, levels 1, 2.",
        "Few slabs: no images for rotation, levels 1, 2.",
    ]
