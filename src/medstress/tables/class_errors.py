"""Errors of classifiers on one data set, with what they are relative to, as the classification tables need them."""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from medstress.score.alexnet import ALEXNET
from medstress.score.bootstrap import Estimate
from medstress.score.corruption_error import (
    ALEXNET_NAME,
    Errors,
    Floats,
    Normaliser,
    benchmark_of,
    corruption_errors,
    error_metric,
    errors_of,
    estimate_of,
    normaliser_of,
    relative_corruption_errors,
)
from medstress.score.titles import dataset_titles, run_titles
from medstress.table_spec import TableSpec
from medstress.tables.layout import number

ERRORS = (
    "Errors are 1 less accuracy, or less balanced accuracy where the study says so. A corruption error (CE) is the sum "
    "of a run's errors over the levels of a type over that of the normaliser, which is 100; relative CE subtracts from "
    "both the clean errors of the same images; mCE and rCE are means over types. BE and rBE are the same with balanced "
    "errors and the published errors of AlexNet on MedMNIST-C, which is 1. Where the denominator, as a mean over "
    "levels, is below 0.01 or negative, a quotient is not given and the mean is over the other types. In intervals of "
    "quotients both sides are resampled together; there is none where a resample lacks a quotient."
)
"""A caption's sentences on :mod:`medstress.score.corruption_error`."""

ONE_VALUE_AN_IMAGE = (
    "Metrics of a set of images, such as AUROC, are resampled by each image's influence on them (for AUROC, DeLong)."
)
"""A caption's sentence on :mod:`medstress.score.class_metrics`."""


@dataclass(frozen=True)
class Against:
    """What errors become beside a normaliser: CE and relative CE of each type, [resampled, types], NaN if not given."""

    absolute: Floats
    relative: Floats


@dataclass(frozen=True)
class DatasetErrors:
    """Errors of every run on one data set; `balanced` are those that the published errors are compared with."""

    runs: Mapping[str, Errors]
    normaliser: Normaliser | None
    balanced: Mapping[str, Errors]
    benchmark: Normaliser | None

    def against_normaliser(self, run: str) -> Against | None:
        """CE and relative CE of a run, where the study has a normaliser here."""
        return _against(self.runs.get(run), self.normaliser)

    def against_alexnet(self, run: str) -> Against | None:
        """BE and rBE of a run, where errors of AlexNet are published for the data set."""
        return _against(self.balanced.get(run), self.benchmark)


def _against(errors: Errors | None, base: Normaliser | None) -> Against | None:
    if errors is None or base is None:
        return None
    return Against(
        corruption_errors(errors, base.errors, base.unit), relative_corruption_errors(errors, base.errors, base.unit)
    )


def dataset_errors(spec: TableSpec, frame: pd.DataFrame, dataset: str) -> DatasetErrors:
    """The errors on one data set, with `spec`'s resamples."""
    metric, benchmark = error_metric(spec, dataset), benchmark_of(spec, dataset)
    runs = errors_of(spec, frame, dataset, metric)
    balanced = runs
    if benchmark is not None and benchmark.metric != metric:
        balanced = errors_of(spec, frame, dataset, benchmark.metric)
    return DatasetErrors(runs, normaliser_of(spec, dataset, runs), balanced, benchmark)


def points_only(spec: TableSpec) -> TableSpec:
    """The study without resamples, for where no interval is shown."""
    return spec.model_copy(update={"statistics": spec.statistics.model_copy(update={"min_groups": sys.maxsize})})


def estimate_or_none(
    spec: TableSpec, resampled: Floats | None, groups: int, limits: tuple[float, float] = (-math.inf, math.inf)
) -> Estimate:
    """An estimate, also of what is not there."""
    if resampled is None:
        return Estimate(None, None, None, 0, 0)
    return estimate_of(resampled, groups, spec.statistics, limits)


def relative_text(spec: TableSpec, value: float | None) -> str:
    """A corruption error as people read it: `104.2` beside a run, `1.042` beside AlexNet."""
    return number(value, 3 if spec.classification.normaliser == ALEXNET_NAME else 1)


def normaliser_title(spec: TableSpec) -> str:
    """The normaliser as people read it."""
    name = spec.classification.normaliser
    return "AlexNet" if name == ALEXNET_NAME else run_titles(spec).get(name or "", name or "")


def undefined_notes(spec: TableSpec, frame: pd.DataFrame) -> list[str]:
    """Sentences on metrics that do not exist in some cells, such as AUROC where all images are of one class."""
    lacking = frame[frame["status"] == "undefined"]
    cells = lacking[["dataset", "run", "seed", "metric", "perturbation", "level"]].drop_duplicates()
    counts = cells.groupby(["dataset", "run", "metric"], observed=True).size().to_dict()
    runs = run_titles(spec)
    return [
        f"{title}, {runs[run]}: {metric} is undefined in {counts[dataset, run, metric]} cells."
        for dataset, title in dataset_titles(spec).items()
        for run in spec.runs_on(dataset)
        for metric in spec.metrics
        if (dataset, run, metric) in counts
    ]


def error_notes(spec: TableSpec, frame: pd.DataFrame) -> list[str]:
    """Sentences on corruption errors that are not given, and why."""
    name, notes = spec.classification.normaliser, []
    for dataset, title in dataset_titles(spec).items() if name else ():
        base = dataset_errors(points_only(spec), frame, dataset).normaliser
        if base is None:
            notes.append(f"{title}: no corruption errors, since {normaliser_title(spec)} has no errors there.")
        else:
            notes += [f"{title}: {text}" for text in _guarded(spec, dataset, ("CE", "relative CE"), base)]
    return notes


def benchmark_notes(spec: TableSpec) -> list[str]:
    """Sentences on BE and rBE that are not given, and why."""
    notes = []
    for dataset, title in dataset_titles(spec).items():
        if dataset not in spec.normalisers:
            continue
        base = benchmark_of(spec, dataset)
        if base is None:
            notes.append(f"{title}: no BE, since the published errors are means over levels 1 to 5.")
            continue
        notes += [f"{title}: {text}" for text in _guarded(spec, dataset, ("BE", "rBE"), base)]
        types = spec.perturbations_on(dataset)
        if lacking := [name for name in ALEXNET[spec.normalisers[dataset]].types if name not in types]:
            notes.append(f"{title}: BE is without {', '.join(lacking)}, which the study does not have.")
    return notes


def _guarded(spec: TableSpec, dataset: str, names: tuple[str, str], base: Normaliser) -> list[str]:
    """Which types have no quotient, absolute or relative, beside a normaliser."""
    absolute, relative = names
    itself = _against(base.errors, base)
    assert itself is not None
    there, clean = np.isfinite(base.errors.by_type[0]), np.isfinite(base.errors.clean[0])
    small, close = ~np.isfinite(itself.absolute[0]), ~np.isfinite(itself.relative[0])
    cases = [
        (absolute, "the normaliser has no errors there", ~there),
        (absolute, "the normaliser's error is below 0.01", there & small),
        (relative, "the normaliser's error is less than 0.01 above its clean error", there & close & clean),
    ]
    return [
        f"no {name} of {', '.join(types)}: {reason}."
        for name, reason, hits in cases
        if (types := [one for one, hit in zip(spec.perturbations_on(dataset), hits, strict=True) if hit])
    ]
