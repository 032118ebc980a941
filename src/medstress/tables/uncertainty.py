"""What the uncertainty of every mean drop is made of, and how small a drop the data could have shown."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from medstress.runs import named_parts
from medstress.score.bootstrap import estimate_column
from medstress.score.metrics import METRICS, primary_metric
from medstress.score.robustness import paired_drops
from medstress.score.statistics.components import components_of, detectable_of
from medstress.score.titles import dataset_titles, plural, run_titles
from medstress.table_spec import TableSpec
from medstress.tables.layout import INTERVALS, NOTHING, columns_of, estimate_text, interval_text, number, typed
from medstress.tables.noise_marks import resampled_text

TITLE = "Uncertainty: what the standard errors of mean drops are made of"
CAPTION = (
    "The primary metric of each task; drops are paired, clean minus perturbed. Standard errors are of the mean drop, "
    "in its unit. Data: other groups, each with the perturbations that were drawn for its images. Draw: what other "
    "draws could account for at most, from images, and never more than data. It is a part of data and not added to it: "
    "each type was drawn once for an image, so a hard draw and an image that is hard under that type cannot be told "
    "apart. Seed: other trainings, from the spread of the seeds' means over the same cells. Total: data and seed, as "
    "the root of the sum of their squares. The drop's interval is of groups alone: the seed's part is in the total and "
    "not in the brackets. Detectable: the smallest true mean drop that a two-sided t-test of so many groups finds with "
    "probability .8, from the data's part alone: what the study could find and not what it found; none where all "
    f"groups lose the same. {INTERVALS}"
)
_MORE_DIGITS = 1
"""Standard errors are smaller than what they are of."""


def build(spec: TableSpec, frame: pd.DataFrame) -> pd.DataFrame:
    """One row a data set and run of the study, of the primary metric of its task, also where there are no scores."""
    return typed(list(_rows(spec, frame)))


def _rows(spec: TableSpec, frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for dataset in spec.datasets:
        part = spec.of_task(spec.tasks.get(dataset, "segmentation"))
        metric = primary_metric(part)
        pairs = paired_drops(frame[(frame["dataset"] == dataset) & (frame["metric"] == metric)])
        for run in part.runs_on(dataset):
            yield {"dataset": dataset, "run": run, "metric": metric} | _row(
                spec, pairs[pairs["run"] == run], dataset, metric
            )


def _row(spec: TableSpec, pairs: pd.DataFrame, dataset: str, metric: str) -> dict[str, Any]:
    counted, parts = pairs[pairs["scored"]], components_of(pairs)
    drop = estimate_column(counted, "drop", metric, dataset, spec.statistics)
    return {
        **columns_of("drop", drop),
        "se_data": parts.data,
        "se_draw_at_most": parts.draw_at_most,
        "se_seed": parts.seed,
        "se_total": parts.total,
        "detectable_drop": detectable_of(parts, spec.statistics.confidence),
        "n_pairs": len(counted),
        "n_pairs_left_out": len(counted) - _in_every_seed(counted),
        "n_groups": parts.n_groups,
        "group_unit": spec.split_units[dataset],
        "n_seeds": parts.n_seeds,
        "interval": interval_text(spec, drop),
    }


def _in_every_seed(counted: pd.DataFrame) -> int:
    """How many pairs are of cells that all seeds have, which standard errors are taken from."""
    place = ["group_id", "sample_id", "object_id", "perturbation", "level"]
    sizes = counted.groupby(place, observed=True).size()
    return int(sizes[sizes == counted["seed"].nunique()].sum())


def display(spec: TableSpec, table: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it."""
    rows, datasets, runs = [], dataset_titles(spec), run_titles(spec)
    for row in table.to_dict("records"):
        metric = METRICS[row["metric"]]
        digits = metric.digits + _MORE_DIGITS
        most = number(row["se_draw_at_most"], digits)
        rows.append(
            {
                "Data set": datasets[row["dataset"]],
                "Run": runs[row["run"]],
                "Metric": metric.title,
                "Drop": estimate_text(row, "drop", metric.digits),
                "SE data": number(row["se_data"], digits),
                "of it draw": most if most == NOTHING else f"at most {most}",
                "SE seed": number(row["se_seed"], digits),
                "SE total": number(row["se_total"], digits),
                "Groups": plural(row["n_groups"], row["group_unit"]),
                "Seeds": str(row["n_seeds"]) if named_parts(row["run"])["strategy"] else NOTHING,
                "Detectable": number(row["detectable_drop"], metric.digits),
            }
        )
    return pd.DataFrame(rows)


def remarks(spec: TableSpec, table: pd.DataFrame) -> list[str]:
    """What cannot be told apart, and where."""
    some, known, seeds = table["n_pairs"] > 0, table["se_data"].notna(), table["n_seeds"]
    trained = table["run"].map(lambda run: named_parts(run)["strategy"] is not None).astype(bool)
    said = {
        "One training seed, so what another training would do is not known, and not in the total": trained
        & (seeds == 1),
        "One group, so no standard error: a drop cannot be told from chance": some & ~known,
        "One type, or one image under all types, so not even a bound of what the draw does": some
        & known
        & table["se_draw_at_most"].isna(),
        "Cells that some seeds lack are in the drop and in no standard error": table["n_pairs_left_out"] > 0,
    }
    found = [f"{text}: {_where(spec, table[rows.to_numpy(bool)])}." for text, rows in said.items() if rows.any()]
    return [*found, resampled_text(spec)]


def _where(spec: TableSpec, rows: pd.DataFrame) -> str:
    """Data sets, and their runs where these are not all of its rows' runs."""
    datasets, runs = dataset_titles(spec), run_titles(spec)
    by_dataset: dict[str, list[str]] = {}
    for row in rows.to_dict("records"):
        by_dataset.setdefault(row["dataset"], []).append(row["run"])
    return "; ".join(
        datasets[name] if own == spec.runs_on(name) else f"{datasets[name]} ({', '.join(runs[run] for run in own)})"
        for name, own in by_dataset.items()
    )


def notes(_spec: TableSpec, _frame: pd.DataFrame) -> list[str]:
    """Nothing: what tables of all tasks lack is said where they are written."""
    return []
