"""The perturbations that cost most, over all runs and data sets: medical-specific ones beside general ones."""

from typing import Any

import numpy as np
import pandas as pd

from medstress.score.compared import drawn_together
from medstress.score.metrics import METRICS, primary_metric
from medstress.score.robustness import left_out, paired_drops
from medstress.score.statistics.shared import Floats, shared_means
from medstress.score.titles import dataset_titles, run_titles
from medstress.table_spec import TableSpec
from medstress.tables.layout import NOTHING, VALID_PIXELS, drop_title, number, typed
from medstress.tables.missing import missing_scores
from medstress.tables.noise_marks import FLOOR, WITHIN_NOISE, mark_noise, marked

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
    """One row a perturbation, by falling drop, those without scores last; baselines count only if alone."""
    metric = primary_metric(spec)
    runs = [run for run in spec.runs if run not in spec.baselines] or list(spec.runs)
    scores = frame[(frame["metric"] == metric) & frame["run"].isin(runs)]
    pairs = paired_drops(scores)
    parts = dict(iter(pairs.groupby("perturbation", observed=True)))
    rows = [_row(spec, parts.get(name, pairs[:0]), name) for name in spec.perturbations]
    # Those that nothing was scored of come last.
    rows.sort(key=lambda row: (row["drop"] is None, -(row["drop"] or 0.0), row["perturbation"]))
    fewer = _with_fewer_cells(spec, pairs)
    ranked = [row for row in rows if row["drop"] is not None and row["perturbation"] not in fewer]
    for place, row in enumerate(ranked):
        row["rank"] = place + 1
    means, groups = _resampled(spec, pairs[pairs["scored"] & ~pairs["perturbation"].isin(fewer)])
    mark_noise(spec, rows, means, groups, key="perturbation", largest=True)
    return typed([row | {"n_groups": groups} for row in rows])


def _with_fewer_cells(spec: TableSpec, pairs: pd.DataFrame) -> set[str]:
    """Types that a run, with one of its seeds, has no scores of on a data set which they are made for, or not of all.

    Without what is hard for a type, it would seem to cost less than the others do.
    """
    names = ["dataset", "run", "seed", "perturbation", "level"]
    found = set(pairs[names].drop_duplicates().itertuples(index=False, name=None))
    return {
        name
        for dataset, run, seed in {cell[:3] for cell in found}
        for name in spec.perturbations_on(dataset)
        if any((dataset, run, seed, name, level) not in found for level in spec.levels)
    }


def _resampled(spec: TableSpec, counted: pd.DataFrame) -> tuple[dict[str, Floats], int]:
    """Of each type: its mean over runs and data sets, and the fewest groups; the same groups are drawn together."""
    parts: dict[str, list[Floats]] = {}
    groups = {dataset: rows["group_id"].unique() for dataset, rows in counted.groupby("dataset", observed=True)}
    drawn_as = drawn_together({str(dataset): names for dataset, names in groups.items()})
    fewest = min(map(len, groups.values()), default=0)
    resamples = spec.statistics.resamples if fewest >= spec.statistics.min_groups else 0
    for dataset, names in groups.items():
        own = counted[counted["dataset"] == dataset]
        found = shared_means(own, ["drop"], ["run", "perturbation"], names, drawn_as[str(dataset)], resamples)
        for (_, perturbation), means in found.items():
            parts.setdefault(perturbation, []).append(means["drop"])
    return {name: np.mean(means, axis=0) for name, means in parts.items()}, fewest


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
            drop_title(metric): marked(number(row["drop"], digits), row),
            "Spread": " to ".join(spread) if row["n_means"] else NOTHING,
            "Most on": f"{datasets[row['max_dataset']]}, {runs[row['max_run']]}" if row["n_means"] else NOTHING,
        }
        counts = {"Data sets": "n_datasets", "Runs": "n_runs", "Pairs": "n_pairs", "Unreachable": "n_unreachable"}
        rows.append(shown | {title: str(row[name]) for title, name in counts.items()})
    return pd.DataFrame(rows)


def remarks(spec: TableSpec, table: pd.DataFrame) -> list[str]:
    """What differences between types are noise."""
    compared = table[table["behind_best"].notna()]
    left_out = table.loc[table["drop"].notna() & table["rank"].isna(), "perturbation"].str.replace("_", " ")
    fewer = f"Without a rank, since some runs lack them at some levels: {', '.join(left_out)}."
    return [*([fewer] if len(left_out) else []), *(_noise(spec, compared) if len(compared) else [])]


def _noise(spec: TableSpec, compared: pd.DataFrame) -> list[str]:
    groups, floors = int(compared["n_groups"].iloc[0]), compared["noise_floor"].dropna()
    if groups < spec.statistics.min_groups:
        return [f"Few groups ({groups} in one of the data sets), so no noise floor; the order of types may be chance."]
    if floors.empty:
        return ["No noise floor, since some resamples lack a type; the order of types may be chance."]
    metric = primary_metric(spec)
    ends = dict.fromkeys(number(value, METRICS[metric].digits + 1) for value in (floors.min(), floors.max()))
    return [
        f"Noise floor of the {drop_title(metric)}: {' to '.join(ends)}, for the difference of a type from the largest. "
        f"It must exceed it to be more than chance among all pairs of types: {FLOOR}; data sets are drawn "
        "independently where they have not the same groups. Bold is the largest; "
        f"{WITHIN_NOISE} marks types within the floor of it."
    ]


def notes(spec: TableSpec, frame: pd.DataFrame) -> list[str]:
    """What is missing."""
    return missing_scores(spec, frame)
