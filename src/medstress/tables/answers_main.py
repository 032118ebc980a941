"""What the headline tables of questions, captions and boxes share: a row a data set, run and metric."""

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from medstress.score.bootstrap import estimate_column
from medstress.score.compared import means_of_runs
from medstress.score.metrics import METRICS
from medstress.score.robustness import clean_scores, counts, paired_drops
from medstress.score.titles import dataset_titles, plural, run_titles
from medstress.table_spec import TableSpec
from medstress.tables.baselines import mark_against_baselines, missing_baselines, verdict_text
from medstress.tables.layout import (
    INTERVALS,
    NO_ANSWERS,
    NOTHING,
    columns_of,
    estimate_text,
    interval_text,
    number,
    typed,
)
from medstress.tables.missing import missing_scores
from medstress.tables.noise_marks import mark_noise, marked, noise_remarks

CAPTION = (
    "Clean is the mean over the samples of the split. Each type of perturbation has the mean over all its levels, and "
    "the average is that over all types: means over pairs of a sample and a reachable cell, which all weigh the same. "
    "The drop is paired, clean minus perturbed of one sample, and for flips the other way round, so that a positive "
    "number is always a loss. ΔTP is the published, unpaired form: the mean of all clean scores less that of all "
    f"perturbed ones. {INTERVALS} {NO_ANSWERS} Images that cannot reach their SSIM band are left out. Counts are of "
    "sample-cells, once a seed. A run that does not beat the best baseline on clean images is marked; a model that is "
    "not shown the image is a baseline."
)
COUNTED = {
    "n_empty": "empty",
    "n_refused": "refused",
    "n_unparsable": "unparsable",
    "n_unreachable": "unreachable",
    "n_object_lost": "object_lost",
}
"""Columns of counts, and the status that each counts."""


def counts_of(scores: pd.DataFrame) -> dict[str, int]:
    """How many scores of one metric have each status; `n_failed` is what remains: requests without an answer."""
    given = scores["status"].astype(str).value_counts()
    found = {name: int(given.get(status, 0)) for name, status in COUNTED.items()}
    return found | {"n_failed": len(scores) - sum(found.values()) - int(given.get("ok", 0))}


def perturbed_column(perturbation: str) -> str:
    """What the column of a type's mean is called."""
    return f"perturbed_{perturbation}"


def build(spec: TableSpec, frame: pd.DataFrame) -> pd.DataFrame:
    """One row a data set, run and metric, also where a run has no scores; metrics that no run has are left out."""
    pairs = paired_drops(frame)
    rows = [row for dataset in spec.datasets for row in _rows(spec, frame, pairs, dataset)]
    for dataset, metric in dict.fromkeys((row["dataset"], row["metric"]) for row in rows):
        block = [row for row in rows if (row["dataset"], row["metric"]) == (dataset, metric)]
        counted = pairs[(pairs["dataset"] == dataset) & (pairs["metric"] == metric) & pairs["scored"]]
        mark_noise(spec, block, *means_of_runs(spec, counted, "drop", dataset))
    for metric in spec.metrics:
        if METRICS[metric].of_pair:
            continue
        mark_against_baselines(spec, [row for row in rows if row["metric"] == metric], "clean", metric)
    return typed(rows)


def _rows(spec: TableSpec, frame: pd.DataFrame, pairs: pd.DataFrame, dataset: str) -> Iterator[dict[str, Any]]:
    own, paired = frame[frame["dataset"] == dataset], pairs[pairs["dataset"] == dataset]
    there = set(own["metric"].unique())
    for run in spec.runs_on(dataset):
        scores, losses = own[own["run"] == run], paired[paired["run"] == run]
        for metric in spec.metrics:
            if metric in there or not there:
                of_metric = scores[scores["metric"] == metric], losses[losses["metric"] == metric]
                yield {"dataset": dataset, "run": run, "metric": metric} | _row(spec, *of_metric, metric, dataset)


