"""How scores fall as severity grows."""

from typing import Any

import pandas as pd

from medstress.score.bootstrap import Estimate, estimate_column
from medstress.score.metrics import METRICS, primary_metric
from medstress.score.robustness import SCORED, clean_scores, left_out, paired_drops
from medstress.score.titles import dataset_titles, run_titles
from medstress.specs import TableSpec
from medstress.tables.layout import (
    INTERVALS,
    VALID_PIXELS,
    columns_of,
    drop_title,
    estimate_text,
    interval_text,
    typed,
)
from medstress.tables.missing import missing_scores

TITLE = "Segmentation: scores by level"
CAPTION = (
    "Means over objects and perturbations at each level, reachable cells only; level 0 is the clean image. Scale "
    "ssim: types whose levels are SSIM bands. Scale table: types whose levels are fixed strengths, as displacements "
    "are. Drops are paired, clean minus perturbed of the same object. Where cells are unreachable, the means of two "
    f"levels are over different objects: compare their drops. {VALID_PIXELS} {INTERVALS} Of a strategy all seeds count."
)


def build(spec: TableSpec, frame: pd.DataFrame) -> pd.DataFrame:
    """One row a data set, run, scale and level that have scores."""
    metrics = [metric for metric in spec.metrics if metric in ("iou", "dice")] or [primary_metric(spec)]
    scores = frame[frame["metric"].isin(metrics)]
    pairs = paired_drops(scores)
    rows = []
    for dataset in spec.datasets:
        for run in spec.runs_on(dataset):
            clean = clean_scores(scores)
            clean = clean[(clean["dataset"] == dataset) & (clean["run"] == run)]
            own = pairs[(pairs["dataset"] == dataset) & (pairs["run"] == run)]
            moved = own["perturbation"].isin(spec.fixed)
            names = {"dataset": dataset, "run": run}
            if len(clean):
                rows.append(names | {"scale": "clean", "level": 0} | _clean(spec, clean, metrics, dataset))
            for scale, part in [("ssim", own[~moved]), ("table", own[moved])]:
                for level in spec.levels:
                    cell = part[part["level"] == level]
                    if len(cell):
                        rows.append(names | {"scale": scale, "level": level} | _level(spec, cell, metrics, dataset))
    return typed(rows)


def _counts(scores: pd.DataFrame, counted: pd.DataFrame, metric: str, value: Estimate) -> dict[str, Any]:
    own = counted[counted["metric"] == metric]
    return {
        "n_objects": len(own.drop_duplicates(["sample_id", "object_id"])),
        "n_groups": value.n_groups,
        "n_values": value.n_values,
        **left_out(scores[scores["metric"] == metric]),
    }


def _clean(spec: TableSpec, clean: pd.DataFrame, metrics: list[str], dataset: str) -> dict[str, Any]:
    row: dict[str, Any] = {}
    values = []
    counted = clean[clean["status"].isin(SCORED)]
    for metric in metrics:
        own = counted[counted["metric"] == metric]
        values.append(estimate_column(own, "value", metric, dataset, spec.statistics))
        row |= columns_of(metric, values[-1]) | {f"{metric}_drop{end}": None for end in ("", "_low", "_high")}
    return row | {"interval": interval_text(spec, *values)} | _counts(clean, counted, metrics[0], values[0])


def _level(spec: TableSpec, pairs: pd.DataFrame, metrics: list[str], dataset: str) -> dict[str, Any]:
    row: dict[str, Any] = {}
    values = []
    counted = pairs[pairs["scored"]]
    for metric in metrics:
        own = counted[counted["metric"] == metric]
        perturbed = estimate_column(own, "perturbed", metric, dataset, spec.statistics)
        drop = estimate_column(own, "drop", metric, dataset, spec.statistics)
        values += [perturbed, drop]
        row |= columns_of(metric, perturbed) | columns_of(f"{metric}_drop", drop)
    return row | {"interval": interval_text(spec, *values)} | _counts(pairs, counted, metrics[0], values[0])


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
