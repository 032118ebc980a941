"""Moved prompts, the worst group, the costliest types and the published layouts, against numbers worked out by hand."""

from pathlib import Path

import pandas as pd
import pytest

from medstress.errors import MedstressError
from medstress.perturb.registry import PERTURBATIONS
from medstress.records import ScoreRow, write_rows
from medstress.score.robustness import read_scores
from medstress.tables import (
    published_by_level,
    published_summary,
    segmentation_groups,
    segmentation_main,
    segmentation_prompts,
    segmentation_top,
)
from medstress.tables.published_layout import NAMES
from tests.tables.test_tables_by_hand import MakeScore, MakeSpec, cell, changed

PATIENTS = ("a", "b", "c", "d", "e")
SHARES = [0.05, 0.1, 0.2, 0.3, 0.5]


def frame_of(folder: Path, rows: list[ScoreRow]) -> pd.DataFrame:
    write_rows(folder / "scores.parquet", ScoreRow, rows)
    return read_scores([folder / "scores.parquet"])


@pytest.fixture
def rows(make_score: MakeScore) -> list[ScoreRow]:
    """Five patients: noise takes .1 a level of the net, jpeg .3, a grown box .02 a level, fgsm .4; Dice is .1 more."""
    made = []
    for name in PATIENTS:
        for metric, more in (("iou", 0.0), ("dice", 0.1)):
            made.append(make_score(name, "clean", 0, 0.8 + more, metric=metric))
            for level in (1, 2):
                cells = {"gaussian_noise": 0.1 * level, "jpeg": 0.3, "grown": 0.02 * level, "fgsm": 0.4}
                made += [
                    make_score(name, kind, level, 0.8 + more - drop, metric=metric) for kind, drop in cells.items()
                ]
    return made


def spec_with(make_spec: MakeSpec, **changes: object):  # type: ignore[no-untyped-def]
    given = {
        "datasets": {"many": "Many patients"},
        "runs": {"net": "Net"},
        "baselines": [],
        "perturbations": ["gaussian_noise", "jpeg"],
        "fixed": [],
        "metrics": ["iou", "dice"],
        "prompts": {"grown": SHARES},
        "attacks": {"fgsm": [2.0, 4.0, 6.0, 8.0, 10.0]},
    }
    return make_spec(**(given | changes))


def test_a_moved_prompt_is_paired_with_the_right_one(tmp_path, make_spec, rows):
    spec = spec_with(make_spec)
    table = segmentation_prompts.build(spec, frame_of(tmp_path, rows))
    assert list(zip(table["prompt"], table["level"], table["share"], strict=True)) == [
        ("right", 0, 0.0),
        ("grown", 1, 0.05),
        ("grown", 2, 0.1),
    ]
    assert table["score"].round(12).tolist() == [0.8, 0.78, 0.76]
    assert table["drop"].round(12).tolist()[1:] == [0.02, 0.04]
    assert table["drop_low"].round(12).tolist()[1:] == [0.02, 0.04]
    assert segmentation_prompts.display(spec, table)["IoU"].tolist()[0] == "0.800 [0.800, 0.800]"
    frame = frame_of(tmp_path, rows)
    assert segmentation_prompts.notes(spec, frame) == []
    lacking = segmentation_prompts.notes(spec, frame[frame["level"] < 2])
    assert lacking[0] == "Many patients, Net: no iou for grown, level 2."
    assert lacking[1].startswith("To fill: `snakemake results/toy/scores/net/many.parquet --forcerun ")


def test_a_study_without_moved_prompts_is_told(tmp_path, make_spec, rows):
    with pytest.raises(MedstressError, match="the study has no prompts"):
        segmentation_prompts.build(spec_with(make_spec, prompts={}), frame_of(tmp_path, rows))


def test_delta_tp_is_unpaired(tmp_path, make_spec, make_score, rows):
    spec = spec_with(make_spec)
    perturbed = [row for row in rows if row.perturbation not in ("grown", "fgsm")]
    # One patient is better than the others and loses its perturbed images.
    for metric in ("iou", "dice"):
        perturbed = changed(perturbed, make_score("a", "clean", 0, 1.0, metric=metric))
        for kind in ("gaussian_noise", "jpeg"):
            for level in (1, 2):
                perturbed = changed(perturbed, make_score("a", kind, level, None, "object_lost", metric=metric))
    net = cell(segmentation_main.build(spec, frame_of(tmp_path, perturbed)), run="net")
    assert net["iou_drop"] == pytest.approx((0.1 + 0.2 + 0.3 + 0.3) / 4)
    assert net["iou_clean"] - net["iou_delta_tp"] == pytest.approx(0.8 - 0.225)
    assert net["iou_delta_tp"] == pytest.approx(0.84 - 0.575)


