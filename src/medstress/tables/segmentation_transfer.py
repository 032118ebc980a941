"""Whether images that were made against one run mislead another."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pandas as pd

from medstress.runs import adversarial_name
from medstress.score.bootstrap import estimate_column
from medstress.score.metrics import METRICS, primary_metric
from medstress.score.robustness import left_out, paired_drops, scores_under
from medstress.score.titles import dataset_titles, run_titles
from medstress.table_spec import TableSpec
from medstress.tables.layout import (
    INTERVALS,
    NOTHING,
    columns_of,
    drop_title,
    estimate_text,
    interval_text,
    typed,
)
from medstress.tables.segmentation_adversarial import cells_of

TITLE = "Segmentation: transfer of adversarial images"
CAPTION = (
    "Rows: the model that images were made against. Columns: the mean paired drop, clean minus adversarial, of each "
    "run that saw them; (own) marks that model itself, a white-box attack. The radius is in grey levels of the stored "
    f"image. {INTERVALS} Of a strategy all seeds count. A baseline that ignores the pixels loses nothing."
)


class _Cell(NamedTuple):
    dataset: str
    attack: str
    level: int
    source: str
    run: str

    @property
    def scores(self) -> tuple[str, str, str, int]:
        """What its scores are called: a run's own images bear the attack's plain name."""
        name = self.attack if self.source == self.run else adversarial_name(self.attack, self.source)
        return self.dataset, self.run, name, self.level


def _cells(spec: TableSpec) -> Iterator[_Cell]:
    for dataset in spec.attacked_datasets:
        for attack in spec.kept:
            for level in spec.levels:
                for source in spec.transfer:
                    yield from (_Cell(dataset, attack, level, source, run) for run in spec.runs_on(dataset))


def build(spec: TableSpec, frame: pd.DataFrame) -> pd.DataFrame:
    """One row a data set, attack, level, source and run that have scores."""
    metric = primary_metric(spec)
    names = {cell.scores[2] for cell in _cells(spec)}
    pairs = cells_of(paired_drops(scores_under(names, frame[frame["metric"] == metric])))
    return typed([_row(spec, pairs[cell.scores], metric, cell) for cell in _cells(spec) if cell.scores in pairs])


def _row(spec: TableSpec, pairs: pd.DataFrame, metric: str, cell: _Cell) -> dict[str, Any]:
    counted = pairs[pairs["scored"]]
    drop = estimate_column(counted, "drop", metric, cell.dataset, spec.statistics)
    return {
        **cell._asdict(),
        "epsilon": spec.attacks[cell.attack][cell.level - 1],
        "metric": metric,
        **columns_of("drop", drop),
        "interval": interval_text(spec, drop),
        "n_objects": len(counted.drop_duplicates(["sample_id", "object_id"])),
        "n_groups": drop.n_groups,
        "n_values": drop.n_values,
        **left_out(pairs),
    }


def display(spec: TableSpec, table: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it: a row a source, a column a run that saw its images."""
    metric = primary_metric(spec)
    datasets, runs = dataset_titles(spec), run_titles(spec)
    rows: dict[tuple[Any, ...], dict[str, str]] = {}
    for row in table.to_dict("records"):
        key = (row["dataset"], row["attack"], row["level"], row["source"])
        empty = {f"{title}: {drop_title(metric)}": NOTHING for title in runs.values()}
        shown = rows.setdefault(
            key,
            {
                "Data set": datasets[row["dataset"]],
                "Attack": row["attack"].replace("_", " "),
                "Level": str(row["level"]),
                "Radius": f"{row['epsilon']:g}",
                "Made against": runs[row["source"]],
                **empty,
            },
        )
        own = " (own)" if row["run"] == row["source"] else ""
        shown[f"{runs[row['run']]}: {drop_title(metric)}"] = estimate_text(row, "drop", METRICS[metric].digits) + own
    return pd.DataFrame(list(rows.values()))


def notes(spec: TableSpec, frame: pd.DataFrame) -> list[str]:
    """What is missing."""
    runs, datasets = run_titles(spec), dataset_titles(spec)
    found = set(frame[["dataset", "run", "perturbation", "level"]].drop_duplicates().itertuples(index=False, name=None))
    return [
        f"{datasets[cell.dataset]}, {runs[cell.run]}: no scores for {cell.attack} against {runs[cell.source]}, "
        f"level {cell.level}."
        for cell in _cells(spec)
        if cell.scores not in found
    ]
