"""How sure the order of models and of strategies is: what other patients would have made of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from medstress.errors import MedstressError
from medstress.score.bootstrap import Estimate, estimate_column
from medstress.score.compared import (
    Compared,
    SharedMeans,
    compared,
    drawn_together,
    kinds_of,
    means_of_ranked,
    places_of,
    runs_with_fewer_cells,
)
from medstress.score.metrics import METRICS
from medstress.score.statistics.components import components_of, detectable_of
from medstress.score.statistics.extremes import estimate_of_one
from medstress.score.statistics.ranking import Stability, rank_stability
from medstress.score.titles import dataset_titles, run_titles
from medstress.table_spec import TableSpec
from medstress.tables.classification_main import ALL_DATASETS
from medstress.tables.layout import INTERVALS, NOTHING, columns_of, drop_title, estimate_text, number, typed
from medstress.tables.noise_marks import mark_noise, marked, noise_remarks, resampled_text

Floats = npt.NDArray[np.float64]

TITLE = "Rankings: how sure the order of models and of strategies is"
CAPTION = (
    "Models, and strategies beside the runs that they start from, in the order of their mean perturbed score and of "
    "their mean drop, in the primary metric of each task; baselines are ranked only where there is nothing else. "
    "Groups are resampled, the same for all runs; of several data sets the fewest are given. Mean rank: over "
    "resamples, with its percentiles; first: the share of resamples in which a run is first. Tau: Kendall's rank "
    "correlation between the order found and that of a resample, the mean over resamples; 1 is an order that never "
    "changes. Noise floor: of the difference from the best. Detectable: the smallest true mean drop that a two-sided "
    "t-test of so many groups finds with probability .8; a drop of this size or smaller may be missed. The rows of "
    "several data sets are of means over these data sets, each weighing the same, of the runs that were scored on all "
    "of them; the data sets are named there, and those with exactly the same groups draw the same ones. Means are over "
    "the cells that every ranked run has with all seeds; a run that lacks a type at a level which another has is not "
    f"ranked. {INTERVALS}"
)
_MEASURES: tuple[Literal["perturbed", "drop"], ...] = ("perturbed", "drop")


@dataclass(frozen=True)
class _Order:
    """One ranking: means of each run over shared resamples, and what a study could find of each.

    `joint`: the same means, over draws that data sets of the same groups share. `beside`: means of runs that are not
    ranked, since they are over fewer cells.
    """

    task: str
    dataset: str
    datasets: Sequence[str]
    metric: str
    measure: str
    ranked: str
    shared: SharedMeans
    joint: SharedMeans
    detectable: Mapping[str, float | None]
    beside: Mapping[str, Estimate]

    @property
    def means(self) -> Mapping[str, Floats]:
        return self.shared.means

    @property
    def groups(self) -> int:
        return self.shared.groups

    @property
    def smaller_is_better(self) -> bool:
        return self.measure == "drop" or METRICS[self.metric].smaller_is_better


def build(spec: TableSpec, frame: pd.DataFrame) -> pd.DataFrame:
    """One row a data set, measure, kind (`models` or `strategies`) and run, where a kind has two runs.

    Then of all data sets together, task by task. Raises MedstressError where there is nothing to rank.
    """
    blocks = list(compared(spec, frame))
    rows: list[dict[str, Any]] = []
    for task in dict.fromkeys(block.task for block in blocks):
        of_task = [block for block in blocks if block.task == task]
        drawn_as = drawn_together({block.dataset: block.pairs["group_id"].unique() for block in of_task})
        own = [order for block in of_task for order in _orders(block, drawn_as[block.dataset])]
        for order in [*own, *_over_datasets(own)]:
            rows += _rows(spec.of_task(task), order)
    if not rows:
        raise MedstressError(
            "table ranking: no data set has scores of two models, or of a strategy and what it starts from, so there "
            "is nothing to rank. Name another under `runs`, or leave the table out."
        )
    return typed(rows)


def _orders(block: Compared, drawn_as: str) -> Iterator[_Order]:
    kinds = kinds_of(block.spec)
    chosen = [run for runs in kinds.values() for run in runs]
    pairs = block.pairs[block.pairs["run"].isin(chosen)]
    if pairs.empty:
        return
    detectable = {
        str(run): detectable_of(components_of(own), block.spec.statistics.confidence)
        for run, own in pairs.groupby("run", observed=True)
    }
    fewer = runs_with_fewer_cells(block.spec, pairs)
    for measure in _MEASURES:
        shared = joint = means_of_ranked(block.spec, pairs, measure, block.dataset)
        if drawn_as != block.dataset:
            joint = means_of_ranked(block.spec, pairs, measure, block.dataset, drawn_as=drawn_as)
        for kind, runs in kinds.items():
            own, together = (
                one._replace(means={run: one.means[run] for run in runs if run in one.means}) for one in (shared, joint)
            )
            beside = {
                run: estimate_column(
                    pairs[pairs["run"] == run], measure, block.metric, block.dataset, block.spec.statistics
                )
                for run in runs
                if run in fewer
            }
            if len(own.means) + len(beside) > 1:
                names = [block.dataset]
                place = (block.task, block.dataset, names, block.metric, measure, kind)
                yield _Order(*place, own, together, detectable, beside)


def _over_datasets(orders: Sequence[_Order]) -> Iterator[_Order]:
    """Of every kind and measure: the runs that all its data sets have, where these share a metric."""
    for kind, measure in dict.fromkeys((order.ranked, order.measure) for order in orders):
        parts = [order for order in orders if (order.ranked, order.measure) == (kind, measure)]
        shared = [run for run in parts[0].means if all(run in order.means for order in parts)]
        if len(parts) < 2 or len(shared) < 2 or len({order.metric for order in parts}) > 1:
            continue
        # A data set with few groups has no resamples.
        length = min(len(order.joint.means[run]) for order in parts for run in shared)
        means = {run: np.mean([order.joint.means[run][:length] for order in parts], axis=0) for run in shared}
        names, first = [order.dataset for order in parts], parts[0]
        whole = SharedMeans(
            means,
            min(order.groups for order in parts),
            sum(order.shared.cells for order in parts),
            sum(order.shared.left_out for order in parts),
        )
        yield _Order(first.task, ALL_DATASETS, names, first.metric, measure, kind, whole, whole, {}, {})


def _rows(spec: TableSpec, order: _Order) -> list[dict[str, Any]]:
    runs, statistics = list(order.means), spec.statistics
    rows = []
    if runs:
        means = np.stack([order.means[run] for run in runs], axis=1)
        stable = None
        if len(runs) > 1 and order.groups >= statistics.min_groups and np.isfinite(means).all():
            stable = rank_stability(means, smaller_is_better=order.smaller_is_better)
        places = places_of(order.means, smaller_is_better=order.smaller_is_better)
        for index, run in enumerate(runs):
            mean = estimate_of_one(means[:, index], order.groups, statistics)
            rows.append(_row(order, run, mean, places.get(run), _stability(stable, index, statistics.confidence)))
    rows.sort(key=lambda row: (row["place"] or 0, runs.index(row["run"])))
    rows += [_row(order, run, mean, None, _stability(None, 0, 0.0)) for run, mean in order.beside.items()]
    mark_noise(spec, rows, *order.shared, largest=not order.smaller_is_better)
    return rows


def _row(
    order: _Order, run: str, mean: Estimate, place: int | None, stability: Mapping[str, float | None]
) -> dict[str, Any]:
    return {
        "task": order.task,
        "dataset": order.dataset,
        "datasets": " ".join(order.datasets),
        "metric": order.metric,
        "measure": order.measure,
        "ranked": order.ranked,
        "run": run,
        "place": place,
        **columns_of("mean", mean),
        **stability,
        "detectable_drop": order.detectable.get(run),
        "n_groups": mean.n_groups,
        "n_datasets": len(order.datasets),
    }


def _stability(stable: Stability | None, index: int, confidence: float) -> dict[str, float | None]:
    if stable is None:
        nothing = Estimate(None, None, None, 0, 0)
        return {**columns_of("mean_rank", nothing), "share_first": None, "tau": None}
    low, high = stable.interval(confidence)
    return {
        "mean_rank": float(stable.ranks[index]),
        "mean_rank_low": float(low[index]),
        "mean_rank_high": float(high[index]),
        "share_first": float(stable.first[index]),
        # Where all runs are alike there is no order to keep.
        "tau": float(np.nanmean(stable.tau)) if np.isfinite(stable.tau).any() else None,
    }


def display(spec: TableSpec, table: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it."""
    datasets, runs, rows = dataset_titles(spec), run_titles(spec), []
    for row in table.to_dict("records"):
        metric = METRICS[row["metric"]]
        names = [datasets[name] for name in row["datasets"].split()]
        by = drop_title(row["metric"]) if row["measure"] == "drop" else f"perturbed {metric.title}"
        share = row["share_first"]
        rows.append(
            {
                "Data set": names[0] if len(names) == 1 else f"Mean over {len(names)}: {'; '.join(names)}",
                "Ranked": row["ranked"],
                "By": by,
                "#": NOTHING if pd.isna(row["place"]) else f"{row['place']:g}",
                "Run": runs[row["run"]],
                "Mean": marked(estimate_text(row, "mean", metric.digits), row),
                "Mean rank": number(row["mean_rank"], 2) if pd.isna(row["mean_rank"]) else _rank_text(row),
                "First": NOTHING if pd.isna(share) else f"{share:.0%}",
                "Noise floor": number(row["noise_floor"], metric.digits + 1),
                "Detectable": number(row["detectable_drop"], metric.digits),
                "Groups": str(row["n_groups"]),
            }
        )
    return pd.DataFrame(rows)


