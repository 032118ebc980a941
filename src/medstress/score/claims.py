"""Claims of publications, tested on the scores of a study.

An effect and its interval come from means over the same resamples of groups (:mod:`statistics.shared`), with trainings
that vary as much as seeds do. A claim survives where the whole interval is where it says that the effect is, it does
not where the whole interval is outside, and between the two the data are not enough; nor are they where a side lacks
cells. On stand-ins of models or data it is not comparable, whatever the effect; they are left out where the rest is
enough.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from medstress.cards.claim import Claim, ClaimTest, Published
from medstress.runs import named_parts
from medstress.score.bootstrap import Estimate
from medstress.score.claim_cells import Sides, model_of
from medstress.score.claim_measures import Measured, Values, measure
from medstress.score.metrics import METRICS
from medstress.score.statistics.extremes import best_of_worst, estimate_of_one, largest_of, smallest_of
from medstress.score.titles import plural
from medstress.table_spec import TableSpec

Floats = npt.NDArray[np.float64]
Verdict = Literal["survives", "does not", "not enough data", "not comparable"]


@dataclass(frozen=True)
class Finding:
    """What a claim comes to: the effect, where it is from, the verdict and, where it is no plain one, why.

    `same_setting`: whether models, strategies and data sets are those that the published number is of.
    """

    effect: Estimate
    verdict: Verdict
    reason: str
    runs: tuple[str, ...]
    datasets: tuple[str, ...]
    same_setting: bool


class _NoEffectError(Exception):
    """Why there is no effect."""


@dataclass(frozen=True)
class _Effect:
    estimate: Estimate
    runs: tuple[str, ...]
    datasets: tuple[str, ...]
    measured: Measured


def audit(spec: TableSpec, frame: pd.DataFrame, claim: Claim) -> Finding:
    """The finding on a claim from scores with the sides of shifts, as :func:`read_scores` gives them."""
    part, test = spec.of_task(claim.test.task), claim.test
    real = _without_stand_ins(part)
    chosen = {run for side in _sides(part, test).values() for run in side}
    left_out = [name for name in (*part.runs, *part.datasets) if name in {*chosen, *part.datasets} & {*part.stand_ins}]
    try:
        if not left_out:
            return _judged(part, claim, _effect(part, frame, test))
        if found := _of_the_rest(real, frame, test):
            judged = _judged(real, claim, found)
            return replace(judged, reason=_joined(judged.reason, f"stand-ins left out: {', '.join(left_out)}"))
        found = _effect(part, frame, test)
    except _NoEffectError as why:
        nothing = Estimate(None, None, None, 0, 0)
        standing = bool(chosen) and (chosen <= set(spec.stand_ins) or set(part.datasets) <= set(spec.stand_ins))
        verdict: Verdict = "not comparable" if standing else "not enough data"
        return Finding(nothing, verdict, f"stand-ins; {why}" if standing else str(why), (), (), False)
    used = [name for name in (*found.runs, *found.datasets) if name in left_out]
    return Finding(
        found.estimate,
        "not comparable",
        f"stand-ins: {', '.join(used)}",
        found.runs,
        found.datasets,
        same_setting=False,
    )


def _of_the_rest(real: TableSpec, frame: pd.DataFrame, test: ClaimTest) -> _Effect | None:
    """The effect without stand-ins, if there is one."""
    try:
        return _effect(real, frame, test)
    except _NoEffectError:
        return None


def _without_stand_ins(spec: TableSpec) -> TableSpec:
    datasets = {name: title for name, title in spec.datasets.items() if name not in spec.stand_ins}
    on = {run: [name for name in spec.scored_on.get(run, spec.datasets) if name in datasets] for run in spec.runs}
    runs = {run: title for run, title in spec.runs.items() if run not in spec.stand_ins and on[run]}
    return spec.model_copy(update={"datasets": datasets, "runs": runs, "scored_on": {run: on[run] for run in runs}})


def _joined(*reasons: str) -> str:
    return "; ".join(reason for reason in reasons if reason)


def _judged(spec: TableSpec, claim: Claim, found: _Effect) -> Finding:
    """The finding where nothing stands in for something else."""
    same = _is_published_setting(claim.published, found)
    finding = Finding(found.estimate, "not enough data", "", found.runs, found.datasets, same)
    once = "for these trainings: one seed" if found.measured.one_seed else ""
    if found.measured.lacking:
        return replace(finding, reason=_joined(*found.measured.lacking))
    low, high = found.estimate.low, found.estimate.high
    if low is None or high is None:
        few = "few groups" if found.estimate.n_groups < spec.statistics.min_groups else "some resamples have no effect"
        return replace(finding, reason=few)
    verdict = _verdict(claim.test, low, high)
    between = "the interval is not on one side of where the claim holds"
    return replace(finding, verdict=verdict, reason=_joined(between if verdict == "not enough data" else "", once))


def _verdict(test: ClaimTest, low: float, high: float) -> Verdict:
    """An interval that ends on a bound that the effect has to pass is on neither side of it."""
    inside, outside = [], []
    if test.at_least is not None:
        inside.append(low >= test.at_least)
        outside.append(high < test.at_least)
    if test.above is not None:
        inside.append(low > test.above)
        outside.append(high < test.above)
    if test.at_most is not None:
        inside.append(high <= test.at_most)
        outside.append(low > test.at_most)
    if test.below is not None:
        inside.append(high < test.below)
        outside.append(low > test.below)
    return "survives" if all(inside) else "does not" if any(outside) else "not enough data"


def _is_published_setting(published: Published, found: _Effect) -> bool:
    parts = [named_parts(run) for run in found.runs]
    return (
        published.differs is None
        and {model_of(run) for run in found.runs} == set(published.models)
        and {part["strategy"] for part in parts if part["strategy"]} == set(published.strategies)
        and set(found.datasets) == set(published.datasets)
    )


def _sides(spec: TableSpec, test: ClaimTest) -> Sides:
    return {test.called: chosen_runs(spec, test.of)} | {
        name: chosen_runs(spec, runs) for name, runs in test.against.items()
    }


def chosen_runs(spec: TableSpec, patterns: Sequence[str]) -> list[str]:
    """The runs of the study that patterns choose, in its order; baselines have to be named."""
    wanted = [one for one in patterns if not one.startswith("!")]
    unwanted = [one[1:] for one in patterns if one.startswith("!")]

    def among(run: str, names: Sequence[str]) -> bool:
        return any(fnmatchcase(run, one) and (one == run or run not in spec.baselines) for one in names)

    return [run for run in spec.runs if among(run, wanted) and not any(fnmatchcase(run, one) for one in unwanted)]


def _effect(spec: TableSpec, frame: pd.DataFrame, test: ClaimTest) -> _Effect:
    """The effect, and the runs and data sets that it is of."""
    sides = _sides(spec, test)
    if absent := [name for name, runs in sides.items() if not runs]:
        raise _NoEffectError(f"not in this study: {', '.join(absent)}")
    found = measure(spec, frame, test, sides)
    if not found.values:
        raise _NoEffectError(found.nothing)
    if test.measure == "top_share":
        # Of one number there is nothing to choose between runs.
        used, fewest = set(found.groups), min(found.groups.values())
        estimate = estimate_of_one(next(iter(found.values.values())), fewest, spec.statistics)
    else:
        units = _units(test, sides, found.values)
        if not units:
            raise _NoEffectError(_joined(f"no model and data set has {_and(list(sides))}", *found.lacking))
        used = {(key[0], key[1]) for by_side in units.values() for keys in by_side.values() for key in keys}
        fewest = min(found.groups[one] for one in used)
        estimate = _compared(spec, test, _means(sides, units, found.values), fewest)
    runs = tuple(run for run in spec.runs if run in {run for run, _ in used})
    datasets = tuple(name for name in spec.datasets if name in {name for _, name in used})
    return _Effect(estimate, runs, datasets, found)


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


_Unit = tuple[str, ...]
_Units = dict[_Unit, dict[str, list[tuple[str, ...]]]]


def _units(test: ClaimTest, sides: Sides, values: Values) -> _Units:
    """By model and data set, and shift, that all sides have: the keys of the values of each side there.

    Where nothing is compared, each run is one. A shift on which a side has no value could not be won there.
    """
    units: _Units = {}
    for name, runs in sides.items():
        for key in values:
            if key[0] in runs:
                what = model_of(key[0]) if test.against else key[0]
                units.setdefault((what, *key[1:]), {}).setdefault(name, []).append(key)
    return {unit: by_side for unit, by_side in units.items() if set(by_side) == set(sides)}


def _means(sides: Sides, units: _Units, values: Values) -> dict[str, Floats]:
    """Of each side [1 + resamples, units]."""
    return {
        name: np.stack(
            [np.stack([values[key] for key in by_side[name]]).mean(axis=0) for by_side in units.values()], axis=1
        )
        for name in sides
    }


def _compared(spec: TableSpec, test: ClaimTest, means: Mapping[str, Floats], groups: int) -> Estimate:
    """The effect of sides whose values are [1 + resamples, units]."""
    statistics = spec.statistics
    if test.compare == "wins":
        return _wins(spec, means, groups)
    if test.compare == "value" and test.aggregate == "largest":
        return largest_of(means[test.called], groups, statistics)
    whole = {name: values.mean(axis=1) for name, values in means.items()}
    own, others = whole[test.called], [values for name, values in whole.items() if name != test.called]
    if test.compare == "value":
        return estimate_of_one(own, groups, statistics)
    if test.compare == "difference":
        return estimate_of_one(own - others[0], groups, statistics)
    if test.compare == "ratio":
        _check_denominator(test, others[0])
        return estimate_of_one(own / others[0], groups, statistics)
    sign = -1.0 if _less_is_better(test) else 1.0
    return smallest_of(sign * np.stack([own - other for other in others], axis=1), groups, statistics)


def _check_denominator(test: ClaimTest, values: Floats) -> None:
    """A ratio to nothing, or to a gain, says nothing of how often the loss is."""
    name, what = next(iter(test.against)), "lose" if test.measure in ("drop", "relative_drop") else "be above 0"
    if values[0] <= 0:
        raise _NoEffectError(f"{name} does not {what}")
    # A resample without the cells has no value, and leaves the effect without an interval.
    if (values <= 0).any():
        raise _NoEffectError(f"{name} may not {what}: it does not in some resamples")


def _less_is_better(test: ClaimTest) -> bool:
    if test.measure in ("drop", "relative_drop", "mce"):
        return True
    return test.metric is not None and METRICS[test.metric].smaller_is_better


def _wins(spec: TableSpec, means: Mapping[str, Floats], groups: int) -> Estimate:
    """By how much the best side is ahead of each other one in each unit, which are models, data sets and shifts."""
    count = next(iter(means.values())).shape[1]
    if count < 2:
        raise _NoEffectError(f"{plural(count, 'shift')} with scores of {_and(list(means))}, and there must be two")
    gaps = [
        np.concatenate([own - other for name, other in means.items() if name != side], axis=1)
        for side, own in means.items()
    ]
    return best_of_worst(gaps, groups, spec.statistics)
