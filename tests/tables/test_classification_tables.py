"""The tables of classifiers against numbers worked out by hand, and their scores in published layouts."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from medstress.cli import main
from medstress.config import ClassScoring, Statistics
from medstress.errors import MedstressError
from medstress.exports.results import export_results
from medstress.figures.write import write_figure
from medstress.records import ScoreRow, write_rows
from medstress.score.alexnet import ALEXNET
from medstress.score.robustness import read_scores
from medstress.table_spec import TableSpec
from medstress.tables import classification_corruptions, classification_fewshot, classification_main
from medstress.tables.write import write_table

# Six patients; images of three are of class a, of three of class b.
PATIENTS = {"p0": "a", "p1": "a", "p2": "a", "p3": "b", "p4": "b", "p5": "b"}
CELLS = [("clean", 0), *((kind, level) for kind in ("jpeg", "pixelate") for level in (1, 2))]
FORMATS = ("csv", "md", "tex", "parquet")
DASH = "\N{EN DASH}"


def spec_of(**changes: Any) -> TableSpec:
    values: dict[str, Any] = {
        "study": "toy",
        "datasets": {"cells": "Cells"},
        "split_units": {"cells": "patient", "lungs": "image", "masks": "patient"},
        "runs": {"majority": "Majority", "clip": "CLIP", "net": "Net"},
        "baselines": ["majority"],
        "perturbations": ["jpeg", "pixelate"],
        "levels": [1, 2],
        "tasks": {"cells": "classification", "lungs": "classification"},
        "metrics": ["iou"],
        "statistics": Statistics(resamples=200),
        "classification": ClassScoring(metrics=["accuracy"], normaliser="clip"),
    }
    return TableSpec.model_validate(values | changes)


def row_of(
    run: str, patient: str, cell: tuple[str, int], value: float | None, status: str = "ok", **changes: Any
) -> ScoreRow:
    given = {"dataset": "cells", "metric": "accuracy", "seed": 0, "task": "classification"} | changes
    return ScoreRow(
        task=given["task"],
        run=run,
        seed=given["seed"],
        dataset=given["dataset"],
        subset="iid",
        sample_id=f"s-{patient}",
        group_id=patient,
        object_id=PATIENTS[patient],
        perturbation=cell[0],
        level=cell[1],
        metric=given["metric"],
        value=value,
        status=status,
    )


# How many of the patients, from the first, each run is wrong on: clean, jpeg 1 and 2, pixelate 1 and 2.
WRONG = {"majority": (3, 3, 3, 3, 3), "clip": (2, 3, 3, 4, 4), "net": (1, 2, 4, 2, 2)}


def scored(run: str, wrong: tuple[int, ...], **changes: Any) -> list[ScoreRow]:
    return [
        row_of(run, patient, cell, float(place >= count), **changes)
        for cell, count in zip(CELLS, wrong, strict=True)
        for place, patient in enumerate(PATIENTS)
    ]


@pytest.fixture
def rows() -> list[ScoreRow]:
    return [row for run, wrong in WRONG.items() for row in scored(run, wrong)]


def frame_of(folder: Path, rows: list[ScoreRow]) -> pd.DataFrame:
    write_rows(folder / "scores.parquet", ScoreRow, rows)
    return read_scores([folder / "scores.parquet"])


def classifying(**changes: Any) -> TableSpec:
    return spec_of(**changes).of_task("classification")


def cell(table: pd.DataFrame, **keys: object) -> pd.Series:
    chosen = table[(table[list(keys)] == list(keys.values())).all(axis=1)]
    assert len(chosen) == 1
    return chosen.iloc[0]


def test_main(tmp_path: Path, rows: list[ScoreRow]) -> None:
    spec = classifying()
    table = classification_main.build(spec, frame_of(tmp_path, rows))
    clip, net = cell(table, run="clip"), cell(table, run="net")
    assert (net["n_samples"], net["n_groups"], net["n_types"]) == (6, 6, 2)
    assert net["accuracy"] == pytest.approx(5 / 6)
    assert net["clean_error"] == pytest.approx(1 / 6)
    assert net["clean_error_relative"] == pytest.approx(50)
    # Types: (2 + 4) / 12 and (2 + 2) / 12 wrong.
    assert net["mean_error"] == pytest.approx((6 + 4) / 24)
    assert net["mce"] == pytest.approx((100 * 6 / 6 + 100 * 4 / 8) / 2)
    # Clean errors off both sides: (1 + 3) / (1 + 1) and (1 + 1) / (2 + 2).
    assert net["rce"] == pytest.approx((200 + 50) / 2)
    assert (net["n_ce_types"], net["n_rce_types"], net["n_be_types"]) == (2, 2, 0)
    assert (clip["mce"], clip["rce"], clip["clean_error_relative"]) == (100, 100, 100)
    # Of six patients a resample may have none that CLIP is wrong on, so its quotients have no interval.
    assert pd.isna(clip["mce_low"])
    assert net["mean_error_low"] < net["mean_error"] < net["mean_error_high"]
    assert (net["worst_class"], net["worst_class_accuracy"]) == ("a", pytest.approx(2 / 3))
    assert table["beats_baselines"].tolist() == ["baseline", "yes", "yes"]
    shown = classification_main.display(spec, table)
    assert shown["Clean error, CLIP = 100"].tolist() == ["150.0", "100.0", "50.0"]
    assert shown["mCE"].tolist()[1] == "100.0"
    assert shown["Worst class"].tolist()[2] == "a 0.667"
    assert shown["Images"].tolist()[0] == "6 (6 patients)"
    assert "BE" not in shown
    assert classification_main.notes(spec, frame_of(tmp_path, rows)) == [
        f"{metric} was not scored." for metric in ("balanced_accuracy", "auroc", "ece", "qwk")
    ]


def test_without_a_normaliser_only_absolute_errors(tmp_path: Path, rows: list[ScoreRow]) -> None:
    spec = classifying(classification=ClassScoring(metrics=["accuracy"]))
    table = classification_main.build(spec, frame_of(tmp_path, rows))
    assert table["mce"].isna().all()
    assert cell(table, run="net")["mean_error"] == pytest.approx(10 / 24)
    shown = classification_main.display(spec, table)
    assert not {"mCE", "rCE", "BE"} & set(shown)


def test_main_leaves_out_and_counts(tmp_path: Path, rows: list[ScoreRow]) -> None:
    def spoilt(row: ScoreRow) -> ScoreRow:
        key = (row.run, row.sample_id, row.perturbation, row.level)
        if key == ("net", "s-p0", "jpeg", 2):
            return row_of("net", "p0", ("jpeg", 2), 0.0, "unreachable")
        return row_of("net", "p1", ("jpeg", 2), None, "error") if key == ("net", "s-p1", "jpeg", 2) else row

    net = cell(classification_main.build(classifying(), frame_of(tmp_path, [spoilt(row) for row in rows])), run="net")
    assert (net["n_unreachable"], net["n_failed"]) == (1, 1)
    # Of jpeg at level 2 two of four are left and wrong.
    assert net["mean_error"] == pytest.approx(((2 / 6 + 2 / 4) / 2 + 2 / 6) / 2)


def test_against_alexnet(tmp_path: Path, rows: list[ScoreRow]) -> None:
    """An answer whose balanced errors are AlexNet's has BE 1, exactly, beside the plain corruption errors."""
    levels = [1, 2, 3, 4, 5]
    published = ALEXNET["pneumoniamnist"]
    types = ["jpeg", "contrast_up"]
    more = []
    for run in WRONG:
        for kind, error in [("clean", published.clean), *((kind, published.types[kind]) for kind in types)]:
            for level in levels if kind != "clean" else [0]:
                for patient in PATIENTS:
                    assert error is not None
                    more.append(row_of(run, patient, (kind, level), 1 - error, metric="balanced_accuracy"))
                    more.append(row_of(run, patient, (kind, level), 0.5))
    spec = classifying(
        perturbations=types,
        levels=levels,
        normalisers={"cells": "pneumoniamnist"},
        classification=ClassScoring(metrics=["accuracy", "balanced_accuracy"], normaliser="clip"),
    )
    frame = frame_of(tmp_path, more)
    table = classification_main.build(spec, frame)
    net = cell(table, run="net")
    assert net["be"] == pytest.approx(1, abs=1e-15)
    assert (net["n_be_types"], net["n_rbe_types"]) == (2, 1)
    assert net["rbe"] == pytest.approx(1, abs=1e-12)
    assert net["error_metric"] == "accuracy"
    assert classification_main.display(spec, table)["BE"].tolist()[0] == "1.000 [1.000, 1.000]"
    notes = classification_main.notes(spec, frame)
    assert "Cells: no rBE of contrast_up: the normaliser's error is less than 0.01 above its clean error." in notes
    assert any(note.startswith("Cells: BE is without pixelate, gaussian_noise, speckle") for note in notes)
    # As the normaliser itself, its errors are what everything is of.
    alone = spec.model_copy(
        update={"classification": ClassScoring(metrics=["accuracy", "balanced_accuracy"], normaliser="alexnet")}
    )
    table = classification_main.build(alone, frame)
    assert cell(table, run="net")["mce"] == cell(table, run="net")["be"]
    assert cell(table, run="net")["error_metric"] == "balanced_accuracy"
    assert "mCE" not in classification_main.display(alone, table)