def _row(spec: TableSpec, scores: pd.DataFrame, pairs: pd.DataFrame, metric: str, dataset: str) -> dict[str, Any]:
    clean, counted = clean_scores(scores), pairs[pairs["scored"]]
    answered = clean[counts(clean["status"], clean["value"])]
    samples = scores.drop_duplicates("sample_id")
    values = {
        "clean": estimate_column(answered, "value", metric, dataset, spec.statistics),
        "perturbed": estimate_column(counted, "perturbed", metric, dataset, spec.statistics),
        "drop": estimate_column(counted, "drop", metric, dataset, spec.statistics),
    }
    row: dict[str, Any] = {
        "n_samples": len(samples),
        "n_groups": samples["group_id"].nunique(),
        "group_unit": spec.split_units[dataset],
    }
    for name, value in values.items():
        row |= columns_of(name, value)
    row["interval"] = interval_text(spec, *values.values())
    worst = (len(clean) - len(answered)) * METRICS[metric].smallest
    row["clean_failed_as_wrong"] = (answered["value"].sum() + worst) / len(clean) if len(clean) else None
    by_type = counted.groupby("perturbation", observed=True)["perturbed"].mean()
    row |= {perturbed_column(name): by_type.get(name) for name in spec.perturbations}
    row["delta_tp"] = _delta_tp(metric, values["clean"].mean, values["perturbed"].mean)
    row["share_worse"] = float((counted["drop"] > 0).mean()) if len(counted) else None
    row["share_better"] = float((counted["drop"] < 0).mean()) if len(counted) else None
    row["n_pairs"] = len(counted)
    return row | counts_of(scores) | {"beats_baselines": None}


def _delta_tp(metric: str, clean: float | None, perturbed: float | None) -> float | None:
    """The published total: clean less perturbed, or the other way round where smaller is better."""
    if clean is None or perturbed is None:
        return None
    return (clean - perturbed) * (-1 if METRICS[metric].smaller_is_better else 1)


def display_of(spec: TableSpec, table: pd.DataFrame, metrics: Sequence[str], titles: dict[str, str]) -> pd.DataFrame:
    """The table as people read it: these `metrics`, and columns of counts with these `titles`."""
    rows, datasets, runs = [], dataset_titles(spec), run_titles(spec)
    for row in table[table["metric"].isin(list(metrics))].to_dict("records"):
        metric = METRICS[row["metric"]]
        shown = {
            "Data set": datasets[row["dataset"]],
            "Run": runs[row["run"]],
            "Metric": metric.title,
            "Samples": f"{row['n_samples']} ({plural(row['n_groups'], row['group_unit'])})",
            "Clean": NOTHING if metric.of_pair else estimate_text(row, "clean", metric.digits),
        }
        shown |= {name: number(row[perturbed_column(name)], metric.digits) for name in spec.perturbations}
        average, drop = (estimate_text(row, name, metric.digits) for name in ("perturbed", "drop"))
        # Of flips, which clean images have none of, the average is the loss.
        shown["Average"] = marked(average, row) if metric.of_pair else average
        shown["Drop"] = NOTHING if metric.of_pair else marked(drop, row)
        shown["ΔTP"] = NOTHING if metric.of_pair else number(row["delta_tp"], metric.digits)
        shown |= {title: str(row[name]) for name, title in titles.items()}
        rows.append(shown | {"Beats baselines": verdict_text(row["beats_baselines"])})
    return pd.DataFrame(rows)


def remarks_of(spec: TableSpec, table: pd.DataFrame, metrics: Sequence[str]) -> list[str]:
    """What differences between the drops of these `metrics` are noise."""
    titles = {metric: METRICS[metric].title for metric in metrics}
    digits = {metric: METRICS[metric].digits for metric in metrics}
    shown = table[table["metric"].isin(list(metrics))]
    return noise_remarks(spec, shown, "drop", digits, column="drop", by=("dataset", "metric"), titles=titles)


def notes(spec: TableSpec, frame: pd.DataFrame) -> list[str]:
    """What is made for a part of the images, and what is missing."""
    return [*_partial(spec, frame), *missing_baselines(spec), *missing_scores(spec, frame)]


def _partial(spec: TableSpec, frame: pd.DataFrame) -> Iterator[str]:
    titles = dataset_titles(spec)
    for dataset, names in spec.partial.items():
        if dataset not in titles:
            continue
        own = frame[frame["dataset"] == dataset]
        found = own.groupby("perturbation", observed=True)["sample_id"].nunique()
        total = own["sample_id"].nunique()
        counted = ", ".join(f"{name} ({found.get(name, 0)})" for name in names)
        yield (
            f"{titles[dataset]}: of {total} samples, some types are made for those of one modality alone: "
            f"{counted}. Their columns are means over these, and so are their parts of the average and of ΔTP; "
            "the drop compares the same samples."
        )
