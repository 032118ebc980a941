"""Means by type and level in the layout of MedFM-Robust's STATS_BY_LEVEL files, joined as its merged summary is."""

import pandas as pd

from medstress.score.titles import dataset_titles
from medstress.table_spec import TableSpec
from medstress.tables.layout import number
from medstress.tables.missing import missing_scores
from medstress.tables.published_layout import DIFFERENCES, evaluations, means_of

TITLE = "Means by type and level, in the layout of MedFM-Robust"
CAPTION = (
    "Mean over objects at each level. The published names say adversarial_iou, adversarial_dice and attack_type "
    f"whatever the corruption is. {DIFFERENCES}"
)


def build(spec: TableSpec, frame: pd.DataFrame) -> pd.DataFrame:
    """A row a type and level of every model, data set, strategy and kind of evaluation; numbers have 4 decimals.

    Those without scores have no numbers.
    Raises MedstressError where IoU or Dice was not scored.
    """
    rows = []
    for one in evaluations(spec, frame):
        for name in one.types:
            for level in spec.levels:
                means = means_of(one.pairs[(one.pairs["type"] == name) & (one.pairs["level"] == level)], "perturbed")
                numbers = {"adversarial_iou": means["iou"], "adversarial_dice": means["dice"]}
                rows.append({**one.names, "attack_type": name, "level": level, **numbers})
    return pd.DataFrame(rows).round(4)


def display(spec: TableSpec, table: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it."""
    shown = table.assign(Dataset=table["Dataset"].map(dataset_titles(spec)), level=table["level"].astype(str))
    for name in ("adversarial_iou", "adversarial_dice"):
        shown[name] = [number(value, 4) for value in table[name]]
    return shown


def notes(spec: TableSpec, frame: pd.DataFrame) -> list[str]:
    """What is missing."""
    return missing_scores(spec, frame, attacks=True)
