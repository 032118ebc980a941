"""Cells of a study that have no scores at all, and the command that fills them."""

from typing import Any

import pandas as pd

from medstress.names import Task
from medstress.page.conditions import Condition, conditions_on, runs_under
from medstress.page.spec import PageSpec
from medstress.runs import family_of

# The rules whose jobs answer about perturbed images. What they had finished is in their journal.
_ANSWERING: dict[Task, str] = {"segmentation": "predict", "classification": "embed classify"}


def holes_of(spec: PageSpec, dataset: str, frame: pd.DataFrame) -> list[dict[str, Any]]:
    """One entry a run and condition of a data set that should have scores and has none at some levels.

    `frame` has the data set's scores under all conditions. An entry has run, condition, levels and command.
    """
    study = spec.tables
    cells = frame[["run", "perturbation", "level"]].drop_duplicates().astype({"run": str, "perturbation": str})
    there = set(cells.itertuples(index=False, name=None))
    entries = []
    for condition in conditions_on(study, dataset):
        for run in runs_under(study, dataset, condition):
            lacking = [level for level in study.levels if (run, condition.name, level) not in there]
            if lacking:
                command = _command(spec, dataset, run, condition)
                entries.append({"run": run, "condition": condition.name, "levels": lacking, "command": command})
    return entries


def _command(spec: PageSpec, dataset: str, run: str, condition: Condition) -> str:
    task = spec.tables.tasks.get(dataset, "segmentation")
    rules = "attack" if condition.kind == "attack" else _ANSWERING.get(task, "answer")
    # Trained on several data sets, each is scored on its own.
    members = [name for name in spec.runs if family_of(name) == run]
    own = [name for name in members if spec.runs[name].trainset in (None, dataset)] or members
    targets = " ".join(f"results/{spec.tables.study}/scores/{name}/{dataset}.parquet" for name in own)
    return f"snakemake --profile local {targets} --forcerun {rules}"
