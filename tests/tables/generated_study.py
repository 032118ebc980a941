"""A study of every task with three data sets each, as score rows that are drawn and not worked out."""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medstress.config import ClassScoring, Statistics
from medstress.names import TableName, Task
from medstress.records import ScoreRow, write_rows
from medstress.runs import family_of
from medstress.table_spec import TableSpec
from medstress.tables.registry import TABLES
from medstress.tables.write import write_table

LEVELS = (1, 2)
TYPES = ("jpeg", "gaussian_noise", "rotation")
SAMPLES = 6
SEEDS = (0, 1, 2)
TASKS: dict[Task, tuple[str, ...]] = {
    "segmentation": ("s1", "s2", "s3"),
    "classification": ("c1", "c2", "c3"),
    "vqa": ("v1", "v2", "v3"),
    "captioning": ("p1", "p2", "p3"),
    "grounding": ("g1", "g2", "g3"),
}
FAMILIES: dict[Task, tuple[str, str, str]] = {
    "segmentation": ("box", "net", "net+lora"),
    "classification": ("majority", "clip", "clip+few"),
    "vqa": ("asker~no_image", "asker", "asker+lora"),
    "captioning": ("teller~no_image", "teller", "teller+lora"),
    "grounding": ("pointer~no_image", "pointer", "pointer+lora"),
}
"""Of each task a baseline, a model, and what it becomes with a strategy and three seeds."""
METRICS: dict[Task, tuple[str, ...]] = {
    "segmentation": ("iou", "dice", "hd95", "nsd"),
    "classification": ("accuracy", "auroc"),
    "vqa": (
        "closed_accuracy",
        "closed_flip",
        "open_exact_match",
        "open_precision",
        "open_recall",
        "open_f1",
        "open_flip",
    ),
    "captioning": ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider_d"),
    "grounding": ("box_iou", "accuracy_50", "accuracy_75"),
}
_CLAIM = {
    "name": "net_drops",
    "text": "Net loses IoU.",
    "source": "A publication",
    "published": {"text": "it does", "where": "Table 1"},
    "test": {"task": "segmentation", "metric": "iou", "measure": "drop", "of": ["net"], "at_least": 0},
}


def spec_of(**changes: Any) -> TableSpec:
    """The whole study."""
    families = {family: task for task, names in FAMILIES.items() for family in names}
    datasets = {name: task for task, names in TASKS.items() for name in names}
    values: dict[str, Any] = {
        "study": "drawn",
        "datasets": {name: f"Data {name}" for name in datasets},
        "split_units": dict.fromkeys(datasets, "patient"),
        "runs": {family: f"Run {family}" for family in families},
        "scored_on": {family: list(TASKS[task]) for family, task in families.items()},
        "members": {
            family: {name: [f"{family}@{name}~seed{seed}" for seed in SEEDS] for name in TASKS[task]}
            for family, task in families.items()
            if "+" in family
        },
        "baselines": [names[0] for names in FAMILIES.values()],
        "adapted": {names[2]: names[1] for names in FAMILIES.values()},
        "no_image": {
            names[1]: names[0] for task, names in FAMILIES.items() if task in ("vqa", "captioning", "grounding")
        },
        "perturbations": list(TYPES),
        "fixed": ["rotation"],
        "levels": list(LEVELS),
        "attacks": {"pgd": [2, 4, 6, 8, 10]},
        "attacked": ["net", "net+lora", "clip", "clip+few"],
        "attacked_datasets": [*TASKS["segmentation"], *TASKS["classification"]],
        "transfer": ["net"],
        "kept": ["pgd"],
        "prompts": {"grown": [0.05, 0.1, 0.2, 0.3, 0.5]},
        "medical": ["gaussian_noise"],
        "tasks": datasets,
        "classification": ClassScoring(metrics=["accuracy", "auroc"], normaliser="clip"),
        "shifts": {"v1": ["modality"]},
        "claims": [_CLAIM],
        "metrics": list(METRICS["segmentation"]),
        "statistics": Statistics(resamples=100),
    }
    return TableSpec.model_validate(values | changes)


def runs_of(task: Task, dataset: str) -> Iterator[tuple[str, int]]:
    """Names of runs that are scored on a data set, and their seeds."""
    for family in FAMILIES[task]:
        if "+" in family:
            yield from ((f"{family}@{dataset}~seed{seed}", seed) for seed in SEEDS)
        else:
            yield family, 0


def _cells(task: Task, run: str) -> list[tuple[str, int]]:
    kinds = list(TYPES)
    if task == "segmentation":
        kinds.append("grown")
    if task in ("segmentation", "classification"):
        kinds += [] if run in ("box", "majority") else ["pgd"]
    if task == "segmentation" and run != "net":
        kinds.append("pgd@net")
    return [("clean", 0), *((kind, level) for kind in kinds for level in LEVELS)]