def test_means_over_data_sets(tmp_path: Path, rows: list[ScoreRow]) -> None:
    rows += [row for run in ("clip", "net") for row in scored(run, WRONG["clip"], dataset="lungs")]
    spec = classifying(datasets={"cells": "Cells", "lungs": "Lungs"}, scored_on={"majority": ["cells"]})
    table = classification_main.build(spec, frame_of(tmp_path, rows))
    everywhere = table[table["dataset"] == classification_main.ALL_DATASETS]
    # The majority class has no scores on the second.
    assert everywhere["run"].tolist() == ["clip", "net"]
    assert everywhere["mce"].tolist() == [100, pytest.approx((75 + 100) / 2)]
    assert everywhere["clean_error_relative"].tolist() == [100, pytest.approx(75)]
    shown = classification_main.display(spec, table)
    assert shown["Data set"].tolist()[-2:] == ["All data sets"] * 2
    assert shown["Images"].tolist()[-1] == DASH


def test_corruptions(tmp_path: Path, rows: list[ScoreRow]) -> None:
    for run, wrong in (("clip", 6), ("net", 5)):
        for level in (1, 2):
            rows += [row_of(run, one, ("pgd", level), float(place >= wrong)) for place, one in enumerate(PATIENTS)]
    spec = classifying(attacks={"pgd": [1, 2, 3, 4, 5]}, attacked=["clip", "net"], attacked_datasets=["cells"])
    frame = frame_of(tmp_path, rows)
    table = classification_corruptions.build(spec, frame)
    assert list(zip(table["run"], table["perturbation"], table["kind"], strict=True)) == [
        ("majority", "jpeg", "corruption"),
        ("majority", "pixelate", "corruption"),
        *(
            (run, *pair)
            for run in ("clip", "net")
            for pair in (("jpeg", "corruption"), ("pixelate", "corruption"), ("pgd", "attack"))
        ),
    ]
    jpeg = cell(table, run="net", perturbation="jpeg")
    assert (jpeg["error_1"], jpeg["error_2"]) == (pytest.approx(2 / 6), pytest.approx(4 / 6))
    assert (jpeg["mean_error"], jpeg["ce"], jpeg["relative_ce"]) == (pytest.approx(0.5), 100, pytest.approx(200))
    # Clean minus corrupted, over both levels: 5/6 less 3/6.
    assert jpeg["drop"] == pytest.approx(2 / 6)
    assert (jpeg["n_samples"], jpeg["n_pairs"], jpeg["n_failed"]) == (6, 12, 0)
    pgd = cell(table, run="net", perturbation="pgd")
    assert pgd["mean_error"] == pytest.approx(5 / 6)
    assert pd.isna(pgd["ce"])
    # Attacks do not enter the mean over types.
    assert cell(classification_main.build(spec, frame), run="net")["mce"] == pytest.approx(75)
    shown = classification_corruptions.display(spec, table)
    assert shown["CE"].tolist()[3] == "100.0"
    assert shown["CE"].tolist()[4] == DASH
    assert "Majority is not attacked: it has no gradients." in classification_corruptions.notes(spec, frame)


