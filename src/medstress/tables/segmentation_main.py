"""The headline table: each run on each data set, clean and perturbed."""

from typing import Any

import pandas as pd

from medstress.config import TableSpec
from medstress.score.bootstrap import Estimate, estimate
from medstress.score.robustness import (
    SCORED,
    SMALLER_IS_BETTER,
    clean_scores,
    left_out,
    paired_drops,
    relative_robustness,
)
from medstress.tables.layout import (
    METRIC_TITLES,
    NOTHING,
    columns_of,
    digits_of,
    drop_title,
    estimate_text,
    interval_text,
    number,
    plural,
    primary_metric,
    typed,
)
from medstress.tables.missing import missing_scores

TITLE = "Segmentation: clean scores and what perturbations take away"
CAPTION = (
    "Means over objects; HD95 in pixels. Perturbed scores and drops are means over all pairs of an object and a "
    "reachable cell (a perturbation at a level), each pair weighing the same. Drops are paired: clean minus perturbed "
    "of one object, and for HD95 perturbed minus clean (a rise), so that a positive number is always a loss. Kept is "
    "the mean perturbed score over the mean clean score of the same pairs. Brackets are intervals from a bootstrap of "
    "groups. An empty prediction scores IoU = Dice = NSD = 0 and the longest distance of the image as HD95. Left out "
    "of the means, counted in object-cells: images that cannot reach their SSIM band (unreachable), objects that left "
    "the frame (lost), and answers that failed. A run that does not beat the best baseline on clean images is marked."
)


def build(spec: TableSpec, frame: pd.DataFrame) -> pd.DataFrame:
    """One row a data set and run of the study, also where there are no scores."""
    pairs = paired_drops(frame)
    rows = [_row(spec, frame, pairs, dataset, run) for dataset in spec.datasets for run in spec.runs]
    primary = f"{primary_metric(spec)}_clean"
    for row in rows:
        rivals = [item[primary] for item in rows if item["dataset"] == row["dataset"] and item["run"] in spec.baselines]
        row["beats_baselines"] = _verdict(spec, row, [value for value in rivals if value is not None], primary)
    return typed(rows)


def _verdict(spec: TableSpec, row: dict[str, Any], rivals: list[float], primary: str) -> str | None:
    if row["run"] in spec.baselines:
        return "baseline"
    if row[primary] is None or not rivals:
        return None
    if primary_metric(spec) in SMALLER_IS_BETTER:
        return "yes" if row[primary] < min(rivals) else "no"
    return "yes" if row[primary] > max(rivals) else "no"


def _row(spec: TableSpec, frame: pd.DataFrame, pairs: pd.DataFrame, dataset: str, run: str) -> dict[str, Any]:
    scores = frame[(frame["dataset"] == dataset) & (frame["run"] == run)]
    paired = pairs[(pairs["dataset"] == dataset) & (pairs["run"] == run)]
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
        columns = [("clean", clean, "value"), ("perturbed", counted, "perturbed"), ("drop", counted, "drop")]
        for name, source, column in columns:
            value = estimate(source[column], source["group_id"], dataset, spec.statistics)
            estimates.append(value)
            row |= columns_of(f"{metric}_{name}", value)
        if metric not in SMALLER_IS_BETTER:
            row[f"{metric}_kept"] = relative_robustness(counted)
    row["interval"] = interval_text(spec, *estimates)
    first = scores["metric"] == primary_metric(spec)
    row["n_pairs"] = int((paired["scored"] & (paired["metric"] == primary_metric(spec))).sum())
    return row | left_out(scores[first])


def display(spec: TableSpec, table: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it."""
    primary = primary_metric(spec)
    rows = []
    for row in table.to_dict("records"):
        shown = {
            "Data set": spec.datasets[row["dataset"]],
            "Run": spec.runs[row["run"]],
            "Objects": f"{row['n_objects']} ({plural(row['n_groups'], row['group_unit'])})",
        }
        for metric in spec.metrics:
            text = estimate_text(row, f"{metric}_clean", digits_of(metric), interval=metric == primary)
            shown[f"Clean {METRIC_TITLES[metric]}"] = text
        shown[f"Perturbed {METRIC_TITLES[primary]}"] = number(row[f"{primary}_perturbed"], digits_of(primary))
        for metric in spec.metrics:
            text = estimate_text(row, f"{metric}_drop", digits_of(metric), interval=metric == primary)
            shown[drop_title(metric)] = text
        if primary not in SMALLER_IS_BETTER:
            shown["Kept"] = NOTHING if pd.isna(row[f"{primary}_kept"]) else f"{row[f'{primary}_kept']:.1%}"
        counts = {"Unreachable": "n_unreachable", "Lost": "n_object_lost", "Failed": "n_failed", "Empty": "n_empty"}
        shown |= {title: str(row[name]) for title, name in counts.items()}
        verdict = row["beats_baselines"]
        shown["Beats baselines"] = NOTHING if pd.isna(verdict) else {"no": "**NO**"}.get(verdict, verdict)
        rows.append(shown)
    return pd.DataFrame(rows)


def notes(spec: TableSpec, frame: pd.DataFrame) -> list[str]:
    """What is missing."""
    baselines = [] if spec.baselines else ["The study has no baseline, so no run is compared with one."]
    return baselines + missing_scores(spec, frame)