def rows_of(task: Task) -> list[ScoreRow]:
    """All scores of one task: most are drawn, some are no answer, unreachable, lost, empty or failed."""
    rows = []
    for dataset in TASKS[task]:
        for run, seed in runs_of(task, dataset):
            for cell in _cells(task, run):
                for number in range(SAMPLES):
                    rows += _scores(task, dataset, run, seed, cell, number)
    return rows


def _scores(task: Task, dataset: str, run: str, seed: int, cell: tuple[str, int], number: int) -> Iterator[ScoreRow]:
    status = _status(task, run, cell, number)
    metrics = METRICS[task]
    if task == "vqa":
        # Even questions are closed, odd ones are open.
        metrics = tuple(name for name in metrics if name.startswith(("closed", "open")[number % 2]))
    # Two samples of each group, so that groups are drawn and not samples.
    group = f"{dataset}-p{number if dataset != 's2' else number // 2}"
    blank = ScoreRow(
        task, run, seed, dataset, "", f"{dataset}-i{number}", group, _object(task, number), *cell, "", None, status
    )
    for metric in metrics:
        yield replace(blank, metric=metric, value=_value(blank, metric))
    if task == "vqa" and cell == ("clean", 0):
        chance = [replace(blank, metric="closed_chance", value=0.25, status="ok")] * (number % 2 == 0)
        yield from chance
        if dataset == "v1":
            side = f"modality/{'iid' if number < 4 else 'ood'}"
            yield from (replace(blank, subset=side, metric=metric, value=_value(blank, metric)) for metric in metrics)
            yield from (replace(one, subset=side) for one in chance)


def _object(task: Task, number: int) -> str:
    return {"segmentation": "o1", "classification": "ab"[number % 2]}.get(task, "")


def _status(task: Task, run: str, cell: tuple[str, int], number: int) -> str:
    """What is with every sample in a cell is so for all runs, as it is with images."""
    if cell == ("jpeg", 2) and number == 0:
        return "unreachable"
    if cell == ("rotation", 2) and number == 1 and task in ("segmentation", "grounding"):
        return "object_lost"
    special = {("jpeg", 1, 2): "error", ("gaussian_noise", 1, 3): "empty", ("gaussian_noise", 2, 4): "refused"}
    found = special.get((*cell, number), "ok") if family_of(run) in {names[1] for names in FAMILIES.values()} else "ok"
    return found if found != "refused" or task not in ("segmentation", "classification") else "error"


def _value(row: ScoreRow, metric: str) -> float | None:
    if row.status in ("object_lost", "error"):
        return None
    if row.status in ("empty", "refused"):
        return 90.0 if metric == "hd95" else 0.0
    drawn = random.Random(f"{row.run} {row.sample_id} {row.perturbation} {row.level} {metric}").random()
    worse = 0.1 * row.level
    if metric == "hd95":
        return round(20 * drawn + 10 * row.level, 3)
    if metric in ("accuracy", "closed_accuracy", "open_exact_match", "accuracy_50", "accuracy_75"):
        return float(drawn > 0.2 + worse)
    if metric.endswith("_flip"):
        return float(row.level > 0 and drawn < worse)
    return round(0.5 + 0.4 * drawn - worse, 3)


@dataclass(frozen=True)
class Written:
    """A table as files."""

    csv: Path
    md: Path
    tex: Path
    parquet: Path


def write_scores(folder: Path, rows: Iterable[ScoreRow]) -> list[Path]:
    """scores/{run}/{dataset}.parquet of every run and data set that has rows."""
    parts: dict[tuple[str, str], list[ScoreRow]] = {}
    for row in rows:
        parts.setdefault((row.run, row.dataset), []).append(row)
    paths = []
    for (run, dataset), own in parts.items():
        paths.append(folder / "scores" / run / f"{dataset}.parquet")
        write_rows(paths[-1], ScoreRow, own)
    return paths


def made(folder: Path, name: TableName, scores: Sequence[Path], spec: TableSpec | None = None) -> Written:
    """The table from these scores."""
    outputs = {kind: folder / f"{name}.{kind}" for kind in ("csv", "md", "tex", "parquet")}
    write_table(spec or spec_of(), name, {"scores": scores}, outputs)
    return Written(**outputs)


def of_scores() -> list[TableName]:
    """The tables that are made from scores alone."""
    return [name for name, entry in TABLES.items() if entry.reads == ("scores",)]


def tasks_of(name: TableName) -> tuple[Task, ...]:
    """The tasks that a table tells of."""
    task = TABLES[name].task
    return tuple(TASKS) if task is None else (task,)
