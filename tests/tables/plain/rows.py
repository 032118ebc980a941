"""Score rows in plain Python: who they are of, which count, and pairs of clean and perturbed ones."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from medstress.records import ScoreRow
from tests.tables.generated_study import FAMILIES, TASKS

Rows = list[ScoreRow]


Numbers = dict[str, float | None]


Found = Iterator[tuple[tuple[Any, ...], Numbers]]


PRIMARY = {"segmentation": "iou", "classification": "accuracy", "vqa": "closed_accuracy"} | {
    "captioning": "cider_d",
    "grounding": "box_iou",
}


SMALLER = ("hd95", "closed_flip", "open_flip")


BANDED = ("jpeg", "gaussian_noise")


ALL = "mean over data sets"


FEW = 5


RESAMPLES = 100


def family(row: ScoreRow) -> str:
    return row.run.split("@")[0]


def there(row: ScoreRow) -> bool:
    """Whether means count it."""
    return row.status in ("ok", "empty") or (row.status == "refused" and row.value is not None)


def mean(values: Iterable[float | None]) -> float | None:
    given = [value for value in values if value is not None]
    return fmean(given) if given else None


def many(rows: Iterable[Any], key: Callable[[Any], Any]) -> dict[Any, list[Any]]:
    found: dict[Any, list[Any]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return found


@dataclass(frozen=True)
class Pair:
    row: ScoreRow
    clean: float
    perturbed: float
    drop: float

    @property
    def cell(self) -> tuple[str, str, str, int]:
        return self.row.sample_id, self.row.object_id, self.row.perturbation, self.row.level


def whole(rows: Rows) -> Rows:
    return [row for row in rows if not row.subset]


def clean_of(rows: Rows) -> Rows:
    return [row for row in rows if row.level == 0 and there(row)]


def pairs_of(rows: Rows) -> list[Pair]:
    """Of rows of one metric."""

    def key(row: ScoreRow) -> tuple[str, ...]:
        return row.dataset, row.run, row.sample_id, row.object_id, row.metric

    before = {key(row): row.value for row in clean_of(rows)}
    found = []
    for row in rows:
        if row.level and there(row) and before.get(key(row)) is not None:
            first, second = before[key(row)], row.value
            assert first is not None and second is not None
            found.append(Pair(row, first, second, (first - second) * (-1 if row.metric in SMALLER else 1)))
    return found


def three(pairs: Sequence[Pair]) -> Numbers:
    return {name: mean(getattr(pair, name) for pair in pairs) for name in ("clean", "perturbed", "drop")}


def left_out(rows: Rows) -> Numbers:
    given = many(rows, lambda row: row.status)
    named = {name: len(given.get(name, [])) for name in ("unreachable", "object_lost", "empty")}
    rest = len(rows) - sum(named.values()) - len(given.get("ok", []))
    found: Numbers = {f"n_{name}": count for name, count in named.items()}
    return found | {"n_failed": rest}


def answer_counts(rows: Rows) -> Numbers:
    found = left_out(rows)
    refused = sum(row.status == "refused" for row in rows)
    failed = found["n_failed"]
    assert failed is not None
    return found | {"n_refused": refused, "n_unparsable": 0, "n_failed": failed - refused}


def size(rows: Iterable[ScoreRow], *names: str) -> int:
    return len({tuple(getattr(row, name) for name in names) for row in rows})


def objects(rows: Iterable[ScoreRow]) -> int:
    return size(rows, "sample_id", "object_id")


def of_pairs(pairs: Iterable[Pair]) -> Rows:
    return [pair.row for pair in pairs]


def under(rows: Rows, *names: str) -> Rows:
    return [row for row in rows if row.level == 0 or row.perturbation in names]


def each_run(task: str) -> Iterator[tuple[str, str]]:
    yield from itertools.product(TASKS[task], FAMILIES[task])  # type: ignore[index]


def of(rows: Rows, dataset: str, run: str | None = None, metric: str | None = None) -> Rows:
    return [
        row
        for row in rows
        if row.dataset == dataset and (run is None or family(row) == run) and (metric is None or row.metric == metric)
    ]
