"""One JSON file a run, with the keys that RobustBench's model cards have, and what those have no place for."""

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd

from medstress.records import CLEAN, atomic_path
from medstress.runs import named_parts
from medstress.score.metrics import METRICS
from medstress.score.robustness import clean_scores, counts
from medstress.table_spec import TableSpec

_ACCURACY = "accuracy"


def write_run_results(spec: TableSpec, scores: pd.DataFrame, out: Path) -> int:
    """Write out/{run}.json for each run of the study that has scores; the number of files.

    `scores` as :func:`medstress.score.robustness.read_scores` gives them. Of each data set: the mean of each metric on
    clean images, under all perturbations (over cells, each weighing the same), under each, and under each attack by
    level. Of classifiers, `clean_acc` and `corruptions_acc` are RobustBench's, in percent with two decimals.
    """
    # Sums in one order, whatever that of the rows.
    counted = scores[counts(scores["status"].astype(str), scores["value"]) & scores["value"].notna()]
    counted = counted.sort_values("value", kind="stable")
    written = 0
    for run in spec.runs:
        own = counted[counted["run"] == run]
        by_dataset = {dataset: own[own["dataset"] == dataset] for dataset in spec.datasets}
        results = [_of_dataset(spec, dataset, rows) for dataset, rows in by_dataset.items() if len(rows)]
        if results:
            _write(out / f"{run}.json", _header(spec, run) | {"results": results})
            written += 1
    return written


def _header(spec: TableSpec, run: str) -> dict[str, Any]:
    parts = named_parts(run)
    return {
        "name": run,
        "title": spec.runs[run],
        "architecture": parts["model"],
        "adaptation": parts["strategy"],
        "study": spec.study,
        "levels": spec.levels,
        "eps": spec.attacks if run in spec.attacked else None,
    }


def _of_dataset(spec: TableSpec, dataset: str, scores: pd.DataFrame) -> dict[str, Any]:
    metrics = {
        name: _of_metric(spec, scores[scores["metric"] == name])
        for name in METRICS
        if len(scores[scores["metric"] == name])
    }
    accuracy = metrics.get(_ACCURACY, {})
    shares = {"clean_acc": accuracy.get("clean"), "corruptions_acc": accuracy.get("corruptions")}
    percent = {name: f"{100 * value:.2f}" for name, value in shares.items() if value is not None}
    return {"dataset": dataset, "task": spec.tasks.get(dataset, "segmentation"), **percent, "metrics": metrics}


def _of_metric(spec: TableSpec, scores: pd.DataFrame) -> dict[str, Any]:
    names, levels = scores["perturbation"].astype(str), scores["level"]
    by_cell = scores["value"].groupby([names, levels]).mean().to_dict()
    cells = {name: [by_cell.get((name, level)) for level in spec.levels] for name in spec.perturbations}
    every = [value for values in cells.values() for value in values if value is not None]
    attacks = {name: [by_cell.get((name, level)) for level in spec.levels] for name in spec.attacks}
    return {
        "clean": by_cell.get((CLEAN, 0)),
        "corruptions": math.fsum(every) / len(every) if every else None,
        "by_corruption": {name: values for name, values in cells.items() if any(one is not None for one in values)},
        "by_attack": {name: values for name, values in attacks.items() if any(one is not None for one in values)},
        "n_clean": len(clean_scores(scores)),
    }


def _write(path: Path, content: object) -> None:
    with atomic_path(path) as staged:
        staged.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