def test_a_hole_is_shown_and_said(tmp_path: Path, rows: list[ScoreRow]) -> None:
    spec = classifying()
    frame = frame_of(tmp_path, [row for row in rows if row.perturbation != "pixelate"])
    table = classification_corruptions.build(spec, frame)
    hole = cell(table, run="net", perturbation="pixelate")
    assert (hole["n_samples"], hole["n_pairs"]) == (0, 0)
    assert pd.isna(hole["mean_error"])
    shown = classification_corruptions.display(spec, table)
    assert shown["Mean error"].tolist()[1] == DASH
    net = cell(classification_main.build(spec, frame), run="net")
    assert (net["n_types"], net["mce"]) == (1, 100)
    notes = classification_main.notes(spec, frame)
    assert "Cells, Majority; CLIP; Net: no accuracy for pixelate, levels 1, 2." in notes
    assert "Cells: no CE of pixelate: the normaliser has no errors there." in notes


def test_what_is_undefined_is_said(tmp_path: Path, rows: list[ScoreRow]) -> None:
    spec = classifying(classification=ClassScoring(metrics=["accuracy", "auroc", "qwk"], normaliser="majority"))
    for run in WRONG:
        rows += [row_of(run, one, key, None, "undefined", metric="auroc") for key in CELLS for one in PATIENTS]
    notes = classification_main.notes(spec, frame_of(tmp_path, rows))
    assert "Cells, Net: auroc is undefined in 5 cells." in notes
    # Only grades have a kappa.
    assert not [note for note in notes if "qwk" in note]
    table = classification_main.build(spec, frame_of(tmp_path, rows))
    assert table["auroc"].isna().all()
    assert "AUROC" not in classification_main.display(spec, table)


