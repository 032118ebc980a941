"""The perturbations that cost most, over all runs and data sets: medical-specific ones beside general ones."""

from typing import Any

import pandas as pd

from medstress.score.metrics import METRICS, primary_metric
from medstress.score.robustness import left_out, paired_drops
from medstress.score.titles import dataset_titles, run_titles
from medstress.table_spec import TableSpec
from medstress.tables.layout import NOTHING, VALID_PIXELS, drop_title, number, typed
from medstress.tables.missing import missing_scores

TITLE = "Segmentation: the perturbations that cost most"
CAPTION = (
    "Mean paired drop of each type: over objects and reachable levels of one run on one data set, then over the runs "
    "and data sets that have it, each weighing the same; baselines do not count. Spread is the smallest and the "
    "largest of these means, and most on tells where the largest is. A type that belongs to a modality is averaged "
    "over the data sets of that modality alone, and types marked † are strengths of a table instead of SSIM bands, so "
    "neighbours may differ by what they were measured on: compare types within a data set in the table of drops by "
    "perturbation. Kind says whether a type belongs to modalities (medical) or is made for every image (general), and "
    f"how many of its kind were studied. {VALID_PIXELS} The file with all digits ranks every type; 15 are shown."
)
_SHOWN = 15


def build(spec: TableSpec, frame: pd.DataFrame) -> pd.DataFrame:
    """One row a perturbation that any run has scores for, by falling drop; baselines count only if alone."""
    metric = primary_metric(spec)
    runs = [run for run in spec.runs if run not in spec.baselines] or list(spec.runs)
    scores = frame[(frame["metric"] == metric) & frame["run"].isin(runs)]
    pairs = paired_drops(scores)
    parts = dict(iter(pairs.groupby("perturbation", observed=True)))
    rows = [_row(spec, parts[name], name) for name in spec.perturbations if name in parts]
    # Those that nothing was scored of come last.
    rows.sort(key=lambda row: (row["drop"] is None, -(row["drop"] or 0.0), row["perturbation"]))
    for place, row in enumerate(rows):
        row["rank"] = place + 1 if row["drop"] is not None else None
    return typed(rows)


def _row(spec: TableSpec, pairs: pd.DataFrame, name: str) -> dict[str, Any]:
    counted = pairs[pairs["scored"]]
    means = counted.groupby(["dataset", "run"], observed=True)["drop"].mean()
    return {
        "rank": None,
        "perturbation": name,
        "kind": "medical" if name in spec.medical else "general",
        "scale": "table" if name in spec.fixed else "ssim",
        "metric": primary_metric(spec),
        "drop": float(means.mean()) if len(means) else None,
        "drop_min": float(means.min()) if len(means) else None,
        "drop_max": float(means.max()) if len(means) else None,
        **dict(zip(("max_dataset", "max_run"), _largest(means), strict=True)),
        "n_datasets": counted["dataset"].nunique(),
        "n_runs": counted["run"].nunique(),
        "n_means": len(means),
        "n_pairs": len(counted),
        **left_out(pairs),
    }


def _largest(means: "pd.Series[float]") -> tuple[str | None, str | None]:
    """The data set and the run of the largest mean; of equal ones the first by name."""
    if not len(means):
        return None, None
    dataset, run = min(means.index[means == means.max()])
    return str(dataset), str(run)


def display(spec: TableSpec, table: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it: the first 15."""
    metric = primary_metric(spec)
    digits, studied = METRICS[metric].digits + 1, table["kind"].value_counts()
    datasets, runs, rows = dataset_titles(spec), run_titles(spec), []
    for row in table.head(_SHOWN).to_dict("records"):
        spread = [number(row[name], digits) for name in ("drop_min", "drop_max")]
        shown = {
            "#": NOTHING if pd.isna(row["rank"]) else str(row["rank"]),
            "Perturbation": row["perturbation"].replace("_", " ") + ("†" if row["scale"] == "table" else ""),
            "Kind": f"{row['kind']} (of {studied[row['kind']]})",
            drop_title(metric): number(row["drop"], digits),
            "Spread": " to ".join(spread) if row["n_means"] else NOTHING,
            "Most on": f"{datasets[row['max_dataset']]}, {runs[row['max_run']]}" if row["n_means"] else NOTHING,
        }
        counts = {"Data sets": "n_datasets", "Runs": "n_runs", "Pairs": "n_pairs", "Unreachable": "n_unreachable"}
        rows.append(shown | {title: str(row[name]) for title, name in counts.items()})
    return pd.DataFrame(rows)


def notes(spec: TableSpec, frame: pd.DataFrame) -> list[str]:
    """What is missing."""
    return missing_scores(spec, frame)
