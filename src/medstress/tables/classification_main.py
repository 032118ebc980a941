"""The headline table of classifiers: each on each data set, clean and corrupted."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from medstress.score.bootstrap import Estimate, estimate_column
from medstress.score.compared import runs_with_fewer_cells
from medstress.score.corruption_error import (
    ALEXNET_NAME,
    Floats,
    error_metric,
    over_types,
    relative_clean_error,
)
from medstress.score.metrics import METRICS, primary_metric
from medstress.score.robustness import SCORED, clean_scores, left_out
from medstress.score.titles import dataset_titles, plural, run_titles
from medstress.table_spec import TableSpec
from medstress.tables.baselines import mark_against_baselines, missing_baselines, verdict_text
from medstress.tables.class_errors import (
    ERRORS,
    ONE_VALUE_AN_IMAGE,
    DatasetErrors,
    benchmark_notes,
    dataset_errors,
    error_notes,
    estimate_or_none,
    normaliser_title,
    relative_text,
    undefined_notes,
)
from medstress.tables.layout import INTERVALS, NOTHING, columns_of, estimate_text, interval_text, number, typed
from medstress.tables.missing import missing_scores
from medstress.tables.noise_marks import mark_noise, marked, noise_remarks

TITLE = "Classification: clean scores and corruption errors"
CAPTION = (
    "Clean scores of each run. Mean error is the mean over levels, then over the study's types of corruption (mCE "
    f"without a normaliser); attacks are not among them. {ERRORS} The worst class is the one with the lowest clean "
    f"accuracy. {ONE_VALUE_AN_IMAGE} {INTERVALS} Of an adapted run all seeds count. Left out of the means, counted in "
    "image-cells: images that cannot reach their SSIM band (unreachable), and answers that failed. The rows of all "
    "data sets are means over data sets of the runs that have every one. A run that does not beat the best baseline's "
    "clean accuracy is marked."
)
ALL_DATASETS = "mean over data sets"
"""What the last rows have for a data set; no card can have such a name."""

_MEASURES = ("clean_error", "clean_error_relative", "mean_error", "mce", "rce", "be", "rbe")
_ANY, _ABOVE_ZERO, _SHARE = (-math.inf, math.inf), (0.0, math.inf), (0.0, 1.0)
_LIMITS = {"clean_error": _SHARE, "mean_error": _SHARE, "rce": _ANY, "rbe": _ANY}


def build(spec: TableSpec, frame: pd.DataFrame) -> pd.DataFrame:
    """One row a data set and run, also where there are no scores, then one a run of all data sets, if they are several.

    `n_ce_types`, `n_rce_types`, `n_be_types` and `n_rbe_types` are how many types a mean is over.
    """
    rows: list[dict[str, Any]] = []
    measured: dict[str, list[tuple[int, dict[str, Floats]]]] = {run: [] for run in spec.runs}
    fewer: set[str] = set()
    for dataset in spec.datasets:
        before = len(rows)
        found = dataset_errors(spec, frame, dataset)
        own = frame[frame["dataset"] == dataset]
        for run in spec.runs_on(dataset):
            numbers = _measured(found, run)
            errors = found.runs.get(run)
            groups = 0 if errors is None else errors.groups
            measured[run].append((groups, numbers))
            rows.append(_row(spec, own[own["run"] == run], found, numbers, dataset, run))
        gone = _with_fewer_cells(spec, own, dataset)
        _mark(spec, rows[before:], {run: parts[-1] for run, parts in measured.items() if parts and run not in gone})
        fewer |= gone
    primary = primary_metric(spec)
    mark_against_baselines(spec, rows, primary, primary)
    if len(spec.datasets) > 1:
        means = {run: mean for run, parts in measured.items() if (mean := _over_datasets(spec, parts)) is not None}
        over = [_overall(spec, run, *found) for run, found in means.items()]
        _mark(spec, over, {run: mean for run, mean in means.items() if run not in fewer})
        rows += over
    return typed(rows)


def _with_fewer_cells(spec: TableSpec, scores: pd.DataFrame, dataset: str) -> set[str]:
    """The runs whose errors on a data set are over other types and levels than those of the rest."""
    made = scores["perturbation"].isin(spec.perturbations_on(dataset)) & scores["level"].isin(spec.levels)
    counted = (scores["metric"] == error_metric(spec, dataset)) & scores["status"].isin(SCORED)
    return set(runs_with_fewer_cells(spec, scores[made & counted]))


def _mark(spec: TableSpec, rows: list[dict[str, Any]], measured: Mapping[str, tuple[int, dict[str, Floats]]]) -> None:
    """What differences between mean errors are noise."""
    errors = {row["run"]: measured[row["run"]] for row in rows if row["run"] in measured}
    groups = min((count for count, numbers in errors.values() if numbers), default=0)
    means = {run: numbers["mean_error"] for run, (_, numbers) in errors.items() if "mean_error" in numbers}
    mark_noise(spec, rows, means, groups)


def _measured(found: DatasetErrors, run: str) -> dict[str, Floats]:
    """Every measure of a run that there is, [resampled]."""
    errors = found.runs.get(run)
    if errors is None:
        return {}
    numbers = {"clean_error": errors.clean, "mean_error": over_types(errors.by_type)}
    if found.normaliser is not None:
        base = found.normaliser
        numbers["clean_error_relative"] = relative_clean_error(errors, base.errors, base.unit)
    if (beside := found.against_normaliser(run)) is not None:
        numbers |= {"mce": over_types(beside.absolute), "rce": over_types(beside.relative)}
    if (beside := found.against_alexnet(run)) is not None:
        numbers |= {"be": over_types(beside.absolute), "rbe": over_types(beside.relative)}
    return numbers


def _estimates(spec: TableSpec, numbers: Mapping[str, Floats], groups: int) -> dict[str, Estimate]:
    limits = {name: _LIMITS.get(name, _ABOVE_ZERO) for name in _MEASURES}
    return {name: estimate_or_none(spec, numbers.get(name), groups, limits[name]) for name in _MEASURES}


def _row(
    spec: TableSpec, scores: pd.DataFrame, found: DatasetErrors, numbers: dict[str, Floats], dataset: str, run: str
) -> dict[str, Any]:
    images = scores.drop_duplicates("sample_id")
    row: dict[str, Any] = {
        "dataset": dataset,
        "run": run,
        "n_samples": len(images),
        "n_groups": images["group_id"].nunique(),
        "group_unit": spec.split_units[dataset],
    }
    clean = clean_scores(scores)
    clean = clean[clean["status"].isin(SCORED)]
    values = {
        metric: estimate_column(clean[clean["metric"] == metric], "value", metric, dataset, spec.statistics)
        for metric in spec.metrics
    }
    for metric, value in values.items():
        row |= columns_of(metric, value)
    errors = found.runs.get(run)
    estimates = _estimates(spec, numbers, 0 if errors is None else errors.groups)
    row["error_metric"] = error_metric(spec, dataset)
    row["normaliser"] = spec.classification.normaliser
    for name, value in estimates.items():
        row |= columns_of(name, value)
    row |= _counts(found, run) | _worst(clean)
    row["interval"] = interval_text(spec, *values.values(), estimates["clean_error"])
    return row | _left_out(scores[scores["metric"] == primary_metric(spec)])


def _counts(found: DatasetErrors, run: str) -> dict[str, int]:
    """How many types each mean is over."""
    pairs = {"ce": found.against_normaliser(run), "be": found.against_alexnet(run)}
    errors = found.runs.get(run)
    counts = {"n_types": 0 if errors is None else int(np.isfinite(errors.by_type[0]).sum())}
    for name, beside in pairs.items():
        for prefix, part in (("", "absolute"), ("r", "relative")):
            given = 0 if beside is None else int(np.isfinite(getattr(beside, part)[0]).sum())
            counts[f"n_{prefix}{name}_types"] = given
    return counts


def _worst(clean: pd.DataFrame) -> dict[str, Any]:
    """The class with the lowest clean accuracy; nothing where images have several labels."""
    own = clean[(clean["metric"] == "accuracy") & (clean["object_id"].astype(str) != "")]
    means = own.groupby(own["object_id"].astype(str))["value"].mean()
    if means.empty:
        return {"worst_class": None, "worst_class_accuracy": None}
    return {"worst_class": means.idxmin(), "worst_class_accuracy": float(means.min())}


def _left_out(scores: pd.DataFrame) -> dict[str, int]:
    counts = left_out(scores)
    return {name: counts[name] for name in ("n_unreachable", "n_failed")}


def _over_datasets(spec: TableSpec, parts: list[tuple[int, dict[str, Floats]]]) -> tuple[int, dict[str, Floats]] | None:
    """Means of a run over all data sets, which are resampled independently; None where it lacks one of them."""
    if len(parts) < len(spec.datasets) or not all(numbers for _, numbers in parts):
        return None
    # The fewest groups, so that the interval is rather too long than too short.
    groups = min(count for count, _ in parts)
    shared = [name for name in _MEASURES if all(name in numbers for _, numbers in parts)]
    length = min(len(numbers["clean_error"]) for _, numbers in parts)
    return groups, {name: np.mean([numbers[name][:length] for _, numbers in parts], axis=0) for name in shared}


def _overall(spec: TableSpec, run: str, groups: int, means: dict[str, Floats]) -> dict[str, Any]:
    row: dict[str, Any] = {"dataset": ALL_DATASETS, "run": run, "normaliser": spec.classification.normaliser}
    estimates = _estimates(spec, means, groups)
    for name, value in estimates.items():
        row |= columns_of(name, value)
    return row | {"interval": interval_text(spec, estimates["clean_error"])}


def display(spec: TableSpec, table: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it."""
    primary = primary_metric(spec)
    datasets = dataset_titles(spec) | {ALL_DATASETS: "All data sets"}
    runs = run_titles(spec)
    shown_metrics = [metric for metric in spec.metrics if table[metric].notna().any()]
    rows = []
    for row in table.to_dict("records"):
        everywhere = row["dataset"] == ALL_DATASETS
        shown = {
            "Data set": datasets[row["dataset"]],
            "Run": runs[row["run"]],
            "Images": NOTHING if everywhere else f"{row['n_samples']} ({plural(row['n_groups'], row['group_unit'])})",
        }
        for metric in shown_metrics:
            shown[METRICS[metric].title] = estimate_text(
                row, metric, METRICS[metric].digits, interval=metric == primary
            )
        shown["Clean error"] = estimate_text(row, "clean_error", 3, interval=False)
        shown["Mean error"] = marked(estimate_text(row, "mean_error", 3), row)
        shown |= _relative_texts(spec, table, row)
        worst = row["worst_class"]
        shown["Worst class"] = NOTHING if pd.isna(worst) else f"{worst} {number(row['worst_class_accuracy'], 3)}"
        for title, name in {"Unreachable": "n_unreachable", "Failed": "n_failed"}.items():
            shown[title] = NOTHING if everywhere else str(row[name])
        rows.append(shown | {"Beats baselines": verdict_text(row["beats_baselines"])})
    return pd.DataFrame(rows)