def test_the_costliest_types(tmp_path, make_spec, make_score, rows):
    spec = spec_with(
        make_spec,
        datasets={"many": "Many patients", "few": "Few slabs"},
        perturbations=["gaussian_noise", "jpeg", "hair", "path_stain"],
        medical=["hair", "path_stain"],
        fixed=["jpeg"],
        fitting={"gaussian_noise": ["many"], "hair": ["few"], "path_stain": ["few"]},
    )
    # On the other data set jpeg costs .1 and a type of its modality .25; nothing was scored of the last.
    for level, drops in ((0, {"clean": 0.0}), (1, {"jpeg": 0.1, "hair": 0.25}), (2, {"jpeg": 0.1, "hair": 0.25})):
        rows += [make_score("x", kind, level, 0.8 - drop, dataset="few") for kind, drop in drops.items()]
    table = segmentation_top.build(spec, frame_of(tmp_path, rows))
    assert table["perturbation"].tolist() == ["hair", "jpeg", "gaussian_noise", "path_stain"]
    assert pd.isna(table["rank"][3])
    assert pd.isna(table["drop"][3])
    table = table.head(3)
    assert table["rank"].tolist() == [1, 2, 3]
    # Data sets weigh the same, although one has five patients and the other has one.
    assert table["drop"].round(12).tolist() == [0.25, 0.2, 0.15]
    assert (table["kind"].tolist(), table["n_datasets"].tolist()) == (["medical", "general", "general"], [1, 2, 1])
    assert (table["drop_min"].round(12)[1], table["drop_max"].round(12)[1], table["max_dataset"][1]) == (
        0.1,
        0.3,
        "many",
    )
    shown = segmentation_top.display(spec, table)
    assert shown["Perturbation"].tolist() == ["hair", "jpeg†", "gaussian noise"]
    assert shown["Kind"].tolist() == ["medical (of 1)", "general (of 2)", "general (of 2)"]


def test_only_fifteen_types_are_shown_and_baselines_do_not_count(tmp_path, make_spec, make_score):
    kinds = [f"type_{index:02}" for index in range(20)]
    rows = [make_score("a", "clean", 0, 0.9, run=run) for run in ("net", "box")]
    rows += [make_score("a", kind, 1, 0.9 - 0.01 * index) for index, kind in enumerate(kinds)]
    rows += [make_score("a", kind, 1, 0.0, run="box") for kind in kinds]
    changes = {"runs": {"box": "Box", "net": "Net"}, "baselines": ["box"], "perturbations": kinds, "levels": [1]}
    spec = spec_with(make_spec, **changes)
    table = segmentation_top.build(spec, frame_of(tmp_path, rows))
    assert (len(table), table["drop"].max()) == (20, pytest.approx(0.19))
    assert segmentation_top.display(spec, table)["Perturbation"].tolist() == [
        kind.replace("_", " ") for kind in kinds[:4:-1]
    ]


def test_the_worst_group(tmp_path, make_spec, make_score, rows):
    rows = changed(rows, make_score("d", "clean", 0, 0.5))
    rows = changed(rows, make_score("b", "jpeg", 2, 0.0, "empty"))
    spec = spec_with(make_spec)
    frame = frame_of(tmp_path, [row for row in rows if row.perturbation not in ("grown", "fgsm")])
    net = cell(segmentation_groups.build(spec, frame), run="net")
    assert (net["clean_group"], net["clean_worst"]) == ("p-d", pytest.approx(0.5))
    assert net["clean_mean"] == pytest.approx(0.74)
    assert (net["perturbed_group"], net["perturbed_worst"]) == ("p-b", pytest.approx((0.7 + 0.6 + 0.5 + 0.0) / 4))
    assert (net["n_groups"], net["n_clean_objects"], net["n_smallest_group"]) == (5, 1, 1)
    assert (net["few_groups"], net["n_empty"]) == ("no", 1)
    shown = segmentation_groups.display(spec, segmentation_groups.build(spec, frame)).iloc[0]
    assert (shown["Groups"], shown["Worst clean"]) == ("5 patients", "0.500 (p-d, 1 object)")
    fewer = segmentation_groups.build(spec, frame[frame["group_id"] != "p-a"])
    assert segmentation_groups.display(spec, fewer)["Groups"].tolist() == ["4 patients (few groups)"]


