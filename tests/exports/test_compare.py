"""Two results compared, and one of them summed up in the terminal."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from medstress.errors import MedstressError
from medstress.exports.compare import compare_results, comparison_lines
from medstress.exports.summary import summary_lines
from medstress.records import ScoreRow, read_rows, write_rows
from medstress.tables.write import write_table
from tests.exports.conftest import TABLES_MADE


def with_scores(toy, results: Path, folder: Path, change) -> Path:
    """The results with `change` made to every score row, None to leave one out, and tables made of these."""
    shutil.copytree(results, folder)
    sources = dict(toy.sources)
    sources["scores"] = sorted((folder / "scores").glob("*/*.parquet"))
    for path in sources["scores"]:
        write_rows(path, ScoreRow, [new for row in read_rows(path, ScoreRow) if (new := change(row)) is not None])
    for name in TABLES_MADE:
        write_table(
            toy.spec,
            name,
            sources,
            {kind: folder / f"tables/{name}.{kind}" for kind in ("csv", "md", "tex", "parquet")},
        )
    return folder


def replaced(row: ScoreRow, **changes: object) -> ScoreRow:
    return ScoreRow(**{**row.__dict__, **changes})


def test_results_do_not_differ_from_themselves(results):
    found = compare_results(results, results)
    assert found.changes == ()
    assert found.compared > 50
    assert list(comparison_lines(found)) == [
        f"{found.compared} numbers compared, 0 differ: 0 beyond noise, 0 within it, 0 without an interval"
    ]


def test_a_steady_loss_is_beyond_noise_and_a_wobble_is_within(toy, results, tmp_path):
    wobble = {f"s-i{place}": sign for place, sign in enumerate([1, -1, 1, -1, 1, 1])}

    def worse(row: ScoreRow) -> ScoreRow:
        if row.value is None or row.metric != "iou" or row.level:
            return row
        lower = row.value - 0.01 if row.run == "net" else row.value + 0.001 * wobble[row.sample_id]
        return replaced(row, value=lower)

    found = compare_results(results, with_scores(toy, results, tmp_path / "toy", worse))
    assert found.notes == ()
    main = {(one.row, one.column): one for one in found.changes if one.table == "segmentation_main"}
    lost = main[("many, net", "iou_clean")]
    assert (lost.how, lost.verdict) == ("paired", "changed")
    assert lost.after - lost.before == pytest.approx(-0.01)
    assert lost.low <= -0.01 + 1e-12 <= lost.high + 2e-12
    # Unpaired, nobody could have told: the loss is smaller than the interval of each side.
    table = pd.read_parquet(results / "tables/segmentation_main.parquet").set_index(["dataset", "run"])
    side = table.loc[("many", "net")]
    assert side["iou_clean_low"] < lost.after
    assert main[("many, box", "iou_clean")].verdict == "within noise"
    assert main[("few, net", "iou_clean")].verdict == "no interval"
    assert not any("dice" in column for _, column in main)
    lines = list(comparison_lines(found))
    assert lines[0] == "Changed beyond noise:"
    assert any("many, net: iou_clean" in line and ", same samples)" in line for line in lines)


def test_other_samples_are_compared_by_intervals(toy, results, tmp_path):
    def other(row: ScoreRow) -> ScoreRow:
        better = row.run == "box" and row.metric == "iou" and row.value is not None
        return replaced(row, sample_id=f"other-{row.sample_id}", value=0.99 if better else row.value)

    found = compare_results(results, with_scores(toy, results, tmp_path / "toy", other))
    [clean] = [one for one in found.changes if (one.row, one.column) == ("many, box", "iou_clean")]
    assert (clean.how, clean.verdict) == ("intervals", "changed")


def test_rows_and_tables_of_one_side_are_named(results, tmp_path):
    shutil.copytree(results, tmp_path / "toy")
    for kind in ("parquet", "csv"):
        (tmp_path / f"toy/tables/calibration.{kind}").unlink()
    path = tmp_path / "toy/tables/segmentation_main.parquet"
    table = pd.read_parquet(path)
    table[table["run"] != "net+lora"].to_parquet(path)
    notes = compare_results(results, tmp_path / "toy").notes
    assert notes[0] == f"calibration: only in {results}"
    assert notes[1] == f"segmentation_main: many, net+lora: only in {results}"


def test_csv_is_read_where_there_is_no_parquet(results, tmp_path):
    """As in what `export-paper` writes: no Parquet, and no scores."""
    (tmp_path / "paper/tables").mkdir(parents=True)
    for path in (*results.glob("tables/*.csv"), *results.glob("tables/*.md")):
        shutil.copy(path, tmp_path / "paper/tables")
    whole = compare_results(results, results).compared
    for sides in ((results, tmp_path / "paper"), (tmp_path / "paper", results)):
        found = compare_results(*sides)
        assert (found.changes, found.notes, found.compared) == ((), (), whole)
    path = tmp_path / "paper/tables/segmentation_main.csv"
    table = pd.read_csv(path)
    table.loc[table["run"] == "box", "n_objects"] += 1
    table["noise_floor"] = 1.0
    table["behind_best"] = 2.0
    table.to_csv(path, index=False)
    changes = compare_results(results, tmp_path / "paper").changes
    assert {(one.table, one.column, one.verdict) for one in changes} == {
        ("segmentation_main", "n_objects", "no interval")
    }
    lines = list(comparison_lines(compare_results(results, tmp_path / "paper")))
    assert lines[0] == "Differ, with no interval to say whether by more than noise:"
    assert lines[1].endswith("(+1)")


def test_the_summary_fits_the_terminal(results):
    for width in (60, 200):
        lines = list(summary_lines(results, width))
        start = next(i for i, line in enumerate(lines) if line.startswith("Segmentation: clean"))
        rows = lines[start + 1 : start + 7]
        assert all(len(row) <= width for row in rows)
        assert rows[0].startswith("Data set")
    assert lines[:3] == [
        "Study toy",
        "2 data sets: few, many",
        "3 runs (4 with seeds): box, net, net+lora",
    ]
    raw = pd.concat([pd.read_parquet(path) for path in (results / "scores").glob("*/*.parquet")])
    given = raw["status"].value_counts().sort_index()
    assert lines[4] == f"{len(raw)} scores: " + ", ".join(f"{count} {name}" for name, count in given.items())
    narrow = list(summary_lines(results, 60))
    assert any("more columns in tables/segmentation_main.md)" in line for line in narrow)


def test_a_study_that_has_not_run_is_said(tmp_path):
    with pytest.raises(MedstressError, match="no scores"):
        list(summary_lines(tmp_path, 80))
    with pytest.raises(MedstressError, match=r"no tables, neither \.parquet nor \.csv"):
        compare_results(tmp_path, tmp_path)
