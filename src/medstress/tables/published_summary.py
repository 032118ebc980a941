"""Means by type in the layout of MedFM-Robust's SUMMARY files, joined as its merged summary is."""

import pandas as pd

from medstress.score.titles import dataset_titles
from medstress.table_spec import TableSpec
from medstress.tables.layout import number
from medstress.tables.missing import missing_scores
from medstress.tables.published_layout import DIFFERENCES, Evaluation, evaluations, means_of

TITLE = "Means by type, in the layout of MedFM-Robust"
CAPTION = (
    "Clean: mean over the clean images. A type: mean over all levels and objects, and the mean drop. Avg: over all "
    f"corrupted cells. ΔTP: Clean less Avg, in the columns of scores and of drops. {DIFFERENCES} The published merged "
    "files are one for each Eval_Type and have a time stamp in its place."
)


def build(spec: TableSpec, frame: pd.DataFrame) -> pd.DataFrame:
    """The rows Clean, one a type by name, Avg and ΔTP of every model, data set, strategy and kind of evaluation.

    Numbers have 4 decimals. Raises MedstressError where IoU or Dice was not scored.
    """
    rows = [row for one in evaluations(spec, frame) for row in _rows(one)]
    return pd.DataFrame(rows).round(4)


def _rows(one: Evaluation) -> list[dict[str, str | float]]:
    clean, nothing = means_of(one.clean, "value"), {"iou": 0.0, "dice": 0.0}
    average = means_of(one.pairs, "perturbed")
    gap = {metric: clean[metric] - average[metric] for metric in clean}
    types = [
        _row(one, name, means_of(part, "perturbed"), means_of(part, "drop"))
        for name in one.types
        for part in [one.pairs[one.pairs["type"] == name]]
    ]
    return [
        _row(one, "Clean", clean, nothing),
        *types,
        _row(one, "Avg", average, means_of(one.pairs, "drop")),
        _row(one, "ΔTP", gap, gap),
    ]


def _row(one: Evaluation, name: str, scores: dict[str, float], drops: dict[str, float]) -> dict[str, str | float]:
    return {
        **one.names,
        "Corruption_Type": name,
        "IoU": scores["iou"],
        "Dice": scores["dice"],
        "IoU_Drop": drops["iou"],
        "Dice_Drop": drops["dice"],
    }


def display(spec: TableSpec, table: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it."""
    shown = table.assign(Dataset=table["Dataset"].map(dataset_titles(spec)))
    for name in ("IoU", "Dice", "IoU_Drop", "Dice_Drop"):
        shown[name] = [number(value, 4) for value in table[name]]
    return shown


def notes(spec: TableSpec, frame: pd.DataFrame) -> list[str]:
    """What is missing."""
    return missing_scores(spec, frame, attacks=True)
