"""What a table lacks, said in its footnotes."""

import pandas as pd

from medstress.config import TableSpec


def _levels_text(levels: list[int]) -> str:
    return f"level{'' if len(levels) == 1 else 's'} {', '.join(map(str, levels))}"


def missing_scores(spec: TableSpec, frame: pd.DataFrame) -> list[str]:
    """Sentences on runs, perturbations, levels and metrics of the study that have no scores."""
    names = ["dataset", "run", "perturbation", "level", "metric"]
    found = {tuple(row) for row in frame[names].drop_duplicates().itertuples(index=False)}
    pairs = {key[:2] for key in found}
    notes = [f"{metric} was not scored." for metric in ("iou", "dice", "hd95", "nsd") if metric not in spec.metrics]
    for dataset, title in spec.datasets.items():
        for run, run_title in spec.runs.items():
            where = f"{title}, {run_title}"
            if (dataset, run) not in pairs:
                notes.append(f"{where}: no scores.")
                continue
            for metric in spec.metrics:
                if (dataset, run, "clean", 0, metric) not in found:
                    notes.append(f"{where}: no clean {metric}.")
                for kind in spec.perturbations:
                    lacking = [level for level in spec.levels if (dataset, run, kind, level, metric) not in found]
                    if lacking:
                        notes.append(f"{where}: no {metric} for {kind}, {_levels_text(lacking)}.")
    return notes


def missing_perturbed(spec: TableSpec, frame: pd.DataFrame) -> list[str]:
    """Sentences on perturbations and levels of the study that have no perturbed images."""
    found = {
        tuple(row) for row in frame[["dataset", "perturbation", "level"]].drop_duplicates().itertuples(index=False)
    }
    notes = []
    for dataset, title in spec.datasets.items():
        for kind in spec.perturbations:
            lacking = [level for level in spec.levels if (dataset, kind, level) not in found]
            if lacking:
                notes.append(f"{title}: no images for {kind}, {_levels_text(lacking)}.")
    return notes