def test_few_shot(tmp_path: Path, rows: list[ScoreRow]) -> None:
    for seed, wrong in enumerate([(0, 1, 1, 1, 1), (1, 1, 1, 3, 3)]):
        rows += scored(f"net+shots@cells~seed{seed}", wrong, seed=seed)
    spec = classifying(
        runs=spec_of().runs | {"net+shots": "Net + few"},
        scored_on={"net+shots": ["cells"]},
        adapted={"net+shots": "net"},
        few_shot={"net+shots": {"source": "val", "fraction": 0.1}},
    )
    frame = frame_of(tmp_path, rows)
    table = classification_fewshot.build(spec, frame)
    (row,) = table.to_dict("records")
    assert (row["starts_from"], row["few_shot_source"], row["fraction"], row["n_seeds"]) == ("net", "val", 0.1, 2)
    assert row["clean_error"] == pytest.approx(0.5 / 6)
    assert row["clean_error_sd"] == pytest.approx(1 / 6 / 2**0.5)
    assert row["mean_error"] == pytest.approx(1.5 / 6)
    # Seed 0: 2 / 6 and 2 / 8 of CLIP's errors; seed 1: 2 / 6 and 6 / 8.
    assert row["mce"] == pytest.approx(100 * (2 / 6 + (2 / 8 + 6 / 8) / 2) / 2)
    # Clean, 11 of 12 answers are right, and 5 of 6 were; corrupted, 36 of 48 are, and 14 of 24 were.
    assert row["clean_gain"] == pytest.approx(11 / 12 - 5 / 6)
    assert row["corrupted_gain"] == pytest.approx(36 / 48 - 14 / 24)
    assert row["clean_gain_low"] < row["clean_gain"] < row["clean_gain_high"]
    shown = classification_fewshot.display(spec, table).iloc[0]
    assert (shown["Learnt from"], shown["Starts from"], shown["Seeds"]) == ("10% of val", "Net", "2")
    assert shown["Clean error"] == "0.083 ± 0.118"
    assert shown["mCE, CLIP = 100"].startswith("41.7 ±")
    with pytest.raises(MedstressError, match="the study has no adapted classifier"):
        classification_fewshot.build(classifying(), frame)
    # An adapted segmenter is none.
    assert classifying(adapted={"sam+lora": "sam"}).adapted == {}


