"""Every two runs of a task beside each other: what one loses more than the other, and whether that is noise."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from medstress.errors import MedstressError
from medstress.score.bootstrap import interval
from medstress.score.compared import Compared, compared, studied
from medstress.score.metrics import METRICS
from medstress.score.statistics.noise import floors_of_differences
from medstress.score.statistics.pairs import resampled_differences
from medstress.score.statistics.significance import adjusted, group_means, mcnemar_test, signed_rank, smallest_p
from medstress.score.titles import dataset_titles, plural, run_titles
from medstress.table_spec import TableSpec
from medstress.tables.layout import INTERVALS, NOTHING, estimate_text, number, typed
from medstress.tables.noise_marks import FLOOR, resampled_text

Floats = npt.NDArray[np.float64]

_EQUAL_DIGITS = 12
SIGN_TEST = "sign test (McNemar over groups)"
MOST_PAIRWISE = 30
"""Of more runs than this on a data set, each is compared with the best alone."""
TITLE = "Comparisons: which differences between runs are more than noise"
CAPTION = (
    "The primary metric of each task. Differences are the first run's mean less the second's, over the samples and "
    "cells that both have; of a strategy's seeds the mean counts. Clean is the score of clean images, and drop what "
    "perturbations take from it: a smaller drop is better, and one of a run that scores little is no merit. "
    f"{INTERVALS} All pairs of a data set share their resamples. Within noise is a difference of no more than its "
    f"noise floor: {FLOOR}. p is two-sided and of groups, since samples of one patient are not independent, and all "
    "groups weigh the same in it, however many samples they have: Wilcoxon's signed-rank test of the mean differences "
    "of groups; where clean answers are right or wrong the sign test of the groups that one run answered better than "
    "the other (McNemar over groups). Runs that answer alike are not tested. q is p after Benjamini and Hochberg over "
    "the tests of one task and measure. Baselines are apart: pairs with one have a noise floor and a q of their own, "
    "and two of them are compared only where there is nothing else. With few groups nothing is tested, and the file "
    f"with all digits alone has the differences. Of more than {MOST_PAIRWISE} runs on a data set, each is compared "
    "with the best alone, which was chosen by the same scores, so its lead is rather too large."
)
_SHOWN = [
    "Data set",
    "Run",
    "Less",
    "Of",
    "Difference",
    "Within noise",
    "p",
    "q",
    "Test",
    "Groups",
    "Pairs",
]
_ANSWER = ["sample_id", "object_id", "perturbation", "level"]


def build(spec: TableSpec, frame: pd.DataFrame) -> pd.DataFrame:
    """One row a data set, measure (`clean` or `drop`) and pair of runs that have samples in common.

    Raises MedstressError where no two runs do.
    """
    rows: list[dict[str, Any]] = []
    for block in compared(spec, frame):
        for measure, scores, column in (("clean", block.clean, "value"), ("drop", block.pairs, "drop")):
            rows += _rows(block, measure, scores, column)
    if not rows:
        raise MedstressError(
            "table comparisons: no two runs have scores on one data set, so there is nothing to compare. Name another "
            "under `runs`, or leave the table out."
        )
    for family in dict.fromkeys(map(_family, rows)):
        own = [row for row in rows if _family(row) == family]
        for row, q in zip(own, adjusted([row["p"] for row in own]), strict=True):
            row["q"] = q
    return typed(rows)


def _family(row: Mapping[Any, Any]) -> tuple[str, ...]:
    """The tests that q is over."""
    return row["task"], row["measure"], row["kind"]


def _rows(block: Compared, measure: str, scores: pd.DataFrame, column: str) -> Iterator[dict[str, Any]]:
    spec, statistics = block.spec, block.spec.statistics
    # Seeds of a strategy saw the same samples, so they are one answer and not several.
    # Sums run from small to large, so that the order of rows cannot change the last digit.
    scores = scores.sort_values(column)
    answers = scores.groupby([*_ANSWER, "group_id", "run"], observed=True)[column].mean().unstack("run")
    runs = [run for run in spec.runs if run in answers]
    values, groups = answers[runs].to_numpy(np.float64), answers.index.get_level_values("group_id").to_numpy(dtype=str)
    smaller = METRICS[block.metric].smaller_is_better or measure == "drop"
    chosen = [run in studied(spec) for run in runs]
    pairs = [pair for pair in _pairs(values, chosen, smaller=smaller) if _both(values, pair).any()]
    if not pairs:
        return
    resamples = statistics.resamples if len(np.unique(groups)) >= statistics.min_groups else 0
    means = resampled_differences(values, groups, pairs, block.dataset, resamples)
    counts = [len(np.unique(groups[_both(values, pair)])) for pair in pairs]
    kinds = ["runs" if chosen[first] and chosen[second] else "with a baseline" for first, second in pairs]
    floors = np.full(len(pairs), np.nan)
    for kind in set(kinds):
        own = [place for place in range(len(pairs)) if kinds[place] == kind]
        floors[own] = floors_of_differences(means[:, own], [counts[place] for place in own], statistics)
    for place, pair in enumerate(pairs):
        there = _both(values, pair)
        count, given = counts[place], float(means[0, place])
        both = values[there][:, list(pair)]
        # Means over seeds are neither right nor wrong.
        answered = measure == "clean" and bool(np.isin(both, (0.0, 1.0)).all())
        low, high, p = None, None, None
        if count >= statistics.min_groups:
            p = _p_value(both, groups[there], answered=answered)
            if np.isfinite(means[:, place]).all():
                low, high = interval(given, means[1:, place], count, statistics.confidence)
        yield {
            "task": block.task,
            "dataset": block.dataset,
            "metric": block.metric,
            "measure": measure,
            "kind": kinds[place],
            "run": runs[pair[0]],
            "other": runs[pair[1]],
            "difference": given,
            "difference_low": low,
            "difference_high": high,
            "noise_floor": floors[place],
            "within_noise": None if np.isnan(floors[place]) else abs(given) <= floors[place],
            "test": None if p is None else SIGN_TEST if answered else "Wilcoxon",
            "p": p,
            "q": None,
            "n_groups": count,
            "group_unit": spec.split_units[block.dataset],
            "n_values": int(there.sum()),
        }


def _pairs(values: Floats, chosen: Sequence[bool], *, smaller: bool) -> list[tuple[int, int]]:
    """All pairs of the columns of which one is chosen at least, or each with the best chosen where these are many."""
    count, own = values.shape[1], np.flatnonzero(chosen)
    if len(own) <= MOST_PAIRWISE:
        return [pair for pair in combinations(range(count), 2) if chosen[pair[0]] or chosen[pair[1]]]
    # A run that lacks what is hard would be the best.
    shared = values[np.isfinite(values[:, own]).all(axis=1)]
    means = np.nanmean(shared if len(shared) else values, axis=0)[own]
    best = int(own[np.argmin(means) if smaller else np.argmax(means)])
    return [(run, best) for run in range(count) if run != best]


def _both(values: Floats, pair: tuple[int, int]) -> npt.NDArray[np.bool_]:
    there = np.isfinite(values)
    return np.asarray(there[:, pair[0]] & there[:, pair[1]])


def _p_value(values: Floats, groups: npt.NDArray[np.str_], *, answered: bool) -> float | None:
    if np.allclose(values[:, 0], values[:, 1], rtol=0, atol=0.5 * 10.0**-_EQUAL_DIGITS):
        return None
    if answered:
        return mcnemar_test(values[:, 0], values[:, 1], groups).p_groups
    # Means over seeds that are equal may differ in their last digits, and would be no ties.
    return signed_rank(np.round(group_means(values[:, 0] - values[:, 1], groups), _EQUAL_DIGITS))


def display(spec: TableSpec, table: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it: without pairs of few groups, which a note counts."""
    datasets, runs, rows = dataset_titles(spec), run_titles(spec), []
    for row in table[table["n_groups"] >= spec.statistics.min_groups].to_dict("records"):
        metric = METRICS[row["metric"]]
        within = row["within_noise"]
        rows.append(
            {
                "Data set": datasets[row["dataset"]],
                "Run": runs[row["run"]],
                "Less": runs[row["other"]],
                "Of": f"clean {metric.title}" if row["measure"] == "clean" else f"{metric.title} drop",
                "Difference": estimate_text(row, "difference", metric.digits),
                "Within noise": NOTHING if pd.isna(within) else "yes" if within else "no",
                "p": _p_text(row["p"]),
                "q": _p_text(row["q"]),
                "Test": NOTHING if pd.isna(row["test"]) else row["test"],
                "Groups": plural(row["n_groups"], row["group_unit"]),
                "Pairs": str(row["n_values"]),
            }
        )
    return pd.DataFrame(rows, columns=_SHOWN)


