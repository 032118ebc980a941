"""Scores of classifiers in the JSON layouts of RobustMedCLIP and of MedMNIST-C, from the score files alone."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow.compute as pc

from medstress.errors import MedstressError
from medstress.exports.write import original_name
from medstress.names import TypeName
from medstress.records import CLEAN, ScoreRow, atomic_path, read_tables
from medstress.runs import named_parts
from medstress.score.alexnet import ALEXNET
from medstress.score.corruption_error import (
    corruption_errors,
    errors_of_means,
    over_types,
    published_errors,
    relative_corruption_errors,
)

Means = Mapping[tuple[str, int], Mapping[str, float]]
"""Metrics by type and level of one run on one data set; clean has level 0."""

_COLUMNS = ["task", "perturbation", "level", "metric", "value", "status"]
_TYPES = (CLEAN, *get_args(TypeName))


def export_results(study: Path, out: Path, layout: str) -> int:
    """Write the scores of a study's classifiers to the folder `out`; the number of files written.

    Attacks are left out, which the layouts do not know, and images that cannot reach their SSIM band.
    Raises MedstressError where the study has no scores of classifiers, or lacks a metric that the layout holds.
    """
    found: dict[str, dict[str, Means]] = {}
    for path in sorted((study / "scores").glob("*/*.parquet")):
        if means := _means_of(path):
            found.setdefault(path.parent.name, {})[path.stem] = means
    if not found:
        raise MedstressError(
            f"{study}: no scores of classifiers in {study / 'scores'}. "
            "Name the results of a study that has run, such as results/demo."
        )
    write, needed = LAYOUTS[layout]
    lacking = [
        f"{run} on {dataset}"
        for run, datasets in found.items()
        for dataset, means in datasets.items()
        if not all(needed in values for values in means.values())
    ]
    if lacking:
        raise MedstressError(
            f"the layout {layout} holds {needed}, which was not scored for {', '.join(lacking)}: "
            "add it to `classification.metrics` of the study and run it again"
        )
    return sum(write(run, datasets, out) for run, datasets in found.items())


def _means_of(path: Path) -> Means:
    table = read_tables([path], ScoreRow, _COLUMNS)
    counted = table.filter(pc.and_(pc.equal(table["task"], "classification"), pc.equal(table["status"], "ok")))
    # One thread, so that sums run in one order.
    grouped = counted.group_by(["perturbation", "level", "metric"], use_threads=False).aggregate([("value", "mean")])
    means: dict[tuple[str, int], dict[str, float]] = {}
    for row in grouped.to_pylist():
        if row["perturbation"] in _TYPES:
            means.setdefault((row["perturbation"], row["level"]), {})[row["metric"]] = row["value_mean"]
    return means


def _types_of(means: Means) -> list[str]:
    """In the order of our names, so that files do not depend on that of rows."""
    found = {name for name, _ in means}
    return [name for name in _TYPES if name in found and name != CLEAN]


def _levels_of(means: Means) -> list[int]:
    return sorted({level for _, level in means if level})


def _dump(path: Path, content: object) -> None:
    with atomic_path(path) as staged:
        staged.write_text(json.dumps(content, indent=4, allow_nan=False) + "\n", encoding="utf-8")


def _write_robustmedclip(run: str, datasets: Mapping[str, Means], out: Path) -> int:
    """out/{model}/{run}/{dataset}_results.json, and all_results.json where there are several data sets."""
    folder = out / str(named_parts(run)["model"]) / run
    results = {dataset: _accuracies(means) for dataset, means in datasets.items()}
    for dataset, result in results.items():
        _dump(folder / f"{dataset}_results.json", {dataset: result})
    if len(results) > 1:
        _dump(folder / "all_results.json", results)
    return len(results) + (len(results) > 1)


def _accuracies(means: Means) -> dict[str, dict[str, dict[str, float | None]]]:
    """{corruption: {severity: accuracy and AUROC}}; the clean images are a corruption with severity 1."""
    cells = {CLEAN: {"1": (CLEAN, 0)}} | {
        original_name(name, "imagenet_c"): {str(level): (name, level) for level in _levels_of(means)}
        for name in _types_of(means)
    }
    return {
        name: {
            severity: {"accuracy": means[cell]["accuracy"], "roc_auc": means[cell].get("auroc")}
            for severity, cell in levels.items()
            if cell in means
        }
        for name, levels in cells.items()
    }


def _write_medmnist_c(run: str, datasets: Mapping[str, Means], out: Path) -> int:
    """out/{dataset}_{model}_{run}.json; BE and rBE for data sets named like one of MedMNIST-C, with all its types."""
    for dataset, means in datasets.items():
        _dump(out / f"{dataset}_{named_parts(run)['model']}_{run}.json", _balanced_errors(dataset, means))
    return len(datasets)


def _balanced_errors(dataset: str, means: Means) -> dict[str, Any]:
    types, levels = _types_of(means), _levels_of(means)

    def error(name: str, level: int) -> float:
        return 1 - means.get((name, level), {}).get("balanced_accuracy", math.nan)

    corrupted = np.array([[error(name, level) for level in levels] for name in types]).reshape(1, len(types), -1)
    errors = errors_of_means(np.array([error(CLEAN, 0)]), corrupted)
    published = ALEXNET.get(dataset.removesuffix("_c"))
    # Scores do not tell their scale; no other one has all these types.
    whole = published is not None and set(types) == set(published.types)
    base = published_errors(published, types, levels) if published is not None and whole else None
    originals = [original_name(name, "medmnist_c") for name in types]
    scores, overall = {}, {}
    for name, quotient in {"be": corruption_errors, "rbe": relative_corruption_errors}.items():
        given = np.full((1, len(types)), math.nan) if base is None else quotient(errors, base, 1.0)
        scores[f"{name}_scores"] = dict(zip(originals, map(_number, given[0]), strict=True))
        overall[name] = _number(over_types(given)[0])
    return {
        "metrics": {"clean_score": _number(errors.clean[0])} | overall,
        **scores,
        "raw_scores": dict(zip(originals, map(_number, errors.by_type[0]), strict=True)),
    }


def _number(value: Any) -> float | None:
    """Null for what is not given: a quotient whose denominator is too small, or a data set without AlexNet's errors."""
    return float(value) if math.isfinite(value) else None


LAYOUTS: dict[str, tuple[Callable[[str, Mapping[str, Means], Path], int], str]] = {
    "robustmedclip": (_write_robustmedclip, "accuracy"),
    "medmnist_c": (_write_medmnist_c, "balanced_accuracy"),
}
"""Every layout: what writes the data sets of a run, and the metric that it cannot do without."""