def test_few_shot_texts(tmp_path: Path, rows: list[ScoreRow]) -> None:
    rows += scored("net+shots@cells~seed0", (0, 1, 1, 1, 1))
    runs = {
        "runs": {"clip": "CLIP", "net": "Net", "net+shots": "Few"},
        "baselines": [],
        "adapted": {"net+shots": "net"},
    }
    for few, text in [({"net+shots": {"shots": 5}}, "5 a class of train"), ({}, "train")]:
        spec = classifying(few_shot=few, **runs)
        table = classification_fewshot.build(spec, frame_of(tmp_path, rows))
        assert classification_fewshot.display(spec, table)["Learnt from"].tolist() == [text]
        # One seed has no spread.
        assert classification_fewshot.display(spec, table)["Clean error"].tolist() == ["0.000"]


MIXED: dict[str, Any] = {
    "datasets": {"masks": "Masks", "cells": "Cells"},
    "runs": {"box": "Box", "clip": "CLIP"},
    "scored_on": {"box": ["masks"], "clip": ["cells"]},
    "baselines": ["box"],
    "perturbations": ["jpeg", "pixelate", "rotation"],
    "fitting": {"rotation": ["masks"]},
    "attacked": ["box"],
    "attacked_datasets": ["masks", "cells"],
}


def test_a_study_of_both_tasks_is_cut_in_two() -> None:
    spec = spec_of(**MIXED)
    ours, theirs = spec.of_task("classification"), spec.of_task("segmentation")
    assert spec.of_task(None) is spec
    assert (list(ours.datasets), list(theirs.datasets)) == (["cells"], ["masks"])
    assert (list(ours.runs), list(theirs.runs)) == (["clip"], ["box"])
    assert (ours.baselines, theirs.baselines) == ([], ["box"])
    assert (ours.perturbations, theirs.perturbations) == (["jpeg", "pixelate"], ["jpeg", "pixelate", "rotation"])
    assert (ours.attacked, ours.attacked_datasets) == ([], ["cells"])
    assert (ours.metrics, theirs.metrics) == (["accuracy"], ["iou"])
    assert ours.perturbations_on("cells") == ["jpeg", "pixelate"]


