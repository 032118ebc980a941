"""What a few labelled images gain, clean and under corruption: mean and spread over seeds, beside the start."""

import math
from typing import Any

import numpy as np
import pandas as pd

from medstress.cards.strategy import FewShot
from medstress.errors import MedstressError
from medstress.score.bootstrap import Estimate, estimate
from medstress.score.compared import means_of_runs
from medstress.score.corruption_error import (
    ALEXNET_NAME,
    corruption_errors,
    error_metric,
    errors_of,
    normaliser_of,
    over_types,
)
from medstress.score.metrics import METRICS
from medstress.score.robustness import SCORED, left_out
from medstress.score.titles import dataset_titles, run_titles
from medstress.table_spec import TableSpec
from medstress.tables.class_errors import (
    ERRORS,
    ONE_VALUE_AN_IMAGE,
    error_notes,
    normaliser_title,
    points_only,
    relative_text,
)
from medstress.tables.layout import INTERVALS, NOTHING, columns_of, estimate_text, interval_text, number, typed
from medstress.tables.missing import missing_scores
from medstress.tables.noise_marks import mark_noise, marked, noise_remarks

TITLE = "Classification: few-shot adaptation over seeds"
CAPTION = (
    "Each adapted run beside the run that it starts from. Errors are means over images, then over seeds; the spread "
    "behind the sign is the standard deviation over seeds (n - 1), which says nothing about other images and is itself "
    f"rough where seeds are few. {ERRORS} Gains are paired, the adapted run's score less the start's for the same "
    "image and cell, over all seeds: positive is better; under corruption over all types and levels. "
    f"{ONE_VALUE_AN_IMAGE} {INTERVALS} A few-shot source of val means that images of the val split were learnt from."
)
_MEASURES = {"clean_error": "Clean error", "mean_error": "Mean error", "mce": "mCE"}
_KEY = ["sample_id", "object_id", "perturbation", "level"]


def build(spec: TableSpec, frame: pd.DataFrame) -> pd.DataFrame:
    """One row a data set and adapted run that is scored there.

    Raises MedstressError where the study has no adapted classifier.
    """
    if not spec.adapted:
        raise MedstressError(
            "table classification_fewshot: the study has no adapted classifier. "
            "Name one under `runs`, such as tiny_clip+fewshot10, or leave the table out."
        )
    quick = points_only(spec)
    rows: list[dict[str, Any]] = []
    for dataset in spec.datasets:
        metric = error_metric(spec, dataset)
        own = frame[(frame["dataset"] == dataset) & (frame["metric"] == metric)]
        start = errors_of(quick, own, dataset, metric)
        base = normaliser_of(quick, dataset, start)
        before, corrupted = len(rows), []
        for run in spec.runs_on(dataset):
            if run not in spec.adapted:
                continue
            scores = own[own["run"] == run]
            row: dict[str, Any] = {
                "dataset": dataset,
                "run": run,
                "starts_from": spec.adapted[run],
                **_few_shot(spec.few_shot.get(run)),
                "n_seeds": scores["seed"].nunique(),
                "n_samples": scores["sample_id"].nunique(),
                "error_metric": metric,
                "normaliser": spec.classification.normaliser,
            }
            by_seed: dict[str, list[float]] = {name: [] for name in _MEASURES}
            for seed in sorted(scores["seed"].unique()):
                errors = errors_of(quick, scores[scores["seed"] == seed], dataset, metric)
                if run not in errors:
                    continue
                by_seed["clean_error"].append(float(errors[run].clean[0]))
                by_seed["mean_error"].append(float(over_types(errors[run].by_type)[0]))
                if base is not None:
                    quotients = corruption_errors(errors[run], base.errors, base.unit)
                    by_seed["mce"].append(float(over_types(quotients)[0]))
            for name, numbers in by_seed.items():
                row |= _spread(name, numbers)
            pairs = _paired(own, scores, spec.adapted[run])
            corrupted.append(pairs[pairs["level"] > 0].assign(run=run))
            rows.append(row | _gains(spec, pairs, scores, dataset, metric))
        if corrupted:
            means = means_of_runs(spec, pd.concat(corrupted, ignore_index=True), "gain", dataset)
            mark_noise(spec, rows[before:], *means, largest=True)
    return typed(rows)


def _few_shot(few: FewShot | None) -> dict[str, Any]:
    return {
        "few_shot_source": few.source if few else None,
        "fraction": few.fraction if few else None,
        "n_shots": few.shots if few else None,
    }


