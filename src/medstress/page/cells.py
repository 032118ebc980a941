"""Scores of every cell: a run, a data set, a perturbation and a level."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from medstress.score.bootstrap import estimate_column
from medstress.score.metrics import METRICS, primary_metric
from medstress.score.robustness import clean_scores, counts
from medstress.table_spec import TableSpec

_CELL = ["run", "metric", "perturbation", "level"]


def metrics_of(frame: pd.DataFrame, spec: TableSpec) -> list[str]:
    """The metrics of a data set's scores, in the study's order; what only supports others is not among them."""
    there = set(frame["metric"].astype(str))
    return [name for name in spec.metrics if name in there and name in METRICS]


def cells_data(spec: TableSpec, dataset: str, frame: pd.DataFrame, pairs: pd.DataFrame) -> dict[str, Any]:
    """One data set: its clean scores, its cells, and curves over all types.

    `spec` is of the data set's task; `frame` has its scores under all conditions, `pairs` their drops.
    clean: rows of run, metric, mean, low, high, values, groups, over all samples. cells: rows of run, metric,
    perturbation, level, clean mean, perturbed mean and mean drop over the pairs that count, low and high of the drop
    (of the metric that runs are compared by), pairs that count, all pairs. pooled: see :func:`_pooled`.
    """
    metrics = metrics_of(frame, spec)
    clean = clean_scores(frame)
    clean = clean[counts(clean["status"].astype(str), clean["value"])]
    starts = {
        (str(run), str(metric)): estimate_column(part, "value", str(metric), dataset, spec.statistics)
        for (run, metric), part in _grouped(clean, ["run", "metric"])
        if metric in metrics
    }
    return {
        "dataset": dataset,
        "metrics": metrics,
        "clean": [
            [run, metric, start.mean, start.low, start.high, start.n_values, start.n_groups]
            for (run, metric), start in starts.items()
        ],
        "cells": [row for row in _cells(spec, dataset, pairs) if (row[0], row[1]) in starts],
        "pooled": [row for row in _pooled(spec, dataset, pairs) if (row[0], row[1]) in starts],
    }


def _cells(spec: TableSpec, dataset: str, pairs: pd.DataFrame) -> list[list[Any]]:
    ends = _intervals(spec, dataset, pairs)
    grouped = pairs.groupby(_CELL, observed=True, sort=True)
    # What does not count has no value on either side.
    means = grouped.agg(
        clean=("clean", "mean"),
        perturbed=("perturbed", "mean"),
        drop=("drop", "mean"),
        counted=("scored", "sum"),
        given=("scored", "size"),
    ).reset_index()
    return [
        [*cell, clean, perturbed, drop, *ends.get(cell, (None, None)), counted, given]
        for *names, clean, perturbed, drop, counted, given in zip(*(means[one].tolist() for one in means), strict=True)
        for cell in [tuple(names)]
    ]


def _intervals(
    spec: TableSpec, dataset: str, pairs: pd.DataFrame
) -> dict[tuple[Any, ...], tuple[float | None, float | None]]:
    """Low and high of the mean drop of each cell, of the metric that runs are compared by alone: others take long."""
    metric = primary_metric(spec)
    counted = pairs[(pairs["metric"] == metric) & pairs["scored"]]
    found = {}
    for cell, part in _grouped(counted, _CELL):
        drop = estimate_column(part, "drop", metric, dataset, spec.statistics)
        found[cell] = (drop.low, drop.high)
    return found


def _grouped(frame: pd.DataFrame, by: list[Any]) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    for key, part in frame.groupby(by, observed=True, sort=True):
        assert isinstance(key, tuple)
        yield key, part


def _pooled(spec: TableSpec, dataset: str, pairs: pd.DataFrame) -> list[list[Any]]:
    """Over types: rows run, metric, `calibrated` or `fixed`, level, mean drop, its low and high, pairs.

    Of perturbations, and of the metric that runs are compared by.
    """
    metric = primary_metric(spec)
    counted = pairs[(pairs["metric"] == metric) & pairs["scored"] & pairs["perturbation"].isin(spec.perturbations)]
    kind = counted["perturbation"].isin(spec.fixed).map({True: "fixed", False: "calibrated"})
    rows: list[list[Any]] = []
    for (run, name, level), part in _grouped(counted, ["run", kind, "level"]):
        drop = estimate_column(part, "drop", metric, dataset, spec.statistics)
        rows.append([run, metric, name, int(level), drop.mean, drop.low, drop.high, len(part)])
    return rows
