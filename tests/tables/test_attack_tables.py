"""The tables of attacks against numbers worked out by hand, and that other tables leave attacks alone."""

import pandas as pd
import pytest

from medstress.records import ScoreRow, write_rows
from medstress.score.robustness import of_perturbations, read_scores
from medstress.tables import segmentation_adversarial, segmentation_transfer
from medstress.tables.write import write_table

PATIENTS = ("a", "b", "c", "d", "e")


@pytest.fixture
def spec(make_spec):
    return make_spec(
        datasets={"many": "Many patients"},
        metrics=["iou"],
        runs={"box": "Box", "net": "Net", "far": "Far"},
        attacks={"fgsm": [2, 4, 6, 8, 10], "pgd": [1, 2, 3, 4, 5]},
        attacked=["net", "far"],
        attacked_datasets=["many"],
        transfer=["net"],
        kept=["pgd"],
    )


@pytest.fixture
def frame(make_score, tmp_path):
    """Five patients; PGD takes .2 a level from the net and half of it from a far net; one answer is empty."""
    rows = []
    for place, name in enumerate(PATIENTS):
        for run in ("box", "net", "far"):
            rows.append(make_score(name, "clean", 0, 0.8, run=run))
            rows.append(make_score(name, "gaussian_noise", 1, 0.1, run=run))
        for level in (1, 2):
            empty = (place, level) == (1, 2)
            rows.append(make_score(name, "fgsm", level, 0.8 - 0.1 * level))
            rows.append(make_score(name, "pgd", level, 0.0 if empty else 0.8 - 0.2 * level, "empty" if empty else "ok"))
            rows.append(make_score(name, "pgd@net", level, 0.8 - 0.1 * level, run="far"))
            rows.append(make_score(name, "pgd@net", level, 0.8, run="box"))
    write_rows(tmp_path / "scores.parquet", ScoreRow, rows)
    return read_scores([tmp_path / "scores.parquet"])


def cell(table: pd.DataFrame, **keys: object) -> pd.Series:
    chosen = table[(table[list(keys)] == list(keys.values())).all(axis=1)]
    assert len(chosen) == 1
    return chosen.iloc[0]


def test_adversarial(spec, frame):
    table = segmentation_adversarial.build(spec, frame)
    assert list(zip(table.run, table.attack, table.level, table.epsilon, strict=True)) == [
        ("net", "fgsm", 1, 2),
        ("net", "fgsm", 2, 4),
        ("net", "pgd", 1, 1),
        ("net", "pgd", 2, 2),
        # Nothing was scored of this one: holes are rows.
        ("far", "fgsm", 1, 2),
        ("far", "fgsm", 2, 4),
        ("far", "pgd", 1, 1),
        ("far", "pgd", 2, 2),
    ]
    assert table[table.run == "far"].iou.isna().all()
    row = cell(table, run="net", attack="pgd", level=1)
    assert (row.iou_clean, row.iou, row.iou_drop) == (pytest.approx(0.8), pytest.approx(0.6), pytest.approx(0.2))
    assert (row.iou_drop_low, row.iou_drop_high) == (pytest.approx(0.2), pytest.approx(0.2))
    second = cell(table, run="net", attack="pgd", level=2)
    assert second.iou_drop == pytest.approx((4 * 0.4 + 0.8) / 5)
    assert (second.n_objects, second.n_groups, second.n_values, second.n_empty, second.n_failed) == (5, 5, 5, 1, 0)
    assert second.iou_drop_low < second.iou_drop < second.iou_drop_high
    shown = segmentation_adversarial.display(spec, table)
    assert list(shown.Radius) == ["2", "4", "1", "2"] * 2
    assert shown["IoU drop"][2] == "0.200 [0.200, 0.200]"
    notes = segmentation_adversarial.notes(spec, frame)
    assert "Box is not attacked: it has no gradients." in notes
    assert "Many patients, Far: no iou for fgsm, pgd, levels 1, 2." in notes
    assert len(notes) == 1 + 3


def test_transfer(spec, frame):
    table = segmentation_transfer.build(spec, frame)
    drops = {(row["source"], row["run"], row["level"]): row["drop"] for row in table.to_dict("records")}
    assert drops == {
        ("net", "box", 1): 0,
        ("net", "net", 1): pytest.approx(0.2),
        ("net", "far", 1): pytest.approx(0.1),
        ("net", "box", 2): 0,
        ("net", "net", 2): pytest.approx(0.48),
        ("net", "far", 2): pytest.approx(0.2),
    }
    shown = segmentation_transfer.display(spec, table)
    assert len(shown) == 2
    assert shown["Made against"].tolist() == ["Net", "Net"]
    assert shown["Net: IoU drop"][0] == "0.200 [0.200, 0.200] (own)"
    assert shown["Far: IoU drop"][0] == "**0.100 [0.100, 0.100]**"
    assert segmentation_transfer.notes(spec, frame) == []
    lacking = frame[~((frame["run"] == "far") & (frame["level"] == 2))]
    said = segmentation_transfer.notes(spec, lacking)
    assert said[0] == "Many patients, Far: no iou for pgd against Net, level 2."
    assert len(said) == 3


def test_other_tables_leave_attacks_out(toy, tmp_path):
    frame = read_scores(toy.sources["scores"])
    assert {"pgd", "pgd@net", "grown"} <= set(frame["perturbation"])
    assert set(of_perturbations(toy.spec, frame)["perturbation"]) == {"clean", "gaussian_noise", "rotation"}
    outputs = {kind: tmp_path / f"main.{kind}" for kind in ("csv", "md", "tex", "parquet")}
    write_table(toy.spec, "segmentation_main", toy.sources, outputs)
    row = cell(pd.read_csv(outputs["csv"]), dataset="many", run="box")
    # Six objects, two types at two levels; one cell unreachable, one object lost.
    assert row.n_pairs == 6 * 4 - 2
