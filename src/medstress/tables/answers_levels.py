"""What the tables of questions, captions and boxes by level share: a row a data set, run, metric, scale and level."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from medstress.score.metrics import METRICS
from medstress.score.titles import dataset_titles, run_titles
from medstress.table_spec import TableSpec
from medstress.tables.answers_main import counts_of
from medstress.tables.layout import INTERVALS, NO_ANSWERS, estimate_text, interval_text, typed
from medstress.tables.levels import SCALES, LevelScores, level_columns, level_estimates, scores_by_level
from medstress.tables.missing import missing_scores

__all__ = ["CAPTION", "build", "display_of", "notes"]

CAPTION = (
    "Means over samples and perturbations at each level, reachable cells only; "
    f"{SCALES.format(unit='sample')} {INTERVALS} {NO_ANSWERS} Of a strategy all seeds count."
)


def build(spec: TableSpec, frame: pd.DataFrame) -> pd.DataFrame:
    """One row a data set, run, metric, scale and level; without numbers where there are no scores.

    Metrics that no run has on a data set are left out, unless it has none at all.

    `score` is the mean of what counts, `n_samples` and `n_groups` of how many samples and groups, `n_values` of how
    many scores; the other counts are of all scores there are by status.
    """
    cells = list(scores_by_level(spec, frame))
    rows = []
    for dataset in spec.datasets:
        there = set(frame.loc[frame["dataset"] == dataset, "metric"].unique())
        for run in spec.runs_on(dataset):
            own = [cell for cell in cells if (cell.dataset, cell.run) == (dataset, run)]
            metrics = [metric for metric in spec.metrics if metric in there or not there]
            rows += [_row(spec, cell.of(metric), metric) for metric in metrics for cell in own]
    return typed(rows)


def _row(spec: TableSpec, own: LevelScores, metric: str) -> dict[str, Any]:
    values = level_estimates(spec, own, metric)
    return {
        **own.names,
        "metric": metric,
        **level_columns(values, "score", "drop"),
        "interval": interval_text(spec, *values),
        "n_samples": own.counted["sample_id"].nunique(),
        "n_groups": values[0].n_groups,
        "n_values": values[0].n_values,
        **counts_of(own.scores),
    }


def display_of(spec: TableSpec, table: pd.DataFrame, metrics: Sequence[str], titles: dict[str, str]) -> pd.DataFrame:
    """The table as people read it: these `metrics`, and columns of counts with these `titles`."""
    rows, datasets, runs = [], dataset_titles(spec), run_titles(spec)
    for row in table[table["metric"].isin(list(metrics))].to_dict("records"):
        metric = METRICS[row["metric"]]
        shown = {
            "Data set": datasets[row["dataset"]],
            "Run": runs[row["run"]],
            "Metric": metric.title,
            "Scale": row["scale"],
            "Level": str(row["level"]),
            "Score": estimate_text(row, "score", metric.digits),
            "Drop": estimate_text(row, "drop", metric.digits),
            "Samples": str(row["n_samples"]),
            "Values": str(row["n_values"]),
        }
        rows.append(shown | {title: str(row[name]) for name, title in titles.items()})
    return pd.DataFrame(rows)


def notes(spec: TableSpec, frame: pd.DataFrame) -> list[str]:
    """What is missing."""
    return missing_scores(spec, frame)
