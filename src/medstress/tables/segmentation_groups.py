"""The group (patient) that each run serves worst: a mean hides whom it fails."""

from typing import Any, Literal

import pandas as pd

from medstress.score.metrics import METRICS, SMALLER_IS_BETTER, primary_metric
from medstress.score.robustness import SCORED, clean_scores, left_out, paired_drops
from medstress.score.titles import dataset_titles, plural, run_titles
from medstress.table_spec import TableSpec
from medstress.tables.layout import NOTHING, VALID_PIXELS, number, typed
from medstress.tables.missing import missing_scores

TITLE = "Segmentation: the worst group of each run"
CAPTION = (
    "Worst is the group (patient, or what else no two splits share) with the worst mean, over its objects on clean "
    "images and over its pairs of an object and a reachable cell on perturbed ones; mean is that of all objects or "
    "pairs. In brackets: the group and the objects that its mean is over. The worst of many groups is bad by chance "
    "alone, and more so where groups have few objects, so compare runs on one data set and not data sets; with few "
    f"groups it says little, which is marked. {VALID_PIXELS} Of a strategy all seeds count. Left out of the means, "
    "counted in object-cells: images that cannot reach their SSIM band (unreachable), objects that left the frame "
    "(lost), and answers that failed."
)


def build(spec: TableSpec, frame: pd.DataFrame) -> pd.DataFrame:
    """One row a data set and run, without numbers where there are no scores."""
    metric = primary_metric(spec)
    scores = frame[frame["metric"] == metric]
    clean, pairs = clean_scores(scores), paired_drops(scores)
    clean, counted = clean[clean["status"].isin(SCORED)], pairs[pairs["scored"]]
    rows = []
    for dataset in spec.datasets:
        for run in spec.runs_on(dataset):
            own = scores[_of(scores, dataset, run)]
            right, moved = clean[_of(clean, dataset, run)], counted[_of(counted, dataset, run)]
            rows.append(_row(spec, own, right, moved, dataset, run))
    return typed(rows)


def _of(frame: pd.DataFrame, dataset: str, run: str) -> "pd.Series[bool]":
    return (frame["dataset"] == dataset) & (frame["run"] == run)


def _row(
    spec: TableSpec, scores: pd.DataFrame, clean: pd.DataFrame, pairs: pd.DataFrame, dataset: str, run: str
) -> dict[str, Any]:
    sizes = scores.drop_duplicates(["sample_id", "object_id"]).groupby("group_id", observed=True).size()
    return {
        "dataset": dataset,
        "run": run,
        "metric": primary_metric(spec),
        "n_groups": len(sizes),
        "group_unit": spec.split_units[dataset],
        "few_groups": "yes" if len(sizes) < spec.statistics.min_groups else "no",
        "n_objects": int(sizes.sum()),
        "n_smallest_group": int(sizes.min()) if len(sizes) else 0,
        "n_largest_group": int(sizes.max()) if len(sizes) else 0,
        **_worst(primary_metric(spec), clean, "clean", "value"),
        **_worst(primary_metric(spec), pairs, "perturbed", "perturbed"),
        **left_out(scores),
    }


def _worst(
    metric: str, rows: pd.DataFrame, name: str, column: Literal["value", "perturbed"]
) -> dict[str, float | int | str | None]:
    """The mean of a column, and the group whose mean is worst; of equal ones the first by name."""
    if not len(rows):
        return {f"{name}_mean": None, f"{name}_worst": None, f"{name}_group": None, f"n_{name}_objects": 0}
    means = rows.groupby("group_id", observed=True)[column].mean().sort_index()
    group = str(means.idxmax() if metric in SMALLER_IS_BETTER else means.idxmin())
    own = rows[rows["group_id"] == group]
    return {
        f"{name}_mean": float(rows[column].mean()),
        f"{name}_worst": float(means[group]),
        f"{name}_group": group,
        f"n_{name}_objects": len(own.drop_duplicates(["sample_id", "object_id"])),
    }


def display(spec: TableSpec, table: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it."""
    metric = primary_metric(spec)
    title, digits = METRICS[metric].title, METRICS[metric].digits
    datasets, runs = dataset_titles(spec), run_titles(spec)
    rows = []
    for row in table.to_dict("records"):
        few = " (few groups)" if row["few_groups"] == "yes" else ""
        low, high = row["n_smallest_group"], row["n_largest_group"]
        shown = {
            "Data set": datasets[row["dataset"]],
            "Run": runs[row["run"]],
            "Groups": plural(row["n_groups"], row["group_unit"]) + few,
            "Objects a group": str(low) if low == high else f"{low}{NOTHING}{high}",
        }
        for name in ("clean", "perturbed"):
            worst = number(row[f"{name}_worst"], digits)
            place = f" ({row[f'{name}_group']}, {plural(row[f'n_{name}_objects'], 'object')})"
            shown[f"{name.capitalize()} {title}"] = number(row[f"{name}_mean"], digits)
            shown[f"Worst {name}"] = worst if worst == NOTHING else worst + place
        counts = {"Unreachable": "n_unreachable", "Lost": "n_object_lost", "Failed": "n_failed"}
        rows.append(shown | {title: str(row[name]) for title, name in counts.items()})
    return pd.DataFrame(rows)


def notes(spec: TableSpec, frame: pd.DataFrame) -> list[str]:
    """What is missing."""
    return missing_scores(spec, frame)
