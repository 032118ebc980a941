"""A study that lacks scores: every table shows the holes, says what is missing, and names the command that fills it."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from medstress.errors import MedstressError
from medstress.names import TableName, Task
from medstress.records import ScoreRow
from medstress.runs import family_of
from medstress.tables.missing import EXPLAINED, FEWER
from tests.tables.generated_study import (
    FAMILIES,
    METRICS,
    SEEDS,
    TASKS,
    Written,
    made,
    of_scores,
    rows_of,
    tasks_of,
    write_scores,
)

DASH = "\N{EN DASH}"
KINDS = ("gaussian_noise", "pgd", "pgd@net", "grown")
"""A perturbation, and what tables that are not of perturbations are of."""
KEYS = (
    "dataset",
    "Dataset",
    "run",
    "Model",
    "metric",
    "perturbation",
    "attack_type",
    "level",
    "prompt",
    "scale",
    "source",
)
COMPARING = ("classification_main", "comparisons", "ranking", "claims", "published_numbers")
"""Tables with rows of what is compared, which is less where something is missing."""
PRIMARY: dict[Task, str] = {
    "segmentation": "iou",
    "classification": "accuracy",
    "vqa": "closed_accuracy",
    "captioning": "cider_d",
    "grounding": "box_iou",
}
Lost = Callable[[ScoreRow], bool]


HOLES: dict[str, Callable[[Task], Lost]] = {
    "nothing": lambda task: lambda row: False,
    "run": lambda task: lambda row: _where(row) == (FAMILIES[task][1], TASKS[task][0]),
    "perturbation": lambda task: lambda row: _in_models(row, task) and row.perturbation in KINDS,
    "level": lambda task: lambda row: _in_models(row, task) and row.perturbation in KINDS and row.level == 2,
    "seed": lambda task: lambda row: (*_where(row), row.seed) == (FAMILIES[task][2], TASKS[task][0], 1),
    "clean": lambda task: lambda row: (*_where(row), row.level) == (FAMILIES[task][1], TASKS[task][0], 0),
    "metric": lambda task: lambda row: (family_of(row.run), row.metric) == (FAMILIES[task][1], PRIMARY[task]),
    "metric everywhere": lambda task: lambda row: row.metric == PRIMARY[task],
    "all": lambda task: lambda row: any(HOLES[one](task)(row) for one in ("level", "seed", "clean")),
}
"""Which rows of a task are not there."""


def _where(row: ScoreRow) -> tuple[str, str]:
    return family_of(row.run), row.dataset


def _in_models(row: ScoreRow, task: Task) -> bool:
    return row.dataset == TASKS[task][0] and family_of(row.run) != FAMILIES[task][0]


@pytest.fixture(scope="module")
def drawn() -> dict[Task, list[ScoreRow]]:
    return {task: rows_of(task) for task in TASKS}


@pytest.fixture(scope="module")
def scores(drawn, tmp_path_factory) -> Callable[[str, TableName], list[Path]]:  # type: ignore[no-untyped-def]
    """The scores with a hole that a table reads; written once."""

    @cache
    def written(hole: str, task: Task) -> list[Path]:
        lost = HOLES[hole](task)
        return write_scores(tmp_path_factory.mktemp("scores"), [row for row in drawn[task] if not lost(row)])

    return lambda hole, name: [path for task in tasks_of(name) for path in written(hole, task)]


@pytest.fixture(scope="module")
def whole(scores, tmp_path_factory) -> Callable[[TableName], Written]:  # type: ignore[no-untyped-def]
    """A table of the study without holes."""
    return cache(lambda name: made(tmp_path_factory.mktemp("whole"), name, scores("nothing", name)))


def notes_of(text: str) -> list[str]:
    return [line.removeprefix("* ") for line in text.splitlines() if line.startswith("* ")]


def check_text(path: Path) -> None:
    """People read words and dashes, and no value of a language."""
    text = path.read_text()
    assert not re.search(r"(?<![a-z])(nan|NaN|None|NaT|<NA>)(?![a-z])", text), text


_ALL = [hole for hole in HOLES if hole not in ("nothing", "all")]


@pytest.mark.parametrize(
    ("name", "hole"),
    [
        *((name, "all") for name in of_scores()),
        *((name, hole) for name in ("segmentation_main", "segmentation_transfer", "vqa_levels") for hole in _ALL),
    ],
)
def test_a_hole_is_shown_and_said(name: TableName, hole: str, scores, whole, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    task, full = tasks_of(name)[0], whole(name)
    table = made(tmp_path, name, scores(hole, name))
    assert FEWER not in full.md.read_text()
    for path in (full.md, table.md, table.tex):
        check_text(path)
    # A row of the study is a row of the table, also where nothing was scored.
    before, after = pd.read_csv(full.csv), pd.read_csv(table.csv)
    keys = [one for one in KEYS if one in before]
    there = set(after[keys].fillna("").astype(str).itertuples(index=False, name=None))
    gone = set(before[keys].fillna("").astype(str).itertuples(index=False, name=None)) - there
    assert not gone or hole == "metric everywhere" or name in COMPARING
    notes = notes_of(table.md.read_text())
    fills = [note for note in notes if "snakemake" in note]
    assert FEWER in notes
    # One for records that are not there, one for those that lack something.
    assert len(fills) == (2 if hole == "all" else 1)
    assert len(notes) - len(notes_of(full.md.read_text())) <= (20 if len(tasks_of(name)) == 1 else 40)
    assert fills[0].endswith("--profile local --configfile STUDY.yaml`.")
    assert notes.count(EXPLAINED) == 1
    dataset, model, tuned = TASKS[task][0], FAMILIES[task][1], FAMILIES[task][2]
    seeds = [f"{tuned}@{dataset}~seed{seed}" for seed in SEEDS]
    both = f"{{{','.join([model, *seeds])}}}"
    alone = {"run": model, "seed": seeds[1], "perturbation": both, "level": both, "clean": model}.get(hole)
    if alone is None:
        alone = ""
    assert f"`snakemake results/drawn/scores/{alone}" in fills[0]
    # A record that is there must be made anew, or Snakemake finds nothing to do.
    assert ("--forcerun results/drawn/predictions/" in fills[0]) == (hole not in ("run", "seed", "all"))


@pytest.fixture(scope="module")
def changed(drawn, tmp_path_factory) -> Callable[[str, TableName], list[Path]]:  # type: ignore[no-untyped-def]
    """The scores where no image reaches its band, or where all samples are of one group or of three; written once."""
    changes: dict[str, Callable[[ScoreRow], ScoreRow]] = {
        "unreachable": lambda row: replace(row, status="unreachable") if row.level else row,
        "1": lambda row: replace(row, group_id="p0"),
        "3": lambda row: replace(row, group_id=f"p{int(row.sample_id[-1]) % 3}"),
    }

    @cache
    def written(change: str, task: Task) -> list[Path]:
        return write_scores(tmp_path_factory.mktemp("changed"), map(changes[change], drawn[task]))

    return lambda change, name: [path for task in tasks_of(name) for path in written(change, task)]


@pytest.mark.parametrize("name", of_scores())
def test_where_nothing_is_reachable(name: TableName, changed, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    if name == "ranking":
        with pytest.raises(MedstressError, match="nothing to rank"):
            made(tmp_path, name, changed("unreachable", name))
        return
    table = made(tmp_path, name, changed("unreachable", name))
    check_text(table.md)
    check_text(table.tex)
    # All was scored, so nothing is to be filled.
    assert "snakemake" not in table.md.read_text()


@pytest.mark.parametrize("name", of_scores())
@pytest.mark.parametrize("groups", ["3"])
def test_few_groups_are_words(name: TableName, groups: str, changed, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    table = made(tmp_path, name, changed(groups, name))
    check_text(table.md)
    check_text(table.tex)
    frame = pd.read_csv(table.csv)
    ends = [column for column in frame if column.endswith(("_low", "_high"))]
    assert frame[ends].isna().all().all()


def test_many_holes_are_few_sentences(drawn, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Each run on each data set lacks something else."""
    rows = drawn["segmentation"]
    order = sorted({(row.run, row.dataset) for row in rows})
    cells = sorted({(row.perturbation, row.level) for row in rows if row.perturbation in ("jpeg", "rotation")})
    lacking = {pair: {cells[place % 4], cells[place // 4 % 4]} for place, pair in enumerate(order)}
    kept = [row for row in rows if (row.perturbation, row.level) not in lacking[row.run, row.dataset]]
    notes = notes_of(made(tmp_path, "segmentation_main", write_scores(tmp_path, kept)).md.read_text())
    assert len([note for note in notes if "snakemake" in note]) == 1
    assert len(notes) < 20


def test_metrics_are_those_of_the_tasks() -> None:
    assert {task: PRIMARY[task] in names for task, names in METRICS.items()} == dict.fromkeys(TASKS, True)
