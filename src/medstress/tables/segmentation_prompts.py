"""How much of a score is the prompt's: boxes grown, shrunk and shifted on clean images."""

from typing import Any

import pandas as pd

from medstress.errors import MedstressError
from medstress.score.bootstrap import estimate_column
from medstress.score.compared import means_of_runs
from medstress.score.metrics import METRICS, primary_metric
from medstress.score.robustness import SCORED, clean_scores, left_out, paired_drops, scores_under
from medstress.score.titles import dataset_titles, run_titles
from medstress.table_spec import TableSpec
from medstress.tables.layout import (
    INTERVALS,
    columns_of,
    drop_title,
    estimate_text,
    interval_text,
    typed,
)
from medstress.tables.missing import missing_cells
from medstress.tables.noise_marks import mark_noise, marked, noise_remarks

TITLE = "Segmentation: boxes that are not quite right"
CAPTION = (
    "Clean images, asked with boxes that are grown, shrunk or shifted by a share of their sides; share 0 is the right "
    "box. A grown or shrunk box keeps its centre; a shifted one moves in a direction that is drawn for each object and "
    "is the same at every level. What leaves the image is cut off. Means over objects; drops are paired, right box "
    f"minus moved box of the same object. {INTERVALS} Of a strategy all seeds count. A run whose score follows the box "
    "measures whoever drew it; the box itself as the mask (box fill) shows how far a prompt alone goes."
)


def build(spec: TableSpec, frame: pd.DataFrame) -> pd.DataFrame:
    """One row a data set, run, prompt and level, after one for the right box; without numbers where no scores are.

    Raises MedstressError where the study moves no prompt.
    """
    if not spec.prompts:
        raise MedstressError(
            "table segmentation_prompts: the study has no prompts. Add some under `prompts`, or leave the table out."
        )
    metric = primary_metric(spec)
    scores = scores_under(spec.prompts, frame[frame["metric"] == metric])
    clean, pairs = clean_scores(scores), paired_drops(scores)
    rows: list[dict[str, Any]] = []
    for dataset in spec.datasets:
        for run in spec.runs_on(dataset):
            names = {"dataset": dataset, "run": run, "metric": metric}
            right = clean[(clean["dataset"] == dataset) & (clean["run"] == run)]
            own = pairs[(pairs["dataset"] == dataset) & (pairs["run"] == run)]
            rows.append(names | {"prompt": "right", "level": 0, "share": 0.0} | _clean(spec, right, dataset))
            for prompt, shares in spec.prompts.items():
                for level in spec.levels:
                    cell = own[(own["perturbation"] == prompt) & (own["level"] == level)]
                    place = {"prompt": prompt, "level": level, "share": shares[level - 1]}
                    rows.append(names | place | _cell(spec, cell, dataset))
    blocks: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
    for row in rows:
        blocks.setdefault((row["dataset"], row["prompt"], row["level"]), []).append(row)
    for (name, prompt, level), block in blocks.items():
        cell = pairs[(pairs["dataset"] == name) & (pairs["perturbation"] == prompt) & (pairs["level"] == level)]
        mark_noise(spec, block, *means_of_runs(spec, cell[cell["scored"]], "drop", name))
    return typed(rows)


def _clean(spec: TableSpec, scores: pd.DataFrame, dataset: str) -> dict[str, Any]:
    counted = scores[scores["status"].isin(SCORED)]
    value = estimate_column(counted, "value", primary_metric(spec), dataset, spec.statistics)
    return {
        **columns_of("score", value),
        **{f"drop{end}": None for end in ("", "_low", "_high")},
        "interval": interval_text(spec, value),
        "n_objects": len(counted.drop_duplicates(["sample_id", "object_id"])),
        "n_groups": value.n_groups,
        **left_out(scores),
    }


def _cell(spec: TableSpec, pairs: pd.DataFrame, dataset: str) -> dict[str, Any]:
    counted, metric = pairs[pairs["scored"]], primary_metric(spec)
    score = estimate_column(counted, "perturbed", metric, dataset, spec.statistics)
    drop = estimate_column(counted, "drop", metric, dataset, spec.statistics)
    return {
        **columns_of("score", score),
        **columns_of("drop", drop),
        "interval": interval_text(spec, score, drop),
        "n_objects": len(counted.drop_duplicates(["sample_id", "object_id"])),
        "n_groups": score.n_groups,
        **left_out(pairs),
    }


def display(spec: TableSpec, table: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it."""
    metric = primary_metric(spec)
    digits, datasets, runs = METRICS[metric].digits, dataset_titles(spec), run_titles(spec)
    return pd.DataFrame(
        {
            "Data set": datasets[row["dataset"]],
            "Run": runs[row["run"]],
            "Box": row["prompt"].replace("_", " "),
            "Share": f"{row['share']:g}",
            METRICS[metric].title: estimate_text(row, "score", digits),
            drop_title(metric): marked(estimate_text(row, "drop", digits), row),
            "Objects": str(row["n_objects"]),
            "Failed": str(row["n_failed"]),
            "Empty": str(row["n_empty"]),
        }
        for row in table.to_dict("records")
    )


def remarks(spec: TableSpec, table: pd.DataFrame) -> list[str]:
    """What differences between drops are noise."""
    metric = primary_metric(spec)
    by, blocks = ("dataset", "prompt", "level"), "by box and level"
    return noise_remarks(spec, table, drop_title(metric), METRICS[metric].digits, column="drop", by=by, blocks=blocks)


def notes(spec: TableSpec, frame: pd.DataFrame) -> list[str]:
    """What is missing."""
    return missing_cells(spec, frame, list(spec.prompts))
