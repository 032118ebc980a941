"""Runs compared where the images cost a reference run an equal share of its score."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from medstress.score.bootstrap import Estimate
from medstress.score.equal_harm import Matched, curves, matched_at
from medstress.score.metrics import METRICS, primary_metric
from medstress.score.robustness import paired_drops
from medstress.score.statistics.extremes import estimate_of_one
from medstress.score.titles import dataset_titles, plural, run_titles
from medstress.table_spec import TableSpec
from medstress.tables.layout import INTERVALS, NOTHING, columns_of, number, typed
from medstress.tables.noise_marks import resampled_text

TITLE = "Drops where a reference run loses an equal share of its score"
CAPTION = (
    "Equal SSIM is not equal harm: this compares runs at the severity where the images cost a reference run 1, 2, 5 or "
    "10 per cent of its mean clean score. Straight lines from clean, level 0 without a drop, through the reference's "
    "mean drops at the levels say at which level, with fractions, it first loses that; the number is the mean drop of "
    "the run at the same level, in the primary metric. Not reached: the reference never loses so much, so nothing is "
    "compared there. Of each run and the reference, the cells that both answered count, of types whose levels are "
    "bands of SSIM (of fixed strengths where there are no others). Where images cannot reach a band, two levels are "
    "over different images. Groups are drawn once for all runs, and the reference's level is found again in each "
    f"resample; an interval is given where all of them reach it. {INTERVALS}"
)
SHARES = (1, 2, 5, 10)
"""Of the reference's clean score, in per cent."""


def build(spec: TableSpec, frame: pd.DataFrame) -> pd.DataFrame:
    """One row a data set and run that have a reference, in the study's order."""
    return typed([row for dataset in spec.datasets for row in _rows(spec, frame, dataset)])


def _rows(spec: TableSpec, frame: pd.DataFrame, dataset: str) -> Iterator[dict[str, Any]]:
    part = spec.of_task(spec.tasks.get(dataset, "segmentation"))
    metric, runs, reference = primary_metric(part), part.runs_on(dataset), _reference(part, dataset)
    pairs = paired_drops(frame[(frame["dataset"] == dataset) & (frame["metric"] == metric)])
    bands = [name for name in part.perturbations_on(dataset) if name not in part.fixed]
    if bands:
        pairs = pairs[pairs["perturbation"].isin(bands)]
    pairs = pairs[pairs["scored"]]
    found = curves(pairs, reference, dataset, spec.statistics.resamples) if reference else {}
    groups = int(pairs["group_id"].nunique())
    for run in runs:
        row: dict[str, Any] = {
            "dataset": dataset,
            "run": run,
            "reference": reference,
            "metric": metric,
            "scale": "ssim" if bands else "table",
        }
        for share in SHARES:
            at = matched_at(found[run], share / 100) if run in found else None
            row |= _columns(spec, share, at, groups)
        yield row | {"n_groups": groups, "group_unit": spec.split_units[dataset]}


def _reference(part: TableSpec, dataset: str) -> str | None:
    """The first run that is no baseline; of classifiers the study's normaliser of errors, where it has one."""
    named = part.classification.normaliser if part.tasks.get(dataset) == "classification" else None
    runs = part.runs_on(dataset)
    return named if named in runs else next((run for run in runs if run not in part.baselines), None)


def _columns(spec: TableSpec, share: int, at: Matched | None, groups: int) -> dict[str, float | None]:
    if at is None:
        nothing = Estimate(None, None, None, 0, 0)
        columns: dict[str, float | None] = {f"{name}_at_{share}": None for name in ("reference_drop", "level")}
        return columns | columns_of(f"drop_at_{share}", nothing)
    return {
        f"reference_drop_at_{share}": at.target[0],
        f"level_at_{share}": at.level[0],
        **columns_of(f"drop_at_{share}", estimate_of_one(at.drop, groups, spec.statistics)),
    }


def display(spec: TableSpec, table: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it."""
    rows, datasets, runs = [], dataset_titles(spec), run_titles(spec)
    for row in table.to_dict("records"):
        metric = METRICS[row["metric"]]
        is_reference = row["run"] == row["reference"]
        shown = {
            "Data set": f"{datasets[row['dataset']]} ({plural(row['n_groups'], row['group_unit'])})",
            "Run": f"{runs[row['run']]}{' (reference)' if is_reference else ''}",
            "Metric": metric.title,
        }
        for share in SHARES:
            shown[f"At {share}%"] = _text(spec, row, f"drop_at_{share}", metric.digits)
        rows.append(shown)
    return pd.DataFrame(rows)


def _text(spec: TableSpec, row: dict[Any, Any], name: str, digits: int) -> str:
    if pd.isna(row[f"reference_{name}"]):
        return NOTHING
    if pd.isna(row[name]):
        return "not reached"
    mean, low, high = (number(row[column], digits) for column in (name, f"{name}_low", f"{name}_high"))
    if not pd.isna(row[f"{name}_low"]):
        return f"{mean} [{low}, {high}]"
    few = row["n_groups"] < spec.statistics.min_groups
    return f"{mean} ({'few groups' if few else 'not reached in some resamples'})"


def remarks(spec: TableSpec, table: pd.DataFrame) -> list[str]:
    """Which run is the reference where."""
    datasets, runs = dataset_titles(spec), run_titles(spec)
    said: dict[str, list[str]] = {}
    for row in table.drop_duplicates("dataset").to_dict("records"):
        reference = row["reference"]
        if pd.isna(reference):
            text = "No reference, since all runs are baselines"
        else:
            named = spec.tasks.get(row["dataset"]) == "classification" and reference == spec.classification.normaliser
            why = "which corruption errors are relative to" if named else "the first run that is no baseline"
            text = f"The reference is {runs[reference]}, {why}"
        said.setdefault(text, []).append(datasets[row["dataset"]])
    return [*(f"{text}: {', '.join(on)}." for text, on in said.items()), resampled_text(spec)]


def notes(_spec: TableSpec, _frame: pd.DataFrame) -> list[str]:
    """Nothing: what tables of all tasks lack is said where they are written."""
    return []