def _relative_texts(spec: TableSpec, table: pd.DataFrame, row: dict[Any, Any]) -> dict[str, str]:
    """Errors relative to the normaliser and to AlexNet, where the study has them."""
    name, shown = spec.classification.normaliser, {}
    if name is not None and name != ALEXNET_NAME:
        title = normaliser_title(spec)
        shown[f"Clean error, {title} = 100"] = relative_text(spec, row["clean_error_relative"])
        shown["mCE"] = _with_interval(row, "mce", 1)
        shown["rCE"] = _with_interval(row, "rce", 1)
    if table["be"].notna().any():
        shown |= {"BE": _with_interval(row, "be", 3), "rBE": _with_interval(row, "rbe", 3)}
    return shown


def _with_interval(row: dict[Any, Any], name: str, digits: int) -> str:
    # Not few groups: a resample may have no quotient.
    return estimate_text(row, name, digits, interval=not pd.isna(row[f"{name}_low"]))


def remarks(spec: TableSpec, table: pd.DataFrame) -> list[str]:
    """What differences between mean errors are noise."""
    return noise_remarks(spec, table, "mean error", 3, column="mean_error")


def notes(spec: TableSpec, frame: pd.DataFrame) -> list[str]:
    """What is missing."""
    # Beside AlexNet, corruption errors are BE and rBE.
    beside_run = spec.classification.normaliser != ALEXNET_NAME
    return [
        *missing_baselines(spec),
        *missing_scores(spec, frame),
        *undefined_notes(spec, frame),
        *(error_notes(spec, frame) if beside_run else []),
        *benchmark_notes(spec),
    ]
