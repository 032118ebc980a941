"""What white-box attacks take from each run that has gradients."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from medstress.score.bootstrap import estimate_column
from medstress.score.metrics import METRICS, primary_metric
from medstress.score.robustness import left_out, paired_drops, scores_under
from medstress.score.titles import dataset_titles, run_titles
from medstress.table_spec import TableSpec
from medstress.tables.layout import (
    INTERVALS,
    columns_of,
    drop_title,
    estimate_text,
    interval_text,
    number,
    typed,
)
from medstress.tables.missing import missing_attacks

TITLE = "Segmentation: white-box attacks"
CAPTION = (
    "Each run against its own gradients: no pixel of the stored 8-bit image differs by more than the radius, in grey "
    "levels, from the clean one, after rounding, and the prompt stays; of an L2 attack, the root of the summed squares "
    "of all differences is at most the radius. Drops are paired, clean minus adversarial of "
    "the same object; clean is the mean of the same pairs. An attack is a lower bound of the damage that its ball "
    "allows: a stronger one may do more, and a small drop may come from gradients that lead nowhere. "
    f"{INTERVALS} Of a strategy all seeds count. An empty prediction is scored as one, and counted; answers that "
    "failed are left out."
)


def metrics_of(spec: TableSpec) -> list[str]:
    """The metrics that are shown."""
    return [metric for metric in spec.metrics if metric in ("iou", "dice")] or [primary_metric(spec)]


def cells_of(pairs: pd.DataFrame) -> dict[Any, pd.DataFrame]:
    """Pairs by (data set, run, perturbation, level)."""
    return dict(iter(pairs.groupby(["dataset", "run", "perturbation", "level"], observed=True)))


def build(spec: TableSpec, frame: pd.DataFrame) -> pd.DataFrame:
    """One row a data set, attacked run, attack and level, without numbers where there are no scores."""
    metrics = metrics_of(spec)
    pairs = paired_drops(scores_under(spec.attacks, frame[frame["metric"].isin(metrics)]))
    cells = cells_of(pairs)
    return typed([_row(spec, cells.get(key, pairs[:0]), metrics, *key) for key in _keys(spec)])


def _keys(spec: TableSpec) -> Iterator[tuple[str, str, str, int]]:
    for dataset in spec.attacked_datasets:
        for run in spec.runs_on(dataset):
            if run in spec.attacked:
                yield from ((dataset, run, attack, level) for attack in spec.attacks for level in spec.levels)


def _row(
    spec: TableSpec, pairs: pd.DataFrame, metrics: list[str], dataset: str, run: str, attack: str, level: int
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "dataset": dataset,
        "run": run,
        "attack": attack,
        "level": level,
        "epsilon": spec.attacks[attack][level - 1],
    }
    values = []
    counted = pairs[pairs["scored"]]
    for metric in metrics:
        own = counted[counted["metric"] == metric]
        adversarial = estimate_column(own, "perturbed", metric, dataset, spec.statistics)
        drop = estimate_column(own, "drop", metric, dataset, spec.statistics)
        values += [adversarial, drop]
        row |= {f"{metric}_clean": float(own["clean"].mean()) if len(own) else None}
        row |= columns_of(metric, adversarial) | columns_of(f"{metric}_drop", drop)
    first = counted[counted["metric"] == metrics[0]]
    return row | {
        "interval": interval_text(spec, *values),
        "n_objects": len(first.drop_duplicates(["sample_id", "object_id"])),
        "n_groups": values[0].n_groups,
        "n_values": values[0].n_values,
        **left_out(pairs[pairs["metric"] == metrics[0]]),
    }


def display(spec: TableSpec, table: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it."""
    metrics = metrics_of(spec)
    rows, datasets, runs = [], dataset_titles(spec), run_titles(spec)
    for row in table.to_dict("records"):
        shown = {
            "Data set": datasets[row["dataset"]],
            "Run": runs[row["run"]],
            "Attack": row["attack"].replace("_", " "),
            "Level": str(row["level"]),
            "Radius": f"{row['epsilon']:g}",
        }
        for metric in metrics:
            title, digits = METRICS[metric].title, METRICS[metric].digits
            shown[f"Clean {title}"] = number(row[f"{metric}_clean"], digits)
            shown[f"Adversarial {title}"] = estimate_text(row, metric, digits, interval=False)
            shown[drop_title(metric)] = estimate_text(row, f"{metric}_drop", digits)
        counts = {"Objects": "n_objects", "Values": "n_values", "Empty": "n_empty", "Failed": "n_failed"}
        rows.append(shown | {title: str(row[name]) for title, name in counts.items()})
    return pd.DataFrame(rows)


def notes(spec: TableSpec, frame: pd.DataFrame) -> list[str]:
    """Who is not attacked, and what is missing."""
    spared = [title for run, title in run_titles(spec).items() if run not in spec.attacked]
    return [f"{title} is not attacked: it has no gradients." for title in spared] + missing_attacks(spec, frame)
