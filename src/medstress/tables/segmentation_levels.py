"""How scores fall as severity grows."""

from typing import Any

import pandas as pd

from medstress.score.bootstrap import Estimate
from medstress.score.metrics import METRICS, primary_metric
from medstress.score.robustness import left_out
from medstress.score.titles import dataset_titles, run_titles
from medstress.table_spec import TableSpec
from medstress.tables.layout import INTERVALS, VALID_PIXELS, drop_title, estimate_text, interval_text, typed
from medstress.tables.levels import SCALES, LevelScores, level_columns, level_estimates, scores_by_level
from medstress.tables.missing import missing_scores

TITLE = "Segmentation: scores by level"
CAPTION = (
    "Means over objects and perturbations at each level, reachable cells only; "
    f"{SCALES.format(unit='object')} {VALID_PIXELS} {INTERVALS} Of a strategy all seeds count."
)


def build(spec: TableSpec, frame: pd.DataFrame) -> pd.DataFrame:
    """One row a data set, run, scale and level of the study; without numbers where there are no scores."""
    metrics = [metric for metric in spec.metrics if metric in ("iou", "dice")] or [primary_metric(spec)]
    rows = []
    for own in scores_by_level(spec, frame[frame["metric"].isin(metrics)]):
        values = {metric: level_estimates(spec, own, metric) for metric in metrics}
        row = own.names
        for metric, given in values.items():
            row |= level_columns(given, metric, f"{metric}_drop")
        row["interval"] = interval_text(spec, *(value for given in values.values() for value in given))
        rows.append(row | _counts(own.of(metrics[0]), values[metrics[0]][0]))
    return typed(rows)


def _counts(own: LevelScores, value: Estimate) -> dict[str, Any]:
    return {
        "n_objects": len(own.counted.drop_duplicates(["sample_id", "object_id"])),
        "n_groups": value.n_groups,
        "n_values": value.n_values,
        **left_out(own.scores),
    }


def display(spec: TableSpec, table: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it."""
    metrics = [metric for metric in spec.metrics if metric in table.columns]
    rows, datasets, runs = [], dataset_titles(spec), run_titles(spec)
    for row in table.to_dict("records"):
        shown = {
            "Data set": datasets[row["dataset"]],
            "Run": runs[row["run"]],
            "Scale": row["scale"],
            "Level": str(row["level"]),
        }
        for metric in metrics:
            shown[METRICS[metric].title] = estimate_text(row, metric, METRICS[metric].digits)
        for metric in metrics:
            shown[drop_title(metric)] = estimate_text(row, f"{metric}_drop", METRICS[metric].digits)
        counts = {
            "Objects": "n_objects",
            "Values": "n_values",
            "Unreachable": "n_unreachable",
            "Lost": "n_object_lost",
            "Failed": "n_failed",
            "Empty": "n_empty",
        }
        rows.append(shown | {title: str(row[name]) for title, name in counts.items()})
    return pd.DataFrame(rows)


def notes(spec: TableSpec, frame: pd.DataFrame) -> list[str]:
    """What is missing."""
    return missing_scores(spec, frame)
