"""Every number in a table that is made from scores is traced to its score rows."""

import csv
import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from statistics import fmean

import pytest
from scipy.stats import norm, t

from medstress.names import TableName, Task
from medstress.records import ScoreRow
from medstress.score.bootstrap import draws
from medstress.score.robustness import of_perturbations, read_scores
from medstress.tables.registry import TABLES
from tests.tables.generated_study import FAMILIES, TASKS, made, of_scores, rows_of, spec_of, tasks_of, write_scores
from tests.tables.plain import answers, classification, segmentation, spread
from tests.tables.plain import rows as plain

_ANSWERS = ("dataset", "run", "metric")
_LEVELS = ("dataset", "run", "scale", "level", "metric")
_NAMES = ("Model", "Dataset", "Strategy", "Eval_Type")
KEYS: dict[TableName, tuple[str, ...]] = {
    "segmentation_main": ("dataset", "run"),
    "segmentation_perturbations": ("dataset", "perturbation", "run"),
    "segmentation_levels": ("dataset", "run", "scale", "level"),
    "segmentation_strategies": ("dataset", "run"),
    "segmentation_adversarial": ("dataset", "run", "attack", "level"),
    "segmentation_transfer": ("dataset", "attack", "level", "source", "run"),
    "segmentation_prompts": ("dataset", "run", "prompt", "level"),
    "segmentation_top": ("perturbation",),
    "segmentation_groups": ("dataset", "run"),
    "classification_main": ("dataset", "run"),
    "classification_corruptions": ("dataset", "run", "perturbation"),
    "classification_fewshot": ("dataset", "run"),
    "vqa_main": _ANSWERS,
    "vqa_levels": _LEVELS,
    "captioning_main": _ANSWERS,
    "captioning_levels": _LEVELS,
    "grounding_main": _ANSWERS,
    "grounding_levels": _LEVELS,
    "vqa_shifts": ("dataset", "shift", "metric", "run"),
    "published_summary": (*_NAMES, "Corruption_Type"),
    "published_by_level": (*_NAMES, "attack_type", "level"),
    "claims": ("claim",),
    "uncertainty": ("dataset", "run"),
    "severity_matched": ("dataset", "run"),
    "comparisons": ("dataset", "measure", "run", "other"),
    "ranking": ("task", "dataset", "measure", "run"),
}
"""What tells the rows of a table apart, in the order of its plain version."""
NOISE = (
    *("noise_floor", "behind_best", "within_noise_of_best", "within_noise", "published", "rank"),
    *("n_cells_compared", "n_cells_left_out"),
)
"""Columns that tests of their own work out from resamples, or that no score makes."""
Cell = tuple[tuple[str, ...], str]


def plain_version(name: TableName) -> Callable[[list[ScoreRow]], plain.Found]:
    last = name.rpartition("_")[2]
    own = f"answers_{last}" if name.startswith(("vqa_m", "vqa_l", "capt", "ground")) else name
    module = next(one for one in (segmentation, classification, answers, spread) if hasattr(one, own))
    found: Callable[[list[ScoreRow]], plain.Found] = getattr(module, own)
    return found


def expected(name: TableName, rows: list[ScoreRow]) -> dict[Cell, float | None]:
    found = plain_version(name)(rows)
    return {(tuple(map(str, key)), column): value for key, numbers in found for column, value in numbers.items()}


def written(path: Path, name: TableName) -> dict[Cell, str]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {
        (tuple(row[key] for key in KEYS[name]), column): text
        for row in rows
        for column, text in row.items()
        if column not in KEYS[name]
    }


def numbers_alone(path: Path, name: TableName, scores: list[Path]) -> Path:
    """The CSV without the texts beside it, which take as long again."""
    entry = TABLES[name]
    spec = spec_of().of_task(entry.task)
    frame = read_scores(scores, sides=entry.sides)
    own = of_perturbations(spec, frame) if entry.cells == "perturbations" else frame
    import_module(entry.module).build(spec, own).to_csv(path, index=False, float_format="%.10g")
    return path


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def same(text: str, value: float | None, digits: float) -> bool:
    if value is None:
        return text == ""
    return is_number(text) and math.isclose(float(text), value, rel_tol=1e-8, abs_tol=digits)


@pytest.fixture(scope="module")
def drawn() -> dict[Task, list[ScoreRow]]:
    return {task: rows_of(task) for task in TASKS}


@pytest.fixture(scope="module")
def paths(drawn, tmp_path_factory) -> Callable[[Task], list[Path]]:  # type: ignore[no-untyped-def]
    return cache(lambda task: write_scores(tmp_path_factory.mktemp(task), drawn[task]))


