"""Which numbers of the tables of two results differ, and whether by more than noise."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from medstress.config import Statistics
from medstress.exports.made_tables import MadeTable, read_made_tables
from medstress.score.bootstrap import estimate
from medstress.score.metrics import METRICS
from medstress.score.robustness import clean_scores, counts, paired_drops, read_scores

_VERDICT_TEXTS = {
    "interval",
    "beats_baselines",
    "beats_baselines_ood",
    "worst_class",
    "few_groups",
    "verdict",
    "group_unit",
    "test",
}
"""Texts that follow from numbers, and so do not tell rows apart."""
_OF_OTHERS = ("within_noise", "behind_best", "noise_floor")
"""What columns begin with that follow from the numbers of other runs, and have no interval of their own."""
_KEY_NUMBERS = ("level", "seed")
_FIRST = ("dataset", "run")
_SAME = 1e-9
_SCORED_VALUE = {"clean": "value", "perturbed": "perturbed", "drop": "drop"}
_ROW = ["seed", "sample_id", "object_id", "perturbation", "level"]

Verdict = Literal["changed", "within noise", "no interval"]


@dataclass(frozen=True)
class Change:
    """One number that differs. `how`: whether the same samples stand behind both sides, or intervals were compared.

    `low` and `high` are the ends of the interval of after - before, of paired numbers.
    """

    table: str
    row: str
    column: str
    before: float
    after: float
    how: Literal["paired", "intervals"]
    verdict: Verdict
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Comparison:
    """What two results have in common and where they differ."""

    changes: tuple[Change, ...]
    compared: int
    notes: tuple[str, ...]


def compare_results(before: Path, after: Path, statistics: Statistics | None = None) -> Comparison:
    """Compare every number of every table that both results have, as Parquet or else as CSV.

    A number that is a mean of scores, which is checked on both sides, is compared in pairs where both sides have the
    same samples in the same cells: it changed where the interval of the mean difference, from a bootstrap of groups,
    does not hold 0. Any other changed where the two intervals of the tables do not touch, and is `no interval` where
    one of them is not given. Raises MedstressError where tables or scores cannot be read.
    """
    tables = [{table.name: table for table in read_made_tables(path)} for path in (before, after)]
    scores = _Scores(before, after, statistics or Statistics())
    notes = [
        f"{name}: only in {before if name in tables[0] else after}" for name in sorted({*tables[0]} ^ {*tables[1]})
    ]
    changes: list[Change] = []
    compared = 0
    for name in sorted({*tables[0]} & {*tables[1]}):
        old, new = tables[0][name], tables[1][name]
        keys = _keys(old, new)
        sides = [_indexed(one.numbers, keys) for one in (old, new)]
        if not all(side.index.is_unique for side in sides):
            notes.append(f"{name}: its rows cannot be told apart by {', '.join(keys)}; left out")
            continue
        lost, gained = (sides[i].index.difference(sides[1 - i].index) for i in (0, 1))
        notes += [f"{name}: {_text(one)}: only in {before}" for one in lost]
        notes += [f"{name}: {_text(one)}: only in {after}" for one in gained]
        for index in sides[0].index.intersection(sides[1].index, sort=False):
            named = dict(zip(keys, index if isinstance(index, tuple) else (index,), strict=True))
            found, count = _compare_row(name, named, sides[0].loc[index], sides[1].loc[index], scores)
            changes += found
            compared += count
    return Comparison(tuple(changes), compared, tuple(notes))


def _keys(old: MadeTable, new: MadeTable) -> list[str]:
    shared = [column for column in old.numbers.columns if column in new.numbers.columns]
    # A column of texts that is empty on one side is one of numbers there, where it was read from CSV.
    texts = [
        one
        for one in shared
        if one not in _VERDICT_TEXTS
        and not one.startswith(_OF_OTHERS)
        and not all(pd.api.types.is_numeric_dtype(side.numbers[one]) for side in (old, new))
    ]
    keys = sorted(texts, key=lambda one: one not in _FIRST) + [one for one in _KEY_NUMBERS if one in shared]
    alike = any(side.numbers.duplicated(keys).any() for side in (old, new)) if keys else False
    # A rank is a result, unless rows are places of a ranking.
    return [*keys, "rank"] if alike and "rank" in shared else keys


def _indexed(numbers: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Rows by their keys, which are texts with None for a hole, whatever file they are from."""
    if not keys:
        return numbers
    texts = {
        key: numbers[key].astype(object).where(numbers[key].notna(), None)
        for key in keys
        if key not in (*_KEY_NUMBERS, "rank")
    }
    return numbers.assign(**texts).set_index(list(keys))


def _text(index: Any) -> str:
    parts = index if isinstance(index, tuple) else (index,)
    return ", ".join(str(part) for part in parts if not pd.isna(part))


def _compare_row(
    table: str, named: Mapping[str, Any], old: "pd.Series[Any]", new: "pd.Series[Any]", scores: "_Scores"
) -> tuple[list[Change], int]:
    left_out = [one for one in old.index if one.endswith(("_low", "_high")) or one.startswith(_OF_OTHERS)]
    columns = [one for one in old.index if one in new.index and one not in left_out]
    # Two holes are no number, and None and NaN are one hole.
    given = {one: [side[one] for side in (old, new) if not pd.isna(side[one])] for one in columns}
    numbers = [
        one for one, values in given.items() if values and all(isinstance(v, int | float | np.number) for v in values)
    ]
    changes = []
    for column in numbers:
        one, other = (math.nan if pd.isna(side[column]) else float(side[column]) for side in (old, new))
        if math.isclose(one, other, rel_tol=_SAME, abs_tol=_SAME):
            continue
        how, verdict, low, high = scores.paired(named, column, one, other) or _by_intervals(column, old, new)
        changes.append(Change(table, _text(tuple(named.values())), column, one, other, how, verdict, low, high))
    return changes, len(numbers)