def _spread(name: str, numbers: list[float]) -> dict[str, float | None]:
    given = np.array([one for one in numbers if math.isfinite(one)])
    return {
        name: float(given.mean()) if given.size else None,
        f"{name}_sd": float(given.std(ddof=1)) if given.size > 1 else None,
        f"{name}_min": float(given.min()) if given.size else None,
        f"{name}_max": float(given.max()) if given.size else None,
    }


def _paired(own: pd.DataFrame, scores: pd.DataFrame, start: str) -> pd.DataFrame:
    """The adapted run's values less the start's of the same images and cells, in `gain`."""
    columns = [*_KEY, "seed", "group_id", "value"]
    here = scores[scores["status"].isin(SCORED)][columns]
    there = own[(own["run"] == start) & own["status"].isin(SCORED)]
    # An adapted run may start from another; then its seeds are averaged.
    before = there.groupby(_KEY, observed=True)["value"].mean().rename("before").reset_index()
    pairs = here.merge(before, on=_KEY)
    return pairs.assign(gain=pairs["value"] - pairs["before"])


def _gains(spec: TableSpec, pairs: pd.DataFrame, scores: pd.DataFrame, dataset: str, metric: str) -> dict[str, Any]:
    """Mean gains, clean and under corruption."""
    reach = METRICS[metric].largest - METRICS[metric].smallest
    parts = {"clean_gain": pairs[pairs["level"] == 0], "corrupted_gain": pairs[pairs["level"] > 0]}
    values: dict[str, Estimate] = {
        name: estimate(part["gain"], part["group_id"], dataset, spec.statistics, (-reach, reach))
        for name, part in parts.items()
    }
    row: dict[str, Any] = {}
    for name, value in values.items():
        row |= columns_of(name, value)
    counts = left_out(scores)
    return row | {
        "interval": interval_text(spec, *values.values()),
        "n_groups": max(value.n_groups for value in values.values()),
        "n_pairs": sum(value.n_values for value in values.values()),
        "n_unreachable": counts["n_unreachable"],
        "n_failed": counts["n_failed"],
    }


def display(spec: TableSpec, table: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it."""
    datasets, runs = dataset_titles(spec), run_titles(spec)
    rows = []
    for row in table.to_dict("records"):
        shown = {
            "Data set": datasets[row["dataset"]],
            "Run": runs[row["run"]],
            "Starts from": runs.get(row["starts_from"], row["starts_from"]),
            "Learnt from": _source_text(row),
            "Seeds": str(row["n_seeds"]),
            "Images": str(row["n_samples"]),
        }
        for name, title in _MEASURES.items():
            if name != "mce":
                shown[title] = _spread_text(number(row[name], 3), number(row[f"{name}_sd"], 3))
            elif spec.classification.normaliser is not None:
                mean, spread = (relative_text(spec, row[column]) for column in ("mce", "mce_sd"))
                shown[f"{title}, {normaliser_title(spec)} = {_unit(spec)}"] = _spread_text(mean, spread)
        shown["Clean gain"] = estimate_text(row, "clean_gain", 3)
        shown["Gain under corruption"] = marked(estimate_text(row, "corrupted_gain", 3), row)
        rows.append(shown | {"Unreachable": str(row["n_unreachable"]), "Failed": str(row["n_failed"])})
    return pd.DataFrame(rows)


def _unit(spec: TableSpec) -> int:
    return 1 if spec.classification.normaliser == ALEXNET_NAME else 100


def _spread_text(mean: str, spread: str) -> str:
    return mean if spread == NOTHING else f"{mean} ± {spread}"


def _source_text(row: dict[Any, Any]) -> str:
    if pd.isna(row["few_shot_source"]):
        return "train"
    if pd.isna(row["fraction"]):
        return f"{row['n_shots']} a class of {row['few_shot_source']}"
    return f"{100 * row['fraction']:g}% of {row['few_shot_source']}"


def remarks(spec: TableSpec, table: pd.DataFrame) -> list[str]:
    """What differences between gains are noise."""
    return noise_remarks(spec, table, "gain under corruption", 3, column="corrupted_gain", best="largest")


def notes(spec: TableSpec, frame: pd.DataFrame) -> list[str]:
    """What is missing."""
    return missing_scores(spec, frame) + error_notes(spec, frame)
