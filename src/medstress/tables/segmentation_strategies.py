"""What fine-tuning gains and what it costs in robustness: mean and spread over seeds, beside what it started from."""

from typing import Any

import pandas as pd

from medstress.errors import MedstressError
from medstress.runs import named_parts
from medstress.score.compared import means_of_runs
from medstress.score.metrics import METRICS, primary_metric
from medstress.score.robustness import SCORED, clean_scores, left_out, paired_drops
from medstress.score.titles import dataset_titles, plural, run_titles
from medstress.table_spec import TableSpec
from medstress.tables.baselines import mark_against_baselines, missing_baselines, verdict_text
from medstress.tables.layout import NOTHING, VALID_PIXELS, drop_title, number, typed
from medstress.tables.missing import missing_scores
from medstress.tables.noise_marks import mark_noise, marked, noise_remarks

TITLE = "Fine-tuning strategies: clean scores and drops over seeds"
CAPTION = (
    "Each strategy adapts a model to the train split of the data set that it is scored on; the best look at val is "
    "kept. Means over objects, then over seeds; the spread behind the sign is the standard deviation over seeds (n - "
    "1), which says nothing about other patients and is itself rough where seeds are few. Runs without a strategy "
    "stand beside for comparison; they have one seed and no spread. Drops are paired, clean minus perturbed of one "
    f"object and seed, over reachable cells. {VALID_PIXELS} Left out of the means, counted in object-cells and once a "
    "seed: images that cannot reach their SSIM band (unreachable), objects that left the frame (lost), and answers "
    "that failed. A run whose mean does not beat the best baseline on clean images is marked."
)
_MEASURES = ("clean", "perturbed", "drop")


def build(spec: TableSpec, frame: pd.DataFrame) -> pd.DataFrame:
    """One row a run on each data set that a strategy is scored on.

    Raises MedstressError where the study has no strategy.
    """
    metric = primary_metric(spec)
    adapted = {run for run in spec.runs if named_parts(run)["strategy"]}
    if not adapted:
        raise MedstressError(
            "table segmentation_strategies: the study has no run with a strategy. "
            "Name one under `runs`, such as tiny_sam+lora, or leave the table out."
        )
    scores = frame[frame["metric"] == metric]
    clean, pairs = clean_scores(scores), paired_drops(scores)
    rows = []
    for dataset in spec.datasets:
        if not adapted & set(spec.runs_on(dataset)):
            continue
        own = [
            _row(spec, metric, clean[_of(clean, dataset, run)], pairs[_of(pairs, dataset, run)], dataset, run)
            for run in spec.runs_on(dataset)
        ]
        counted = pairs[(pairs["dataset"] == dataset) & pairs["scored"]]
        mark_noise(spec, own, *means_of_runs(spec, counted, "drop", dataset, by_seed=True))
        rows += own
    mark_against_baselines(spec, rows, "clean", metric)
    return typed(rows)


def _of(frame: pd.DataFrame, dataset: str, run: str) -> "pd.Series[bool]":
    return (frame["dataset"] == dataset) & (frame["run"] == run)


def _row(
    spec: TableSpec, metric: str, scores: pd.DataFrame, pairs: pd.DataFrame, dataset: str, run: str
) -> dict[str, Any]:
    clean, counted = scores[scores["status"].isin(SCORED)], pairs[pairs["scored"]]
    row: dict[str, Any] = {
        "dataset": dataset,
        "run": run,
        "metric": metric,
        "n_seeds": scores["seed"].nunique(),
        "n_objects": len(clean.drop_duplicates(["sample_id", "object_id"])),
        "n_groups": clean["group_id"].nunique(),
        "group_unit": spec.split_units[dataset],
        "n_pairs": len(counted),
    }
    sources = [(clean, "value"), (counted, "perturbed"), (counted, "drop")]
    for name, (source, column) in zip(_MEASURES, sources, strict=True):
        by_seed = source.groupby("seed", observed=True)[column].mean()
        row |= {
            name: float(by_seed.mean()) if len(by_seed) else None,
            f"{name}_sd": float(by_seed.std(ddof=1)) if len(by_seed) > 1 else None,
            f"{name}_min": float(by_seed.min()) if len(by_seed) else None,
            f"{name}_max": float(by_seed.max()) if len(by_seed) else None,
        }
    return row | left_out(pd.concat([scores, pairs]))


def display(spec: TableSpec, table: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it."""
    metric = primary_metric(spec)
    title, digits = METRICS[metric].title, METRICS[metric].digits
    headings = (f"Clean {title}", f"Perturbed {title}", drop_title(metric))
    datasets, runs = dataset_titles(spec), run_titles(spec)
    rows = []
    for row in table.to_dict("records"):
        shown = {
            "Data set": datasets[row["dataset"]],
            "Run": runs[row["run"]],
            "Objects": f"{row['n_objects']} ({plural(row['n_groups'], row['group_unit'])})",
            "Seeds": str(row["n_seeds"]),
        }
        for heading, name in zip(headings, _MEASURES, strict=True):
            mean, spread = number(row[name], digits), number(row[f"{name}_sd"], digits)
            text = mean if spread == NOTHING else f"{mean} ± {spread}"
            shown[heading] = marked(text, row) if name == "drop" else text
        counts = {"Unreachable": "n_unreachable", "Lost": "n_object_lost", "Failed": "n_failed"}
        shown |= {title: str(row[name]) for title, name in counts.items()}
        rows.append(shown | {"Beats baselines": verdict_text(row["beats_baselines"])})
    return pd.DataFrame(rows)


def remarks(spec: TableSpec, table: pd.DataFrame) -> list[str]:
    """What differences between drops are noise."""
    metric = primary_metric(spec)
    return noise_remarks(spec, table, drop_title(metric), METRICS[metric].digits, column="drop")


def notes(spec: TableSpec, frame: pd.DataFrame) -> list[str]:
    """What is missing."""
    return missing_baselines(spec) + missing_scores(spec, frame)