def test_the_worst_distance_is_the_longest(tmp_path, make_spec, make_score):
    rows = [make_score(name, "clean", 0, value, metric="hd95") for name, value in (("a", 2.0), ("b", 9.0))]
    rows += [make_score(name, "jpeg", 1, 3.0, metric="hd95") for name in "ab"]
    spec = spec_with(make_spec, metrics=["hd95"], perturbations=["jpeg"], levels=[1])
    net = cell(segmentation_groups.build(spec, frame_of(tmp_path, rows)), run="net")
    # Of equal groups the first by name.
    assert (net["clean_group"], net["clean_worst"], net["perturbed_group"]) == ("p-b", 9.0, "p-a")


def test_the_published_summary(tmp_path, make_spec, rows):
    spec = spec_with(make_spec)
    table = published_summary.build(spec, frame_of(tmp_path, rows))
    names = ["Model", "Dataset", "Strategy", "Eval_Type"]
    numbers = ["Corruption_Type", "IoU", "Dice", "IoU_Drop", "Dice_Drop"]
    assert list(table.columns) == names + numbers
    assert table[names].drop_duplicates().values.tolist() == [
        ["net", "many", "pretrained", "perturbation"],
        ["net", "many", "pretrained", "adversarial"],
    ]
    own = table[table["Eval_Type"] == "perturbation"][numbers].values.tolist()
    assert own == [
        ["Clean", 0.8, 0.9, 0.0, 0.0],
        ["compression_artifacts", 0.5, 0.6, 0.3, 0.3],
        ["gaussian_noise", 0.65, 0.75, 0.15, 0.15],
        ["Avg", 0.575, 0.675, 0.225, 0.225],
        ["ΔTP", 0.225, 0.225, 0.225, 0.225],
    ]
    attacked = table[table["Eval_Type"] == "adversarial"]["Corruption_Type"].tolist()
    assert attacked == ["Clean", "fgsm", "Avg", "ΔTP"]
    assert published_summary.display(spec, table)["IoU"].tolist()[:2] == ["0.8000", "0.5000"]


def test_the_published_levels(tmp_path, make_spec, make_score, rows):
    rows += [
        make_score(name, kind, level, 0.75, metric=metric, run="net+lora@many~seed1", seed=1)
        for name in PATIENTS
        for metric in ("iou", "dice")
        for kind, level in (("clean", 0), ("jpeg", 1))
    ]
    spec = spec_with(make_spec, runs={"net": "Net", "net+lora": "Net + LoRA"}, attacks={})
    table = published_by_level.build(spec, frame_of(tmp_path, rows))
    columns = [
        "Model",
        "Dataset",
        "Strategy",
        "Eval_Type",
        "attack_type",
        "level",
        "adversarial_iou",
        "adversarial_dice",
    ]
    assert list(table.columns) == columns
    holes = table[table["adversarial_iou"].isna()]
    assert holes[["Strategy", "attack_type", "level"]].values.tolist() == [
        ["lora", "compression_artifacts", 2],
        ["lora", "gaussian_noise", 1],
        ["lora", "gaussian_noise", 2],
    ]
    table = table.drop(holes.index)
    assert table[table.columns[2:]].values.tolist() == [
        ["pretrained", "perturbation", "compression_artifacts", 1, 0.5, 0.6],
        ["pretrained", "perturbation", "compression_artifacts", 2, 0.5, 0.6],
        ["pretrained", "perturbation", "gaussian_noise", 1, 0.7, 0.8],
        ["pretrained", "perturbation", "gaussian_noise", 2, 0.6, 0.7],
        ["lora", "perturbation", "compression_artifacts", 1, 0.75, 0.75],
    ]


def test_published_layouts_need_both_scores(tmp_path, make_spec, rows):
    with pytest.raises(MedstressError, match="dice was not scored"):
        published_summary.build(spec_with(make_spec, metrics=["iou"]), frame_of(tmp_path, rows))


def test_no_two_types_share_a_published_name():
    assert set(NAMES) <= set(PERTURBATIONS)
    called = [NAMES.get(name, name) for name in PERTURBATIONS]
    assert len(set(called)) == len(called)