def test_tables_see_their_own_task(tmp_path: Path) -> None:
    folder = tmp_path / "scores"
    sources = [folder / "box" / "masks.parquet", folder / "clip" / "cells.parquet"]
    masks = [
        row_of("box", one, cell, 0.5, dataset="masks", metric="iou", task="segmentation")
        for cell in [*CELLS, ("rotation", 1), ("rotation", 2)]
        for one in PATIENTS
    ]
    write_rows(sources[0], ScoreRow, masks)
    write_rows(sources[1], ScoreRow, scored("clip", WRONG["clip"]))
    spec = spec_of(**MIXED)
    for name, dataset, run in [("segmentation_main", "masks", "box"), ("classification_main", "cells", "clip")]:
        outputs = {suffix: tmp_path / f"{name}.{suffix}" for suffix in FORMATS}
        write_table(spec, name, {"scores": sources}, outputs)  # type: ignore[arg-type]
        table = pd.read_csv(outputs["csv"])
        assert table[["dataset", "run"]].values.tolist() == [[dataset, run]]
        other = {"masks": "Cells", "cells": "Masks"}[dataset]
        assert other not in outputs["md"].read_text(encoding="utf-8")
    alone = spec_of(datasets={"masks": "Masks"}, runs={"box": "Box"})
    with pytest.raises(MedstressError, match="table classification_main: the study has no classification data set"):
        write_table(alone, "classification_main", {"scores": sources[:1]}, outputs)
    with pytest.raises(MedstressError, match="figure image_grid: the study has no segmentation data set"):
        write_figure(spec_of(), "image_grid", {"scores": sources[1:]}, {})


@pytest.mark.parametrize("name", ["classification_main", "classification_corruptions", "classification_fewshot"])
def test_four_files_with_the_same_bytes_again(tmp_path: Path, name: str, rows: list[ScoreRow]) -> None:
    """Values that no binary fraction is, in other orders of files and rows; and nothing that people cannot read."""
    scores = {run: [row for row in rows if row.run == run] for run in WRONG}
    scores |= {
        f"net+shots@cells~seed{seed}": scored(f"net+shots@cells~seed{seed}", WRONG["net"], seed=seed) for seed in (0, 1)
    }
    for part in scores.values():
        part += [
            row_of(
                row.run,
                row.group_id,
                (row.perturbation, row.level),
                None if row.value is None else row.value / 3 + 0.1,
                metric="balanced_accuracy",
                seed=row.seed,
            )
            for row in part
        ]
    spec = spec_of(
        runs=spec_of().runs | {"net+shots": "Few"},
        adapted={"net+shots": "net"},
        few_shot={"net+shots": {"shots": 5}},
        attacks={"pgd": [1, 2, 3, 4, 5]},
        attacked=["net"],
        attacked_datasets=["cells"],
        classification=ClassScoring(
            metrics=["accuracy", "balanced_accuracy"], normaliser="clip", error="balanced_accuracy"
        ),
    )
    written = []
    for turn in (1, -1):
        paths = []
        for run, part in list(scores.items())[::turn]:
            paths.append(tmp_path / str(turn) / run / "cells.parquet")
            write_rows(paths[-1], ScoreRow, part)
        outputs = {kind: tmp_path / str(turn) / f"{name}.{kind}" for kind in FORMATS}
        write_table(spec, name, {"scores": paths}, outputs)  # type: ignore[arg-type]
        written.append({kind: path.read_bytes() for kind, path in outputs.items()})
    assert written[0] == written[1]
    text = written[0]["md"].decode()
    assert "Cells" in text
    assert not [word for word in ("nan", "<NA>", "None") if word in text]
    assert (
        len(pd.read_csv(tmp_path / "1" / f"{name}.csv")) == len(pd.read_parquet(tmp_path / "1" / f"{name}.parquet")) > 0
    )


@pytest.fixture
def results(tmp_path: Path, rows: list[ScoreRow]) -> Path:
    study = tmp_path / "results" / "toy"
    for run, wrong in {"clip~published": WRONG["clip"], "net+shots@bloodmnist~seed0": WRONG["net"]}.items():
        for dataset in ("bloodmnist", "cells"):
            own = scored(run, wrong, dataset=dataset) + scored(run, wrong, dataset=dataset, metric="balanced_accuracy")
            own += [row_of(run, "p0", ("pgd", 1), 0.0, dataset=dataset)]
            own += [row_of(run, "p0", ("jpeg", 1), 0.0, "unreachable", dataset=dataset)]
            write_rows(study / "scores" / run / f"{dataset}.parquet", ScoreRow, own)
    masks = [row_of("box", "p0", ("clean", 0), 0.5, dataset="masks", metric="iou", task="segmentation")]
    write_rows(study / "scores" / "box" / "masks.parquet", ScoreRow, masks)
    return study