def changed_row(name: TableName, rows: list[ScoreRow]) -> ScoreRow:
    """A perturbed score of the model with a strategy that every table of its task reads."""
    kinds = {"segmentation_adversarial": "pgd", "segmentation_transfer": "pgd@net", "segmentation_prompts": "grown"}
    task = tasks_of(name)[0]
    dataset, run = TASKS[task][0], FAMILIES[task][1 if name == "claims" else 2]
    return next(
        row
        for row in rows
        if (row.dataset, plain.family(row), row.metric) == (dataset, run, plain.PRIMARY[task])
        and (row.perturbation, row.level, row.status) == (kinds.get(name, "gaussian_noise"), 1, "ok")
    )


def test_every_table_is_traced() -> None:
    # Of the generated study no number is published.
    assert set(KEYS) == set(of_scores()) - {"published_numbers"}


@pytest.mark.parametrize("name", KEYS)
def test_numbers_are_those_of_their_rows(name: TableName, drawn, paths, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    tasks = tasks_of(name)
    rows = [row for task in tasks for row in drawn[task]]
    before = written(made(tmp_path, name, [path for task in tasks for path in paths(task)]).csv, name)
    digits = 6e-5 if name.startswith("published") else 1e-9
    numbers = expected(name, rows)
    wrong = {
        cell: (before.get(cell), value) for cell, value in numbers.items() if not same(before[cell], value, digits)
    }
    assert not wrong
    # Nothing in the table is a number that was not worked out, but ends of intervals and what is of noise.
    others = {column for cell in before.keys() - numbers.keys() if is_number(before[cell]) for column in cell[1:]}
    assert {column for column in others if not column.endswith(("_low", "_high"))} <= set(NOISE)
    for (key, column), text in before.items():
        if column.endswith("_low") and text and column != "mean_rank_low":
            middle = column.removesuffix("_low")
            low, mean, high = (float(before[key, middle + end]) for end in ("_low", "", "_high"))
            assert low - 1e-9 <= mean <= high + 1e-9

    # One other score changes what it belongs to, and nothing else.
    old = changed_row(name, rows)
    assert old.value is not None
    new = replace(old, value=round(0.37 * old.value + (0.21 if old.value < 0.5 else 0), 4))
    other = [new if row is old else row for row in rows]
    files = [path for task in tasks[1:] for path in paths(task)]
    files += write_scores(tmp_path / "other", [row for row in other if row.task == tasks[0]])
    after, moved = written(numbers_alone(tmp_path / "other.csv", name, files), name), expected(name, other)
    assert before.keys() == after.keys()
    wanted = {cell for cell, value in moved.items() if value != numbers[cell]}
    assert wanted
    given = {cell for cell in before if before[cell] != after[cell]}
    blurred = wanted ^ (given & numbers.keys())
    # What differs in no digit that is written is no change.
    assert all(math.isclose(moved[cell] or 0.0, numbers[cell] or 0.0, rel_tol=1e-8, abs_tol=digits) for cell in blurred)
    # Ends of intervals are of rows whose numbers changed; noise is of all that is compared with them.
    ends = {cell for cell in given - numbers.keys() if cell[1].endswith(("_low", "_high"))}
    assert {key for key, _ in ends} <= {key for key, _ in wanted}
    assert {column for _, column in given - numbers.keys() - ends} <= set(NOISE)


def test_intervals_are_the_documented_ones(drawn, paths, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Percentiles over resamples of groups, arms lengthened by sqrt(G / (G - 1)) and Student over normal."""
    found = written(
        made(tmp_path, "segmentation_perturbations", paths("segmentation")).csv, "segmentation_perturbations"
    )
    checked = 0
    for (dataset, kind, run), column in found:
        if column != "drop" or dataset == "s2":
            continue
        pairs = plain.pairs_of(plain.under(plain.of(drawn["segmentation"], dataset, run, "iou"), kind))
        by_group = plain.many(pairs, lambda pair: pair.row.group_id)
        names, count = sorted(by_group), len(by_group)
        middle = fmean(pair.drop for pair in pairs)
        means = sorted(
            fmean(pair.drop for place in one for pair in by_group[names[place]])
            for part in draws(count, dataset, plain.RESAMPLES)
            for one in part.tolist()
        )
        longer = math.sqrt(count / (count - 1)) * t.ppf(0.975, count - 1) / norm.ppf(0.975)
        for end, share in (("_low", 0.025), ("_high", 0.975)):
            place = share * (len(means) - 1)
            below = int(place)
            value = means[below] + (place - below) * (means[below + 1] - means[below])
            wanted = min(1.0, max(-1.0, middle + (value - middle) * longer))
            assert math.isclose(float(found[(dataset, kind, run), "drop" + end]), wanted, rel_tol=1e-8, abs_tol=1e-9)
        checked += 1
    assert checked == 18
