"""Whether images that were made against one run mislead another."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any, NamedTuple

import pandas as pd

from medstress.runs import adversarial_name
from medstress.score.bootstrap import estimate_column
from medstress.score.compared import means_of_runs
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
from medstress.tables.missing import missing_expected
from medstress.tables.noise_marks import mark_noise, marked, noise_remarks
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
    """One row a data set, attack, level, source and run, without numbers where there are no scores."""
    metric = primary_metric(spec)
    names = {cell.scores[2] for cell in _cells(spec)}
    pairs = paired_drops(scores_under(names, frame[frame["metric"] == metric]))
    parts = cells_of(pairs)
    rows = []
    for _, block in groupby(_cells(spec), key=lambda cell: cell[:-1]):
        cells = list(block)
        # A run's own images have another name than the same images have before others.
        seen = pd.concat([parts.get(cell.scores, pairs[:0]).assign(perturbation=cell.attack) for cell in cells])
        own = [_row(spec, parts.get(cell.scores, pairs[:0]), metric, cell) for cell in cells]
        mark_noise(spec, own, *means_of_runs(spec, seen[seen["scored"]], "drop", cells[0].dataset))
        rows += own
    return typed(rows)


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
        text = estimate_text(row, "drop", METRICS[metric].digits) + own
        shown[f"{runs[row['run']]}: {drop_title(metric)}"] = marked(text, row)
    return pd.DataFrame(list(rows.values()))


def remarks(spec: TableSpec, table: pd.DataFrame) -> list[str]:
    """What differences between drops are noise."""
    metric = primary_metric(spec)
    blocks = "by attack, level and the model that images were made against"
    by = ("dataset", "attack", "level", "source")
    return noise_remarks(spec, table, drop_title(metric), METRICS[metric].digits, column="drop", by=by, blocks=blocks)


def notes(spec: TableSpec, frame: pd.DataFrame) -> list[str]:
    """What is missing."""
    runs = run_titles(spec)
    cells: dict[tuple[str, str], dict[str, list[int]]] = {}
    titles = {}
    for cell in _cells(spec):
        name = cell.scores[2]
        cells.setdefault((cell.dataset, cell.run), {})[name] = spec.levels
        titles[name] = f"{cell.attack} against {'itself' if cell.source == cell.run else runs[cell.source]}"
    return missing_expected(spec, frame, cells, titles)
