"""A study in blocks, one a task: runs of different tasks share neither data sets nor metrics."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from medstress.errors import MedstressError
from medstress.names import Task
from medstress.score.metrics import METRICS, primary_metric
from medstress.score.robustness import clean_scores, counts, paired_drops, read_scores, scores_under
from medstress.table_spec import TableSpec


@dataclass(frozen=True)
class Block:
    """One task of a study: its part of the configuration, and all its scores, attacks among them."""

    task: Task
    spec: TableSpec
    frame: pd.DataFrame

    def metric_on(self, datasets: Iterable[str]) -> str:
        """The primary metric, or the first that these data sets have scores of: some have open questions alone."""
        primary = primary_metric(self.spec)
        clean = clean_scores(self.frame[self.frame["dataset"].isin(list(datasets))])
        found = set(clean.loc[counts(clean["status"], clean["value"]), "metric"])
        ordered = [primary, *(name for name in self.spec.metrics if not METRICS[name].of_pair)]
        return next((name for name in ordered if name in found), primary)

    def clean_on(self, dataset: str, metric: str) -> pd.DataFrame:
        """The clean scores of one data set and metric that means count."""
        own = clean_scores(self._of(dataset, metric))
        return own[counts(own["status"], own["value"])]

    def pairs_on(self, dataset: str, metric: str, names: Iterable[str] | None = None) -> pd.DataFrame:
        """The pairs of one data set and metric that means count, under the study's perturbations or under `names`."""
        under = self.spec.perturbations if names is None else names
        pairs = paired_drops(scores_under(under, self._of(dataset, metric)))
        return pairs[pairs["scored"]]

    def holes_on(self, dataset: str, metric: str) -> tuple[int, int]:
        """How many cells (a run, a perturbation, a level) have no scores, of how many that the study asks for."""
        own = self._of(dataset, metric)
        names = ["run", "perturbation", "level"]
        found = set(own[names].drop_duplicates().itertuples(index=False, name=None))
        asked = [
            (run, kind, level)
            for run in self.spec.runs_on(dataset)
            for kind in self.spec.perturbations_on(dataset)
            for level in self.spec.levels
        ]
        return sum(cell not in found for cell in asked), len(asked)

    def _of(self, dataset: str, metric: str) -> pd.DataFrame:
        return self.frame[(self.frame["dataset"] == dataset) & (self.frame["metric"] == metric)]


def blocks_of(spec: TableSpec, scores: Sequence[Path]) -> list[Block]:
    """The tasks of a study in the order of its data sets, each with the scores of its files."""
    return [_block(spec, task, scores) for task in tasks_of(spec)]


def tasks_of(spec: TableSpec) -> list[Task]:
    """The tasks of a study in the order of its data sets."""
    return list(dict.fromkeys(spec.tasks.get(dataset, "segmentation") for dataset in spec.datasets))


def _block(spec: TableSpec, task: Task, scores: Sequence[Path]) -> Block:
    part = spec.of_task(task)
    # Tests and bundles may hold all scores in one file, whose name is not that of a data set.
    foreign = set(spec.datasets) - set(part.datasets)
    frame = read_scores([path for path in scores if path.stem not in foreign])
    return Block(task, part, frame[frame["dataset"].isin(list(part.datasets))])


def cells_of(pairs: pd.DataFrame, *names: str) -> dict[tuple[object, ...], pd.DataFrame]:
    """The parts of a frame by the values of these columns."""
    groups: Iterator[tuple[tuple[object, ...], pd.DataFrame]] = iter(pairs.groupby(list(names), observed=True))
    return dict(groups)


def studied_runs(spec: TableSpec) -> list[str]:
    """The runs that are no baselines; all where there are no others."""
    return [run for run in spec.runs if run not in spec.baselines] or list(spec.runs)


def shown_kind(spec: TableSpec, name: str) -> str:
    """A perturbation as people read it, with a dagger where its levels are strengths of a table."""
    return name.replace("_", " ") + ("†" if name in spec.fixed else "")


def nothing_to_draw(figure: str, why: str) -> MedstressError:
    """What is raised where a figure would be empty."""
    return MedstressError(f"figure {figure}: {why} Leave the figure out.")
