"""What claims are made of: numbers of runs on data sets, each with its values in resamples that all of them share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from medstress.cards.claim import ClaimTest
from medstress.score.claim_cells import Sides, cells_of
from medstress.score.claim_seeds import Trainings, with_trainings
from medstress.score.corruption_error import corruption_errors, error_metric, errors_of, normaliser_of, over_types
from medstress.score.metrics import METRICS
from medstress.score.shift_robustness import SMALLEST
from medstress.score.statistics.shared import shared_means
from medstress.score.titles import dataset_titles, plural, run_titles
from medstress.shifts import WHOLE_SUBSETS
from medstress.table_spec import TableSpec

Floats = npt.NDArray[np.float64]
Values = Mapping[tuple[str, ...], Floats]
"""By run and data set, and of shifts and types by these: [1 + resamples], of the data first."""


@dataclass(frozen=True)
class Measured:
    """The values; of how many groups each run and data set is, at least; what runs lack; and why there is no value.

    one_seed: the runs of strategies whose training was not repeated.
    """

    values: Values
    groups: Mapping[tuple[str, str], int] = field(default_factory=dict)
    lacking: tuple[str, ...] = ()
    one_seed: frozenset[str] = frozenset()
    nothing: str = ""


def measure(spec: TableSpec, frame: pd.DataFrame, test: ClaimTest, sides: Sides) -> Measured:
    """What a claim's test measures, of its sides on all data sets of its task, `spec` being of that task alone.

    Resampled are groups, and the means over the seeds of a strategy by the spread of its seeds.
    """
    values: dict[tuple[str, ...], Floats] = {}
    by_seed: dict[tuple[str, ...], list[float]] = {}
    groups: dict[tuple[str, str], int] = {}
    lacking: list[str] = []
    metrics = {test.metric or "", METRICS[test.metric].chance if test.metric else ""}
    for dataset in spec.datasets:
        metric = {error_metric(spec, dataset)} if test.measure == "mce" else metrics
        own = frame[(frame["dataset"] == dataset) & frame["metric"].isin(metric - {""})]
        cells = cells_of(spec, own, dataset, test, sides)
        lacking += cells.lacking
        if not len(cells.rows):
            continue
        beside = _normalisers(spec, own, cells.rows) if test.measure == "mce" else own.iloc[:0]
        found = _values(spec, cells.rows, beside, dataset, test)
        values |= {key: one for key, one in found.items() if np.isfinite(one[0])}
        lacking += _without_values(spec, found, dataset, test)
        for seeds in _of_each_seed(spec, cells.rows, beside, dataset, test):
            for key, number in seeds.items():
                by_seed.setdefault(key, []).append(number)
        parts = cells.rows.groupby(["run", "shift", "side"], observed=True)["group_id"].nunique()
        groups |= {(str(run), dataset): int(few) for run, few in parts.groupby(level="run").min().items()}
    trained = with_trainings(spec, values, by_seed, sides)
    if not values:
        nothing = "; ".join(lacking) or "there are no scores"
        without = test.measure == "mce" and not spec.classification.normaliser
        return Measured({}, nothing="the study has no normaliser of corruption errors" if without else nothing)
    if test.measure == "top_share":
        return _top_share(spec, test, trained, groups, tuple(lacking))
    return Measured(trained.values, groups, tuple(lacking), trained.one_seed)


def _values(
    spec: TableSpec, rows: pd.DataFrame, beside: pd.DataFrame, dataset: str, test: ClaimTest
) -> dict[tuple[str, ...], Floats]:
    return _MEASURES[test.measure](spec, rows, beside, dataset, test)


def _of_each_seed(
    spec: TableSpec, rows: pd.DataFrame, beside: pd.DataFrame, dataset: str, test: ClaimTest
) -> list[dict[tuple[str, ...], float]]:
    """The values of each seed alone, of the data."""
    seeds = sorted(rows["seed"].unique())
    once = spec.model_copy(update={"statistics": spec.statistics.model_copy(update={"resamples": 0})})
    found = [_values(once, rows[rows["seed"] == seed], beside, dataset, test) for seed in seeds]
    return [{key: float(one[0]) for key, one in values.items() if np.isfinite(one[0])} for values in found]


def _without_values(spec: TableSpec, found: Values, dataset: str, test: ClaimTest) -> list[str]:
    """Runs whose value is not defined; of shifts and types that would be one of many, and those are left out."""
    if test.measure in ("shift_robustness", "top_share"):
        return []
    titles, where = run_titles(spec), dataset_titles(spec)[dataset]
    undefined = [key[0] for key, one in found.items() if not np.isfinite(one[0])]
    return [f"{titles[run]} has no value on {where}" for run in undefined]


def _means(
    spec: TableSpec, rows: pd.DataFrame, _beside: pd.DataFrame, dataset: str, test: ClaimTest
) -> dict[tuple[str, ...], Floats]:
    columns = {"clean": ["value"], "perturbed": ["perturbed"]}.get(test.measure, ["clean", "drop"])
    names, resamples = rows["group_id"].unique(), spec.statistics.resamples
    means = shared_means(rows, columns, ["run"], names, dataset, resamples)
    return {(run, dataset): _of_means(found, test.measure, columns[0]) for (run,), found in means.items()}


def _of_means(found: Mapping[str, Floats], measure: str, first: str) -> Floats:
    if measure in ("clean", "perturbed"):
        return found[first]
    if measure == "drop":
        return found["drop"]
    share: Floats = np.full(found["drop"].shape, np.nan)
    np.divide(found["drop"], found["clean"], out=share, where=found["clean"] > 0)
    return share


def _normalisers(spec: TableSpec, own: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """The scores of the normaliser at places that are counted, where it is not among the runs."""
    name = spec.classification.normaliser
    if name is None or name in set(rows["run"]):
        return own.iloc[:0]
    whole = own[(own["run"] == name) & own["subset"].isin(WHOLE_SUBSETS)]
    place = ["sample_id", "perturbation", "level"]
    there = pd.MultiIndex.from_frame(rows[place].drop_duplicates().astype({"perturbation": str}))
    return whole[pd.MultiIndex.from_frame(whole[place].astype({"perturbation": str})).isin(there)]


def _mce(
    spec: TableSpec, rows: pd.DataFrame, beside: pd.DataFrame, dataset: str, _test: ClaimTest
) -> dict[tuple[str, ...], Floats]:
    counted = pd.concat([rows[beside.columns], beside.astype({"run": str, "perturbation": str})], ignore_index=True)
    errors = errors_of(spec, counted, dataset, error_metric(spec, dataset))
    base = normaliser_of(spec, dataset, errors)
    if base is None:
        return {}
    runs = [run for run in errors if run in set(rows["run"])]
    found = {run: over_types(corruption_errors(errors[run], base.errors, base.unit)) for run in runs}
    # Few groups are not resampled; means over data sets need arrays of one length.
    lacking = np.full(1 + spec.statistics.resamples, np.nan)
    return {(run, dataset): np.concatenate([values, lacking[len(values) :]]) for run, values in found.items()}


def _types(
    spec: TableSpec, rows: pd.DataFrame, _beside: pd.DataFrame, dataset: str, _test: ClaimTest
) -> dict[tuple[str, ...], Floats]:
    """Mean drops of every type."""
    names, resamples = rows["group_id"].unique(), spec.statistics.resamples
    means = shared_means(rows, ["drop"], ["run", "perturbation"], names, dataset, resamples)
    return {(run, dataset, name): found["drop"] for (run, name), found in means.items()}


def _top_share(
    spec: TableSpec,
    test: ClaimTest,
    trained: Trainings,
    groups: Mapping[tuple[str, str], int],
    lacking: tuple[str, ...],
) -> Measured:
    """The share of medical types in the top less that in all.

    Types of different data sets are compared by what they cost beyond what the types cost there that all data sets
    have: a type of a data set on which everything costs much is not among the first for that alone.
    """
    values = trained.values
    on = {name: [key for key in values if key[1] == name] for name in dict.fromkeys(key[1] for key in values)}
    of_all = set.intersection(*({key[2] for key in keys} for keys in on.values()))
    if not of_all:
        return Measured({}, groups, nothing="no type is on all data sets, so those of several cannot be compared")
    beyond: dict[str, list[Floats]] = {}
    for keys in on.values():
        drops = {name: _mean_of([values[key] for key in keys if key[2] == name]) for name in {key[2] for key in keys}}
        usual = _mean_of([drops[name] for name in sorted(of_all)])
        for name, drop in drops.items():
            beyond.setdefault(name, []).append(drop - usual)
    types = [name for name in spec.perturbations if name in beyond]
    medical = np.array([name in spec.medical for name in types])
    if len(types) <= test.top or not medical.any() or medical.all():
        known = f"{plural(medical.sum(), 'medical type')} and {plural(len(types) - medical.sum(), 'general one')}"
        return Measured({}, groups, nothing=f"{known}: not enough to choose {test.top} from")
    costs = np.stack([_mean_of(beyond[name]) for name in types])
    # Of equal drops the first in the study's order comes first.
    top = np.argsort(-costs, axis=0, kind="stable")[: test.top]
    return Measured({("", ""): medical[top].mean(axis=0) - medical.mean()}, groups, lacking, trained.one_seed)


def _mean_of(values: list[Floats]) -> Floats:
    return np.asarray(np.stack(values).mean(axis=0), dtype=np.float64)


def _shifts(
    spec: TableSpec, rows: pd.DataFrame, _beside: pd.DataFrame, dataset: str, test: ClaimTest
) -> dict[tuple[str, ...], Floats]:
    """The mean out of distribution above what a guess scores there, over that in distribution above its guess."""
    assert test.metric is not None
    known, names = METRICS[test.metric], rows["group_id"].unique()
    smallest = SMALLEST * (known.largest - known.smallest)
    means = shared_means(rows, ["score"], ["run", "shift", "side"], names, dataset, spec.statistics.resamples)
    found: dict[tuple[str, ...], Floats] = {}
    for run, shift, side in means:
        if side == "ood" and (run, shift, "iid") in means:
            iid, ood = means[run, shift, "iid"]["score"], means[run, shift, "ood"]["score"]
            kept = np.divide(ood, iid, out=np.full(iid.shape, np.nan), where=iid >= smallest)
            found[run, dataset, shift] = kept
    return found


_Measure = Callable[[TableSpec, pd.DataFrame, pd.DataFrame, str, ClaimTest], dict[tuple[str, ...], Floats]]
_MEASURES: dict[str, _Measure] = {
    "clean": _means,
    "perturbed": _means,
    "drop": _means,
    "relative_drop": _means,
    "mce": _mce,
    "top_share": _types,
    "shift_robustness": _shifts,
}