def _p_text(value: Any) -> str:
    return "<0.001" if value is not None and value < 0.001 else number(value, 3)


def remarks(spec: TableSpec, table: pd.DataFrame) -> list[str]:
    """The noise floor of every data set, or that it has few groups; and what was tested."""
    titles, found = dataset_titles(spec), []
    for dataset, own in table.groupby("dataset", sort=False):
        unit = spec.split_units[str(dataset)]
        few = own[own["n_groups"] < spec.statistics.min_groups]
        if len(few):
            found.append(
                f"{titles[str(dataset)]}: few groups ({plural(int(few['n_groups'].max()), unit)}), so no noise floor "
                f"and no test of {plural(len(few), 'pair')}, which only the file with all digits has."
            )
        found += _of_dataset(spec, titles[str(dataset)], own.drop(few.index), unit)
    tests = {family: own["p"].notna().sum() for family, own in table.groupby(["task", "measure", "kind"], sort=False)}
    said = ", ".join(
        f"{plural(count, 'test')} ({task}, {measure}{'' if kind == 'runs' else f', {kind}'})"
        for (task, measure, kind), count in tests.items()
        if count
    )
    return [*found, *([f"q is over {said}."] if said else []), resampled_text(spec)]


def _of_dataset(spec: TableSpec, title: str, own: pd.DataFrame, unit: str) -> Iterator[str]:
    """The noise floors of pairs with enough groups, and how small a p these can have."""
    if own.empty:
        return
    digits = METRICS[own["metric"].iloc[0]].digits + 1
    known = own[own["noise_floor"].notna()]
    ranges = {
        place: dict.fromkeys(number(value, digits) for value in (floors.min(), floors.max()))
        for place, floors in known.groupby(["measure", "kind"], sort=False)["noise_floor"]
    }
    said = ", ".join(
        f"{' to '.join(ends)} ({measure}{'' if kind == 'runs' else f', {kind}'})"
        for (measure, kind), ends in ranges.items()
    )
    yield f"{title}: noise floor {said}." if said else f"{title}: no noise floor, since some resamples lack a run."
    if len(known) < len(own) and said:
        yield f"{title}: no noise floor of {plural(len(own) - len(known), 'pair')}, which some resamples lack."
    groups = int(own["n_groups"].max())
    least, error = smallest_p(groups), 1 - spec.statistics.confidence
    never = f", so nothing can be significant at {error:.3g}" if least > error else ""
    yield f"{title}: the smallest p that {plural(groups, unit)} can have is {least:.3g}{never}."


def notes(_spec: TableSpec, _frame: pd.DataFrame) -> list[str]:
    """Nothing: what a run lacks is said in the tables of its task; here it has no pair."""
    return []