_Outcome = tuple[Literal["paired", "intervals"], Verdict, float | None, float | None]


def _by_intervals(column: str, old: "pd.Series[Any]", new: "pd.Series[Any]") -> _Outcome:
    given = [side.get(f"{column}_{end}") for side in (old, new) for end in ("low", "high")]
    if any(pd.isna(end) for end in given):
        return "intervals", "no interval", None, None
    ends = [float(end) for end in given if end is not None]
    apart = ends[1] < ends[2] or ends[3] < ends[0]
    return "intervals", "changed" if apart else "within noise", None, None


class _Scores:
    """The scores of both sides, read when the first number differs."""

    def __init__(self, before: Path, after: Path, statistics: Statistics) -> None:
        self._folders, self._statistics = (before, after), statistics
        self._frames: list[tuple[pd.DataFrame, pd.DataFrame]] | None = None

    @property
    def _there(self) -> bool:
        return all(any((one / "scores").glob("*/*.parquet")) for one in self._folders)

    def _read(self) -> list[tuple[pd.DataFrame, pd.DataFrame]]:
        if self._frames is None:
            frames = [read_scores(sorted((one / "scores").glob("*/*.parquet"))) for one in self._folders]
            self._frames = [(clean_scores(one), paired_drops(one)) for one in frames]
        return self._frames

    def paired(self, named: Mapping[str, Any], column: str, before: float, after: float) -> _Outcome | None:
        """The verdict on a mean of the same samples on both sides; None where the number is anything else."""
        asked = _selection(named, column)
        if asked is None or not self._there:
            return None
        side, wanted = asked
        sides = [_select(clean if side == "clean" else pairs, side, wanted) for clean, pairs in self._read()]
        for rows, value in zip(sides, (before, after), strict=True):
            if not len(rows) or not math.isclose(rows["number"].mean(), value, rel_tol=1e-6, abs_tol=_SAME):
                return None
        both = sides[0].merge(sides[1], on=_ROW, suffixes=("", "_after"))
        if not len(both) == len(sides[0]) == len(sides[1]):
            return None
        found = estimate(both["number_after"] - both["number"], both["group_id"], wanted["dataset"], self._statistics)
        if found.low is None or found.high is None:
            return "paired", "no interval", None, None
        return "paired", "within noise" if found.low <= 0 <= found.high else "changed", found.low, found.high


def _selection(named: Mapping[str, Any], column: str) -> tuple[str, dict[str, Any]] | None:
    """Which side of which scores a column would be the mean of, as the main tables and those of levels name theirs."""
    wanted = {one: named[one] for one in ("dataset", "run", "perturbation", "level", "metric") if one in named}
    if any(pd.isna(value) for value in wanted.values()) or not {"dataset", "run"} <= set(wanted):
        return None
    side = column
    if "metric" not in wanted:
        metric = next((one for one in METRICS if column == one or column.startswith(f"{one}_")), None)
        if metric is None:
            return None
        wanted["metric"], side = metric, column.removeprefix(metric).removeprefix("_") or "clean"
    return (side, wanted) if side in _SCORED_VALUE else None


def _select(rows: pd.DataFrame, side: str, wanted: Mapping[str, Any]) -> pd.DataFrame:
    chosen = np.ones(len(rows), dtype=bool)
    for column, value in wanted.items():
        if side != "clean" or column not in ("perturbation", "level"):
            chosen &= (rows[column] == value).to_numpy()
    rows = rows[chosen]
    value = rows[_SCORED_VALUE[side]]
    kept = counts(rows["status"].astype(str), value) if side == "clean" else rows["scored"]
    rows = rows.assign(number=value)[kept.to_numpy() & value.notna().to_numpy()]
    return rows[[*_ROW, "group_id", "number"]].astype({"perturbation": str, "sample_id": str, "object_id": str})


def comparison_lines(found: Comparison) -> Iterator[str]:
    """The comparison as lines of text, what changed beyond noise first."""
    by_verdict: dict[Verdict, list[Change]] = {"changed": [], "within noise": [], "no interval": []}
    for change in found.changes:
        by_verdict[change.verdict].append(change)
    yield from _section("Changed beyond noise", by_verdict["changed"])
    yield from _section("Differ, with no interval to say whether by more than noise", by_verdict["no interval"])
    yield from (f"note: {note}" for note in found.notes)
    yield (
        f"{found.compared} numbers compared, {len(found.changes)} differ: {len(by_verdict['changed'])} beyond noise, "
        f"{len(by_verdict['within noise'])} within it, {len(by_verdict['no interval'])} without an interval"
    )
    if by_verdict["changed"]:
        yield "Intervals are of one number each: of many that did not change, some fall outside by chance."


def _section(title: str, changes: Sequence[Change]) -> Iterator[str]:
    if changes:
        yield f"{title}:"
        for one in changes:
            interval = "" if one.low is None else f" [{one.low:+.4g}, {one.high:+.4g}]"
            by = [f"{one.after - one.before:+.4g}{interval}"]
            if one.how == "paired":
                by.append("same samples")
            elif one.verdict != "no interval":
                by.append("by the intervals of the tables")
            yield f"  {one.table}: {one.row}: {one.column} {one.before:.4g} -> {one.after:.4g} ({', '.join(by)})"