def test_robustmedclip_layout(tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    arguments = ["medstress", "export-results", str(results), str(out), "--layout", "robustmedclip"]
    monkeypatch.setattr("sys.argv", arguments)
    assert main() == 0
    folder = out / "clip" / "clip~published"
    found = json.loads((folder / "cells_results.json").read_text())
    assert found == {
        "cells": {
            "clean": {"1": {"accuracy": pytest.approx(4 / 6), "roc_auc": None}},
            "jpeg_compression": {
                "1": {"accuracy": 0.5, "roc_auc": None},
                "2": {"accuracy": 0.5, "roc_auc": None},
            },
            "pixelate": {level: {"accuracy": pytest.approx(2 / 6), "roc_auc": None} for level in ("1", "2")},
        }
    }
    assert list(json.loads((folder / "all_results.json").read_text())) == ["bloodmnist", "cells"]
    assert sorted(path.parent.name for path in out.glob("*/*/cells_results.json")) == [
        "clip~published",
        "net+shots@bloodmnist~seed0",
    ]


def test_medmnist_c_layout(tmp_path: Path, results: Path) -> None:
    out = tmp_path / "out"
    assert export_results(results, out, "medmnist_c") == 4
    found = json.loads((out / "cells_clip_clip~published.json").read_text())
    assert found["metrics"] == {"clean_score": pytest.approx(2 / 6), "be": None, "rbe": None}
    assert found["raw_scores"] == {"jpeg_compression": pytest.approx(0.5), "pixelate": pytest.approx(4 / 6)}
    # Two levels of five are not what AlexNet's errors are means over.
    assert json.loads((out / "bloodmnist_clip_clip~published.json").read_text())["metrics"]["be"] is None
    path = results / "scores" / "clip~published" / "bloodmnist.parquet"
    published = ALEXNET["bloodmnist"].types
    cells = [("clean", 0), *((kind, level) for kind in published for level in range(1, 6))]
    rows = [row_of("clip", one, key, 0.9, metric="balanced_accuracy") for key in cells for one in PATIENTS]
    write_rows(path, ScoreRow, rows)
    # As the cards call what is read from disk.
    write_rows(path.with_name("bloodmnist_c.parquet"), ScoreRow, rows)
    export_results(results, out, "medmnist_c")
    found = json.loads((out / "bloodmnist_clip_clip~published.json").read_text())
    errors = [0.1 / error for error in published.values()]
    assert found["metrics"]["be"] == pytest.approx(sum(errors) / len(errors))
    assert found["be_scores"]["jpeg_compression"] == pytest.approx(0.1 / published["jpeg"])
    assert found["rbe_scores"]["jpeg_compression"] == pytest.approx(0, abs=1e-12)
    assert json.loads((out / "bloodmnist_c_clip_clip~published.json").read_text()) == found
    # Some of the types may have been made by any scale.
    write_rows(path, ScoreRow, [row for row in rows if row.perturbation in ("clean", "jpeg", "motion_blur")])
    export_results(results, out, "medmnist_c")
    assert json.loads((out / "bloodmnist_clip_clip~published.json").read_text())["metrics"]["be"] is None


def test_exports_say_what_is_missing(tmp_path: Path, results: Path) -> None:
    with pytest.raises(MedstressError, match="no scores of classifiers"):
        export_results(tmp_path / "nowhere", tmp_path / "out", "medmnist_c")
    for run in ("clip~published", "net+shots@bloodmnist~seed0"):
        write_rows(results / "scores" / run / "cells.parquet", ScoreRow, scored(run, WRONG["clip"]))
    with pytest.raises(MedstressError) as caught:
        export_results(results, tmp_path / "out", "medmnist_c")
    assert "which was not scored for clip~published on cells, net+shots@bloodmnist~seed0 on cells" in str(caught.value)
