"""The headline table: each run on each data set, clean and perturbed."""

from typing import Any

import numpy as np
import pandas as pd

from medstress.score.bootstrap import Estimate, estimate_column
from medstress.score.compared import means_of_runs
from medstress.score.metrics import METRICS, primary_metric
from medstress.score.robustness import SCORED, clean_scores, left_out, paired_drops, relative_robustness
from medstress.score.titles import dataset_titles, plural, run_titles
from medstress.table_spec import TableSpec
from medstress.tables.baselines import mark_against_baselines, missing_baselines, verdict_text
from medstress.tables.layout import (
    INTERVALS,
    NOTHING,
    VALID_PIXELS,
    columns_of,
    drop_title,
    estimate_text,
    interval_text,
    number,
    typed,
)
from medstress.tables.missing import missing_scores
from medstress.tables.noise_marks import mark_noise, marked, noise_remarks

TITLE = "Segmentation: clean scores and what perturbations take away"
CAPTION = (
    "Means over objects; HD95 in pixels. Perturbed scores and drops are means over all pairs of an object and a "
    "reachable cell (a perturbation at a level), each pair weighing the same. Drops are paired: clean minus perturbed "
    "of one object, and for HD95 perturbed minus clean (a rise), so that a positive number is always a loss. ΔTP is "
    "the published, unpaired form: the mean of all clean scores less the mean of all perturbed ones, which are over "
    "different objects where cells are left out. Kept is the mean perturbed score over the mean clean score of the "
    f"same pairs. {VALID_PIXELS} {INTERVALS} An empty prediction scores IoU = Dice = NSD = 0 and the longest distance "
    "of the image as HD95. Left out of the means, counted in object-cells: images that cannot reach their SSIM band "
    "(unreachable), objects that left the frame (lost), and answers that failed. Of a strategy all seeds count, so a "
    "cell counts once a seed. A run that does not beat the best baseline on clean images is marked."
)


def build(spec: TableSpec, frame: pd.DataFrame) -> pd.DataFrame:
    """One row a data set and run of the study, also where there are no scores."""
    pairs = paired_drops(frame)
    primary, rows = primary_metric(spec), []
    # Rows are millions, and looked through once.
    of_scores, of_pairs = (one.groupby(["dataset", "run"], observed=True).indices for one in (frame, pairs))
    nothing = np.empty(0, np.intp)
    for dataset in spec.datasets:
        own = [
            _row(
                spec,
                frame.take(np.asarray(of_scores.get((dataset, run), nothing))),
                pairs.take(np.asarray(of_pairs.get((dataset, run), nothing))),
                dataset,
                run,
            )
            for run in spec.runs_on(dataset)
        ]
        counted = pairs[(pairs["dataset"] == dataset) & (pairs["metric"] == primary) & pairs["scored"]]
        mark_noise(spec, own, *means_of_runs(spec, counted, "drop", dataset))
        rows += own
    mark_against_baselines(spec, rows, f"{primary}_clean", primary)
    return typed(rows)


def _row(spec: TableSpec, scores: pd.DataFrame, paired: pd.DataFrame, dataset: str, run: str) -> dict[str, Any]:
    objects = scores.drop_duplicates(["sample_id", "object_id"])
    row: dict[str, Any] = {
        "dataset": dataset,
        "run": run,
        "n_objects": len(objects),
        "n_groups": objects["group_id"].nunique(),
        "group_unit": spec.split_units[dataset],
    }
    estimates: list[Estimate] = []
    for metric in spec.metrics:
        clean = clean_scores(scores)
        clean = clean[(clean["metric"] == metric) & clean["status"].isin(SCORED)]
        counted = paired[(paired["metric"] == metric) & paired["scored"]]
        named = {
            "clean": estimate_column(clean, "value", metric, dataset, spec.statistics),
            "perturbed": estimate_column(counted, "perturbed", metric, dataset, spec.statistics),
            "drop": estimate_column(counted, "drop", metric, dataset, spec.statistics),
        }
        for name, value in named.items():
            estimates.append(value)
            row |= columns_of(f"{metric}_{name}", value)
        if not METRICS[metric].smaller_is_better:
            row[f"{metric}_kept"] = relative_robustness(counted)
        row[f"{metric}_delta_tp"] = _delta_tp(metric, named["clean"], named["perturbed"])
    row["interval"] = interval_text(spec, *estimates)
    first = scores["metric"] == primary_metric(spec)
    row["n_pairs"] = int((paired["scored"] & (paired["metric"] == primary_metric(spec))).sum())
    return row | left_out(scores[first])


def _delta_tp(metric: str, clean: Estimate, perturbed: Estimate) -> float | None:
    """The published total: the mean of all clean scores less that of all perturbed ones, or the other way round."""
    if clean.mean is None or perturbed.mean is None:
        return None
    return (clean.mean - perturbed.mean) * (-1 if METRICS[metric].smaller_is_better else 1)


def display(spec: TableSpec, table: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it."""
    primary = primary_metric(spec)
    rows, datasets, runs = [], dataset_titles(spec), run_titles(spec)
    for row in table.to_dict("records"):
        shown = {
            "Data set": datasets[row["dataset"]],
            "Run": runs[row["run"]],
            "Objects": f"{row['n_objects']} ({plural(row['n_groups'], row['group_unit'])})",
        }
        for metric in spec.metrics:
            text = estimate_text(row, f"{metric}_clean", METRICS[metric].digits, interval=metric == primary)
            shown[f"Clean {METRICS[metric].title}"] = text
        shown[f"Perturbed {METRICS[primary].title}"] = number(row[f"{primary}_perturbed"], METRICS[primary].digits)
        for metric in spec.metrics:
            text = estimate_text(row, f"{metric}_drop", METRICS[metric].digits, interval=metric == primary)
            shown[drop_title(metric)] = marked(text, row) if metric == primary else text
        shown["ΔTP"] = number(row[f"{primary}_delta_tp"], METRICS[primary].digits)
        if not METRICS[primary].smaller_is_better:
            shown["Kept"] = NOTHING if pd.isna(row[f"{primary}_kept"]) else f"{row[f'{primary}_kept']:.1%}"
        counts = {"Unreachable": "n_unreachable", "Lost": "n_object_lost", "Failed": "n_failed", "Empty": "n_empty"}
        shown |= {title: str(row[name]) for title, name in counts.items()}
        rows.append(shown | {"Beats baselines": verdict_text(row["beats_baselines"])})
    return pd.DataFrame(rows)


def remarks(spec: TableSpec, table: pd.DataFrame) -> list[str]:
    """What differences between drops are noise."""
    metric = primary_metric(spec)
    return noise_remarks(spec, table, drop_title(metric), METRICS[metric].digits, column=f"{metric}_drop")


def notes(spec: TableSpec, frame: pd.DataFrame) -> list[str]:
    """What is missing."""
    return missing_baselines(spec) + missing_scores(spec, frame)
