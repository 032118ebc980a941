"""What a table lacks, said in its footnotes."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from medstress.score.metrics import METRICS, primary_metric
from medstress.score.robustness import clean_scores
from medstress.score.titles import dataset_titles, run_titles
from medstress.specs import GENERATION_METRICS
from medstress.table_spec import TableSpec


def _levels_text(levels: list[int]) -> str:
    return f"level{'' if len(levels) == 1 else 's'} {', '.join(map(str, levels))}"


def _found(frame: pd.DataFrame, names: list[str]) -> set[tuple[Any, ...]]:
    return set(frame[names].drop_duplicates().itertuples(index=False, name=None))


def _applies(metric: str, dataset: str, clean: set[tuple[Any, ...]]) -> bool:
    """Whether a data set has a metric at all: kappa is of grades alone, and others of open or of closed questions."""
    partial = metric == "qwk" or METRICS[metric].task == "vqa"
    return not partial or any(found[0] == dataset and found[2] == metric for found in clean)


def missing_cells(spec: TableSpec, frame: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Sentences on cells of every run, such as moved prompts, that have no scores of the primary metric."""
    metric = primary_metric(spec)
    found = _found(frame[frame["metric"] == metric], ["dataset", "run", "perturbation", "level"])
    notes, runs = [], run_titles(spec)
    for dataset, title in dataset_titles(spec).items():
        for run in spec.runs_on(dataset):
            for name in names:
                lacking = [level for level in spec.levels if (dataset, run, name, level) not in found]
                if lacking:
                    notes.append(f"{title}, {runs[run]}: no {metric} for {name}, {_levels_text(lacking)}.")
    return notes


def missing_scores(spec: TableSpec, frame: pd.DataFrame) -> list[str]:
    """Sentences on runs, perturbations, levels and metrics of the study that have no scores."""
    found = _found(frame, ["dataset", "run", "perturbation", "level", "metric"])
    clean = _found(clean_scores(frame), ["dataset", "run", "metric"])
    pairs = _found(frame, ["dataset", "run"])
    task = METRICS[spec.metrics[0]].task
    # Of answers in words all that can be is scored.
    chosen = [name for name, one in METRICS.items() if one.task == task and task not in GENERATION_METRICS]
    notes = [f"{name} was not scored." for name in chosen if name not in spec.metrics]
    runs = run_titles(spec)
    for dataset, title in dataset_titles(spec).items():
        for run in spec.runs_on(dataset):
            where = f"{title}, {runs[run]}"
            if (dataset, run) not in pairs:
                notes.append(f"{where}: no scores.")
                continue
            for metric in (one for one in spec.metrics if _applies(one, dataset, clean)):
                if (dataset, run, metric) not in clean:
                    notes.append(f"{where}: no clean {metric}.")
                for kind in spec.perturbations_on(dataset):
                    lacking = [level for level in spec.levels if (dataset, run, kind, level, metric) not in found]
                    if lacking:
                        notes.append(f"{where}: no {metric} for {kind}, {_levels_text(lacking)}.")
    return notes


def missing_perturbed(spec: TableSpec, frame: pd.DataFrame) -> list[str]:
    """Sentences on perturbations and levels of the study that have no perturbed images."""
    found = _found(frame, ["dataset", "perturbation", "level"])
    notes = []
    for dataset, title in dataset_titles(spec).items():
        for kind in spec.perturbations_on(dataset):
            lacking = [level for level in spec.levels if (dataset, kind, level) not in found]
            if lacking:
                notes.append(f"{title}: no images for {kind}, {_levels_text(lacking)}.")
    return notes
