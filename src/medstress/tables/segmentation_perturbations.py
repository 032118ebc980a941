"""Which perturbation costs which run how much."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from medstress.score.bootstrap import estimate_column
from medstress.score.metrics import METRICS, primary_metric
from medstress.score.robustness import left_out, paired_drops
from medstress.score.titles import dataset_titles, run_titles
from medstress.table_spec import TableSpec
from medstress.tables.layout import (
    INTERVALS,
    NOTHING,
    VALID_PIXELS,
    columns_of,
    drop_title,
    estimate_text,
    interval_text,
    typed,
)
from medstress.tables.missing import missing_scores

TITLE = "Segmentation: drop by perturbation"
CAPTION = (
    f"Mean paired drop (clean minus perturbed) over all levels and objects, reachable cells only. {INTERVALS} #1 are "
    "the types that no other type exceeds on the same data set and run, #4 those that three exceed, where a type "
    "exceeds another if its interval lies above the other's: types whose intervals overlap are not told apart, and "
    "without intervals there are no ranks, nor where scores of some levels are missing. Types marked † move pixels: "
    "their strength comes from a table of "
    f"displacements, so they are ranked apart from the others, which share SSIM bands. {VALID_PIXELS} A baseline that "
    "ignores the pixels shows what the moved prompt alone does. Left out of the means, counted in object-cells and "
    "once a seed: images that cannot reach their SSIM band (unreachable), objects that left the frame (lost), and "
    "answers that failed."
)


def build(spec: TableSpec, frame: pd.DataFrame) -> pd.DataFrame:
    """One row a data set, perturbation and run, without numbers where there are no scores.

    `rank` is one more than the number of types whose interval lies above a type's own, among those of its run, data
    set and scale; missing where there is no interval, or where a type was not scored at all levels.
    """
    metric = primary_metric(spec)
    scores = frame[frame["metric"] == metric]
    pairs = paired_drops(scores)
    parts = dict(iter(pairs.groupby(["perturbation", "dataset", "run"], observed=True)))
    rows = [
        _row(spec, parts.get((perturbation, dataset, run), pairs[:0]), metric, perturbation, dataset, run)
        for dataset in spec.datasets
        for perturbation in spec.perturbations_on(dataset)
        for run in spec.runs_on(dataset)
    ]
    fewer = _with_fewer_levels(spec, pairs)
    for row in rows:
        own = (row["dataset"], row["run"], row["scale"])
        rivals = [item for item in rows if (item["dataset"], item["run"], item["scale"]) == own]
        rivals = [item for item in rivals if item["drop_low"] is not None and _cell_of(item) not in fewer]
        if row["drop_high"] is not None and _cell_of(row) not in fewer:
            row["rank"] = 1 + sum(item["drop_low"] > row["drop_high"] for item in rivals)
    return typed(rows)


_Cell = tuple[str, str, str]


def _cell_of(row: Mapping[str, Any]) -> _Cell:
    return row["dataset"], row["run"], row["perturbation"]


def _with_fewer_levels(spec: TableSpec, pairs: pd.DataFrame) -> set[_Cell]:
    """Types that a run, with one of its seeds, has no scores of at all levels: they would seem to cost it less."""
    names = ["dataset", "run", "perturbation", "seed", "level"]
    found = set(pairs[names].drop_duplicates().itertuples(index=False, name=None))
    return {cell[:3] for cell in found if any((*cell[:4], level) not in found for level in spec.levels)}


def _row(
    spec: TableSpec, pairs: pd.DataFrame, metric: str, perturbation: str, dataset: str, run: str
) -> dict[str, Any]:
    counted = pairs[pairs["scored"]]
    value = estimate_column(counted, "drop", metric, dataset, spec.statistics)
    return {
        "dataset": dataset,
        "perturbation": perturbation,
        "scale": "table" if perturbation in spec.fixed else "ssim",
        "run": run,
        "metric": metric,
        **columns_of("drop", value),
        "interval": interval_text(spec, value),
        "n_objects": len(counted.drop_duplicates(["sample_id", "object_id"])),
        "n_groups": value.n_groups,
        "n_pairs": value.n_values,
        **left_out(pairs),
        "rank": None,
    }


def display(spec: TableSpec, table: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it: a row a data set and perturbation, a column a run."""
    metric = primary_metric(spec)
    datasets, runs = dataset_titles(spec), run_titles(spec)
    rows = []
    cells: dict[tuple[str, str], dict[str, dict[Any, Any]]] = {}
    for row in table.to_dict("records"):
        cells.setdefault((row["dataset"], row["perturbation"]), {})[row["run"]] = row
    for (dataset, kind), by_run in cells.items():
        mark = "†" if kind in spec.fixed else ""
        shown = {"Data set": datasets[dataset], "Perturbation": kind.replace("_", " ") + mark}
        for run, title in runs.items():
            shown[f"{title}: {drop_title(metric)}"] = _cell(by_run.get(run), metric)
        shown["Objects"] = _range([row["n_objects"] for row in by_run.values()])
        shown["Unreachable"] = _range([row["n_unreachable"] for row in by_run.values()])
        shown["Lost"] = _range([row["n_object_lost"] for row in by_run.values()])
        shown["Failed"] = _range([row["n_failed"] for row in by_run.values()])
        rows.append(shown)
    return pd.DataFrame(rows)


def _cell(row: dict[Any, Any] | None, metric: str) -> str:
    if row is None or pd.isna(row["drop"]):
        return NOTHING
    text = estimate_text(row, "drop", METRICS[metric].digits)
    return text if pd.isna(row["rank"]) else f"{text} #{row['rank']}"


def _range(counts: list[int]) -> str:
    # Runs share images and objects, so their counts differ only where a run failed.
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low}{NOTHING}{high}"


def notes(spec: TableSpec, frame: pd.DataFrame) -> list[str]:
    """What is missing."""
    return missing_scores(spec, frame)
