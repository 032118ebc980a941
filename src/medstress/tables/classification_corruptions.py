"""Which corruption costs which classifier how much, level by level, with attacks beside them."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from medstress.score.bootstrap import estimate_column
from medstress.score.corruption_error import Errors, Floats, error_metric, errors_of
from medstress.score.metrics import METRICS, primary_metric
from medstress.score.robustness import left_out, paired_drops
from medstress.score.titles import dataset_titles, run_titles
from medstress.table_spec import TableSpec
from medstress.tables.class_errors import (
    ERRORS,
    ONE_VALUE_AN_IMAGE,
    Against,
    dataset_errors,
    error_notes,
    estimate_or_none,
    relative_text,
)
from medstress.tables.layout import (
    INTERVALS,
    columns_of,
    drop_title,
    estimate_text,
    interval_text,
    number,
    typed,
)
from medstress.tables.missing import missing_scores

TITLE = "Classification: errors by corruption and level"
CAPTION = (
    f"{ERRORS} Drops are paired, clean minus corrupted of one image, means over all levels and images. Attacks are "
    f"white-box, each run against its own gradients, and have no corruption error. {ONE_VALUE_AN_IMAGE} {INTERVALS} Of "
    "an adapted run all seeds count. Left out, counted in image-cells: images that cannot reach their SSIM band "
    "(unreachable), and answers that failed."
)


def build(spec: TableSpec, frame: pd.DataFrame) -> pd.DataFrame:
    """One row a data set, run and type that the study has; types without scores have no numbers."""
    primary = primary_metric(spec)
    scores = frame[frame["metric"] == primary]
    pairs = dict(iter(paired_drops(scores).groupby(["dataset", "run", "perturbation"], observed=True)))
    rows = []
    for dataset in spec.datasets:
        found = dataset_errors(spec, frame, dataset)
        attacking = _attacking(spec, dataset)
        attacked = errors_of(attacking, frame, dataset, error_metric(spec, dataset)) if attacking.perturbations else {}
        for run in spec.runs_on(dataset):
            parts: list[tuple[str, TableSpec, Mapping[str, Errors], Against | None]] = [
                ("corruption", spec, found.runs, found.against_normaliser(run))
            ]
            if run in spec.attacked:
                parts.append(("attack", attacking, attacked, None))
            for kind, part, errors, beside in parts:
                for place, name in enumerate(part.perturbations_on(dataset)):
                    own = pairs.get((dataset, run, name))
                    row: dict[str, Any] = {"dataset": dataset, "run": run, "perturbation": name, "kind": kind}
                    row |= _error_columns(spec, errors.get(run), beside, place)
                    row["error_metric"] = error_metric(spec, dataset)
                    rows.append(row | _drop_columns(spec, primary, dataset, own))
    return typed(rows)


def _attacking(spec: TableSpec, dataset: str) -> TableSpec:
    """The study with its attacks on a data set in the place of its corruptions."""
    names = list(spec.attacks) if dataset in spec.attacked_datasets else []
    return spec.model_copy(update={"perturbations": names, "fitting": {}})


def _error_columns(spec: TableSpec, errors: Errors | None, beside: Against | None, place: int) -> dict[str, Any]:
    groups = 0 if errors is None else errors.groups
    row: dict[str, Any] = {}
    for step, level in enumerate(spec.levels):
        value = math.nan if errors is None else float(errors.corrupted[0, place, step])
        row[f"error_{level}"] = None if math.isnan(value) else value

    def column(numbers: Floats | None) -> Floats | None:
        return None if numbers is None else np.ascontiguousarray(numbers[:, place])

    mean = estimate_or_none(spec, column(None if errors is None else errors.by_type), groups, (0.0, 1.0))
    ce = estimate_or_none(spec, column(None if beside is None else beside.absolute), groups, (0.0, math.inf))
    relative = estimate_or_none(spec, column(None if beside is None else beside.relative), groups)
    return row | columns_of("mean_error", mean) | columns_of("ce", ce) | columns_of("relative_ce", relative)


def _drop_columns(spec: TableSpec, metric: str, dataset: str, pairs: pd.DataFrame | None) -> dict[str, Any]:
    if pairs is None:
        pairs = pd.DataFrame(columns=["scored", "drop", "group_id", "sample_id", "status"]).astype({"scored": bool})
    counted = pairs[pairs["scored"]]
    drop = estimate_column(counted, "drop", metric, dataset, spec.statistics)
    counts = left_out(pairs)
    return {
        "metric": metric,
        **columns_of("drop", drop),
        "interval": interval_text(spec, drop),
        "n_samples": counted["sample_id"].nunique(),
        "n_groups": drop.n_groups,
        "n_pairs": drop.n_values,
        "n_unreachable": counts["n_unreachable"],
        "n_failed": counts["n_failed"],
    }


def display(spec: TableSpec, table: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it."""
    metric = primary_metric(spec)
    digits = METRICS[metric].digits
    datasets, runs = dataset_titles(spec), run_titles(spec)
    rows = []
    for row in table.to_dict("records"):
        shown = {
            "Data set": datasets[row["dataset"]],
            "Run": runs[row["run"]],
            "Type": row["perturbation"].replace("_", " "),
            "Kind": row["kind"],
        }
        shown |= {f"Error {level}": number(row[f"error_{level}"], 3) for level in spec.levels}
        shown["Mean error"] = estimate_text(row, "mean_error", 3, interval=False)
        if spec.classification.normaliser is not None:
            shown["CE"] = relative_text(spec, row["ce"])
            shown["Relative CE"] = relative_text(spec, row["relative_ce"])
        shown[drop_title(metric)] = estimate_text(row, "drop", digits)
        counts = {"Images": "n_samples", "Unreachable": "n_unreachable", "Failed": "n_failed"}
        rows.append(shown | {title: str(row[name]) for title, name in counts.items()})
    return pd.DataFrame(rows)


def notes(spec: TableSpec, frame: pd.DataFrame) -> list[str]:
    """Who is not attacked, and what is missing."""
    spared = [title for run, title in run_titles(spec).items() if spec.attacks and run not in spec.attacked]
    return [
        *(f"{title} is not attacked: it has no gradients." for title in spared),
        *missing_scores(spec, frame, attacks=True),
        *error_notes(spec, frame),
    ]
