"""Tables as files: four formats, the same bytes again, readable by people."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from medstress.errors import MedstressError
from medstress.names import TableName
from medstress.table_spec import TableSpec
from medstress.tables.latex import latex
from medstress.tables.layout import estimate_text, number
from medstress.tables.markup import markdown
from medstress.tables.registry import TABLES
from medstress.tables.write import write_table


def outputs_in(folder: Path, name: str) -> dict[str, Path]:
    return {kind: folder / f"{name}.{kind}" for kind in ("csv", "md", "tex", "parquet")}


@pytest.mark.parametrize("name", [name for name, entry in TABLES.items() if entry.task in (None, "segmentation")])
def test_four_files_with_the_same_bytes_again(name: TableName, toy, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    first, second = outputs_in(tmp_path / "first", name), outputs_in(tmp_path / "second", name)
    write_table(toy.spec, name, toy.sources, first)
    reversed_sources = {kind: paths[::-1] for kind, paths in toy.sources.items()}
    write_table(toy.spec, name, reversed_sources, second)
    for kind, path in first.items():
        assert path.read_bytes() == second[kind].read_bytes(), kind
    assert sorted(path.name for path in (tmp_path / "first").iterdir()) == sorted(path.name for path in first.values())
    csv, parquet = pd.read_csv(first["csv"]), pd.read_parquet(first["parquet"])
    assert list(csv.columns) == list(parquet.columns)
    assert len(csv) == len(parquet) > 0
    text = first["md"].read_text()
    # No publication is about the toy study.
    named = name != "published_numbers"
    assert ("Many patients" in text) == named
    assert "nan" not in text
    assert "<NA>" not in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == len({*lines})
    assert len({len(line) for line in lines}) == 1
    tex = first["tex"].read_text()
    assert tex.count(r"\toprule") == tex.count(r"\bottomrule") == 1
    assert ("Many patients" in tex) == named


def test_numbers_stay_numbers(toy, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    outputs = outputs_in(tmp_path, "segmentation_main")
    write_table(toy.spec, "segmentation_main", toy.sources, outputs)
    table = pd.read_csv(outputs["csv"])
    assert table.groupby("dataset")["interval"].unique().map(list).to_dict() == {
        "few": ["few groups"],
        "many": ["95% bootstrap"],
    }
    assert table["iou_clean_low"].dtype == table["n_objects"].astype(float).dtype
    assert table[table.dataset == "few"]["iou_clean_low"].isna().all()
    many = table[table.dataset == "many"].set_index("run")
    assert (many["iou_clean_low"] < many["iou_clean"]).all()
    assert (many["iou_clean"] < many["iou_clean_high"]).all()
    # 6 objects in 4 cells: one image unreachable at a level, one object lost, one answer of the net failed.
    assert many["n_pairs"].to_dict() == {"box": 22, "net": 21, "net+lora": 2 * 22}
    assert many["n_failed"].to_dict() == {"box": 0, "net": 1, "net+lora": 0}
    text = outputs["md"].read_text()
    assert "(few groups)" in text
    assert "2 (2 slabs)" in text
    assert "Missing" not in text


def test_no_record_and_no_row(toy, tmp_path: Path, make_spec: Callable[..., TableSpec]) -> None:  # type: ignore[no-untyped-def]
    outputs = outputs_in(tmp_path, "calibration")
    with pytest.raises(MedstressError, match="there are no perturbed records to make it from"):
        write_table(toy.spec, "calibration", {"perturbed": []}, outputs)
    elsewhere = make_spec(datasets={"other": "Other"}, split_units={"other": "patient"})
    with pytest.raises(MedstressError, match="none of the study's rows is in"):
        write_table(elsewhere, "calibration", toy.sources, outputs)
    assert not list(tmp_path.iterdir())


def test_damaged_training_records_are_named(toy, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "checkpoints" / "net+lora@many~seed0" / "training.json"
    outputs = outputs_in(tmp_path / "tables", "trainable_parameters")
    with pytest.raises(MedstressError, match="no such record"):
        write_table(toy.spec, "trainable_parameters", {"training": [path]}, outputs)
    path.parent.mkdir(parents=True)
    for text in ('{"seed": 0', '{"seed": 0, "val_iou": []}', "[]"):
        path.write_text(text)
        with pytest.raises(MedstressError, match=r"training\.json: truncated or not a training record.*Delete it"):
            write_table(toy.spec, "trainable_parameters", {"training": [path]}, outputs)


def test_how_numbers_are_shown() -> None:
    assert number(-0.00001, 3) == "0.000"
    assert number(-0.0125, 2) == "\N{MINUS SIGN}0.01"
    assert number(None, 3) == "\N{EN DASH}"
    row = {"x": 0.61234, "x_low": 0.55, "x_high": 0.66, "y": 0.61, "y_low": None, "y_high": None, "z": None}
    assert estimate_text(row, "x", 2) == "0.61 [0.55, 0.66]"
    assert estimate_text(row, "y", 2) == "0.61 (few groups)"
    assert estimate_text(row, "z", 2) == "\N{EN DASH}"


def test_markup_escapes() -> None:
    shown = pd.DataFrame({"Run": ["a_b & c|d"], "Beats": ["**NO**"]})
    assert r"| a_b & c\|d | **NO** |" in markdown("T", "C", shown, [])
    tex = latex("T", "100 %", shown, ["gone_1."], "t")
    assert r"a\_b \& c|d & \textbf{NO} \\" in tex
    assert r"100 \%" in tex
    assert r"Notes: gone\_1." in tex
    assert "* gone_1." in markdown("T", "C", shown, ["gone_1."])


def test_scoring_and_drawing_start_without_torch() -> None:
    code = (
        "import sys, medstress.tables.write, medstress.figures.write, medstress.score.segmentation, "
        "medstress.score.classification, medstress.tables.classification_main, "
        "medstress.figures.image_grid, medstress.figures.severity_curves; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'monai', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
