"""Corruption errors: what corruptions cost a classifier, beside what they cost another.

With E the error of a type c at a level s, and N that of the normaliser:

    CE_c = unit * sum_s E / sum_s N,  relative CE_c = unit * sum_s (E - E_clean) / sum_s (N - N_clean)

where the clean errors are those of the images that count in the cell, since some cannot reach their SSIM band and the
others may be easier. mCE is the mean over types (Hendrycks and Dietterich, ICLR 2019). `unit` is 100 for a run of the
study, whose own mCE is then 100, and 1 for published errors; with AlexNet's balanced errors on MedMNIST-C, CE is its BE
and relative CE its rBE (Di Salvo et al., 2024). A quotient whose denominator is below a hundredth, or negative, is not
given.

All arrays have the data first and then its resamples along the first axis: groups are drawn once for all cells and
runs of a data set, so that a quotient's interval knows that both sides saw the same images.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from medstress.config import Statistics
from medstress.records import CLEAN
from medstress.score.alexnet import ALEXNET, AlexNet
from medstress.score.bootstrap import Estimate, interval, resampled_together
from medstress.score.robustness import SCORED
from medstress.table_spec import TableSpec

Floats = npt.NDArray[np.float64]

ALEXNET_NAME = "alexnet"
"""What studies call the published errors as a normaliser."""

ALEXNET_METRIC = "balanced_accuracy"
"""What these errors are 1 less."""

SMALLEST_DENOMINATOR = 0.01
"""Below this a quotient of mean errors is not given."""

_LEVELS_OF_PUBLISHED = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Errors:
    """Errors of one run on one data set, NaN where there are no scores.

    clean: [resampled]; corrupted: [resampled, types, levels]; rise: by how much the errors of a cell's images exceed
    those of the same images clean, likewise; groups: how many were drawn from. Published errors are not resampled:
    their first axis is 1.
    """

    clean: Floats
    corrupted: Floats
    rise: Floats
    groups: int

    @property
    def by_type(self) -> Floats:
        """Mean over the levels that there are, [resampled, types]."""
        with np.errstate(invalid="ignore"):
            means = np.nansum(self.corrupted, axis=2) / np.isfinite(self.corrupted).sum(axis=2)
        return np.asarray(means, dtype=np.float64)


def errors_of_means(clean: Floats, corrupted: Floats, groups: int = 0) -> Errors:
    """Errors whose every cell is of the same images; see :class:`Errors`."""
    return Errors(clean, corrupted, corrupted - clean[:, None, None], groups)


def errors_of(spec: TableSpec, frame: pd.DataFrame, dataset: str, metric: str) -> dict[str, Errors]:
    """1 less the mean of the metric's values, of each run that has any on a data set, with `spec`'s resamples.

    Types are those of `spec.perturbations_on(dataset)` and levels `spec.levels`, in their order. Attacks are not among
    them. Of an adapted run all seeds count.
    """
    own = frame[(frame["dataset"] == dataset) & (frame["metric"] == metric)]
    names, places = np.unique(own["group_id"].astype(str).to_numpy(), return_inverse=True)
    own = own.assign(group=places)
    types, levels = spec.perturbations_on(dataset), spec.levels
    # Clean is cell 0; then the levels of the first type, of the second, and so on.
    firsts = {CLEAN: 0} | {name: 1 + index * len(levels) for index, name in enumerate(types)}
    own = own[own["status"].isin(SCORED) & own["perturbation"].isin(firsts) & own["level"].isin([0, *levels])]
    steps = {0: 0} | {level: step for step, level in enumerate(levels)}
    # Where no scores are left, pandas takes them for texts.
    numbers = own["perturbation"].astype(str).map(firsts).astype("int64") + own["level"].map(steps)
    own = own.assign(place=numbers * len(names) + own["group"])
    shape = len(types), len(levels)
    by_run = {run: own[own["run"] == run] for run in spec.runs_on(dataset)}
    return {
        run: _errors(rows, shape, len(names), dataset, spec.statistics) for run, rows in by_run.items() if len(rows)
    }


def _errors(rows: pd.DataFrame, shape: tuple[int, int], groups: int, dataset: str, statistics: Statistics) -> Errors:
    cells, image = 1 + math.prod(shape), ["seed", "sample_id"]

    def by_group(part: pd.DataFrame, values: "pd.Series[float] | None" = None) -> Floats:
        """Sums of values, or counts, in each cell, [cells, groups]."""
        found = np.bincount(part["place"], weights=values, minlength=cells * groups)
        return found.reshape(cells, groups).astype(np.float64)

    clean = rows.loc[rows["level"] == 0, [*image, "value"]].rename(columns={"value": "clean"})
    pairs = rows.merge(clean, on=image)
    sums = [by_group(rows, rows["value"]), by_group(pairs, pairs["clean"] - pairs["value"])]
    counts = [by_group(rows), by_group(pairs)]
    resamples = statistics.resamples if groups >= statistics.min_groups else 0
    means = resampled_together(np.concatenate(sums), np.concatenate(counts), dataset, resamples)
    errors, rise = 1 - means[:, :cells], means[:, cells:]
    return Errors(errors[:, 0], errors[:, 1:].reshape(-1, *shape), rise[:, 1:].reshape(-1, *shape), groups)


def published_errors(published: AlexNet, types: list[str], levels: list[int]) -> Errors | None:
    """Published errors as a normaliser, [1, types, levels]; None unless the study has the levels that they are over."""
    if tuple(levels) != _LEVELS_OF_PUBLISHED:
        return None
    means = np.array([published.types.get(name, math.nan) for name in types])
    return errors_of_means(np.array([published.clean]), np.repeat(means[None, :, None], len(levels), axis=2))


def corruption_errors(errors: Errors, base: Errors, unit: float) -> Floats:
    """CE of every type, [resampled, types]; NaN where it is not given."""
    return _quotient(errors.corrupted, base.corrupted, unit)


def relative_corruption_errors(errors: Errors, base: Errors, unit: float) -> Floats:
    """Relative CE of every type, [resampled, types]; NaN where it is not given."""
    return _quotient(errors.rise, base.rise, unit)


def relative_clean_error(errors: Errors, base: Errors, unit: float) -> Floats:
    """Clean error over that of the normaliser, [resampled]; NaN where it is not given."""
    return _quotient(errors.clean[:, None, None], base.clean[:, None, None], unit)[:, 0]


def _quotient(above: Floats, below: Floats, unit: float) -> Floats:
    """Sums over levels that both sides have, [resampled, types, levels], one over the other."""
    both = np.isfinite(above) & np.isfinite(below)
    count = np.maximum(both.sum(axis=2), 1)
    over, under = (np.where(both, side, 0.0).sum(axis=2) for side in (above, below))
    given = under / count >= SMALLEST_DENOMINATOR
    return np.where(given, unit * (over / np.where(given, under, 1.0)), math.nan)


def over_types(by_type: Floats) -> Floats:
    """Mean over the types that the data have, [resampled]; NaN where there is none, or a resample lacks one of them."""
    given = by_type[:, np.isfinite(by_type[0])]
    return given.mean(axis=1) if given.shape[1] else np.full(len(by_type), math.nan)


def estimate_of(
    resampled: Floats, groups: int, statistics: Statistics, limits: tuple[float, float] = (-math.inf, math.inf)
) -> Estimate:
    """The first number with an interval from the others; without one where groups are few or a resample has no number.

    `n_values` is 1, or 0 where there is no number.
    """
    given = float(resampled[0])
    if not math.isfinite(given):
        return Estimate(None, None, None, 0, groups)
    if groups < statistics.min_groups or not np.isfinite(resampled).all():
        return Estimate(given, None, None, 1, groups)
    low, high = interval(given, resampled[1:], groups, statistics.confidence, limits)
    return Estimate(given, low, high, 1, groups)


@dataclass(frozen=True)
class Normaliser:
    """What errors on one data set are divided by: the errors, the metric that they are of, and what they become."""

    errors: Errors
    metric: str
    unit: float


def error_metric(spec: TableSpec, dataset: str) -> str:
    """What errors on a data set are 1 less: the study's choice, or that of the published errors it normalises by."""
    if spec.classification.normaliser == ALEXNET_NAME and dataset in spec.normalisers:
        return ALEXNET_METRIC
    return spec.classification.error


def normaliser_of(spec: TableSpec, dataset: str, errors: Mapping[str, Errors]) -> Normaliser | None:
    """The study's normaliser on a data set, where it has one there; `errors` are of :func:`error_metric`."""
    name = spec.classification.normaliser
    if name == ALEXNET_NAME:
        return benchmark_of(spec, dataset)
    if name is None or name not in errors:
        return None
    return Normaliser(errors[name], error_metric(spec, dataset), 100.0)


def benchmark_of(spec: TableSpec, dataset: str) -> Normaliser | None:
    """The published errors on a data set, which BE and rBE are relative to, where there are any."""
    if dataset not in spec.normalisers:
        return None
    published = ALEXNET[spec.normalisers[dataset]]
    errors = published_errors(published, spec.perturbations_on(dataset), spec.levels)
    return None if errors is None else Normaliser(errors, ALEXNET_METRIC, 1.0)