def _rank_text(row: Mapping[Any, Any]) -> str:
    return f"{number(row['mean_rank'], 2)} [{row['mean_rank_low']:g}, {row['mean_rank_high']:g}]"


def remarks(spec: TableSpec, table: pd.DataFrame) -> list[str]:
    """What the marks mean, and where groups are too few."""
    digits = max(METRICS[metric].digits for metric in table["metric"].unique())
    by, blocks = ("dataset", "ranked", "measure"), "by kind and measure"
    found = noise_remarks(spec, table, "mean", digits, column="mean", by=by, blocks=blocks, best="best")
    return [*found, *_taus(spec, table), resampled_text(spec)]


def _taus(spec: TableSpec, table: pd.DataFrame) -> Iterator[str]:
    """Tau of every order, which is one number for all its runs."""
    titles = dataset_titles(spec)
    known = table[table["tau"].notna()]
    for (_, names), own in known.groupby(["task", "datasets"], sort=False):
        by_order = own.groupby(["ranked", "measure"], sort=False)["tau"].first()
        said = ", ".join(
            f"{number(tau, 2)} ({kind} by {'drop' if measure == 'drop' else 'perturbed score'})"
            for (kind, measure), tau in zip(by_order.index, by_order, strict=True)
        )
        yield f"{'; '.join(titles[name] for name in str(names).split())}: tau {said}."


def notes(_spec: TableSpec, _frame: pd.DataFrame) -> list[str]:
    """Nothing: what a run lacks is said in the tables of its task."""
    return []
