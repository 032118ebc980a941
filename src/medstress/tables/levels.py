"""What the tables of scores by level share: which scores belong together, and the estimates of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from medstress.score.bootstrap import Estimate, estimate_column
from medstress.score.robustness import clean_scores, counts, paired_drops
from medstress.table_spec import TableSpec
from medstress.tables.layout import columns_of

SCALES = (
    "level 0 is the clean image. Scale ssim: types whose levels are SSIM bands. Scale table: types whose levels are "
    "fixed strengths, as displacements are. Drops are paired, clean minus perturbed of the same {unit}. Where cells "
    "are unreachable, the means of two levels are over different {unit}s: compare their drops."
)
"""A caption's sentences on levels, where one value is of one `unit`."""


@dataclass(frozen=True)
class LevelScores:
    """Scores of one run on one data set at one level: of clean images as they are, else the pairs of a scale."""

    dataset: str
    run: str
    scale: Literal["clean", "ssim", "table"]
    level: int
    scores: pd.DataFrame

    @property
    def names(self) -> dict[str, Any]:
        """The columns that tell a row from the others."""
        return {"dataset": self.dataset, "run": self.run, "scale": self.scale, "level": self.level}

    @property
    def counted(self) -> pd.DataFrame:
        """The scores that means count."""
        if self.scale == "clean":
            return self.scores[counts(self.scores["status"], self.scores["value"])]
        return self.scores[self.scores["scored"]]

    def of(self, metric: str) -> "LevelScores":
        """Those of one metric."""
        return LevelScores(self.dataset, self.run, self.scale, self.level, _of(self.scores, metric=metric))


def scores_by_level(spec: TableSpec, frame: pd.DataFrame) -> Iterator[LevelScores]:
    """By data set and run: the clean scores, then each level of the types of each scale, also where there are none."""
    pairs, clean = paired_drops(frame), clean_scores(frame)
    for dataset in spec.datasets:
        for run in spec.runs_on(dataset):
            yield LevelScores(dataset, run, "clean", 0, _of(clean, dataset=dataset, run=run))
            own = _of(pairs, dataset=dataset, run=run)
            moved, made = own["perturbation"].isin(spec.fixed), spec.perturbations_on(dataset)
            parts: list[tuple[Literal["ssim", "table"], pd.DataFrame, bool]] = [
                ("ssim", own[~moved], any(name not in spec.fixed for name in made)),
                ("table", own[moved], any(name in spec.fixed for name in made)),
            ]
            for scale, part, expected in parts:
                for level in spec.levels if expected else ():
                    yield LevelScores(dataset, run, scale, level, _of(part, level=level))


def _of(frame: pd.DataFrame, **keys: Any) -> pd.DataFrame:
    for name, key in keys.items():
        frame = frame[frame[name] == key]
    return frame


def level_estimates(spec: TableSpec, own: LevelScores, metric: str) -> tuple[Estimate, ...]:
    """The mean score of one metric, and the mean drop of all but clean images."""
    counted = own.of(metric).counted
    if own.scale == "clean":
        return (estimate_column(counted, "value", metric, own.dataset, spec.statistics),)
    return (
        estimate_column(counted, "perturbed", metric, own.dataset, spec.statistics),
        estimate_column(counted, "drop", metric, own.dataset, spec.statistics),
    )


def level_columns(values: tuple[Estimate, ...], score: str, drop: str) -> dict[str, float | None]:
    """Estimates as the columns of a `score` and a `drop`; clean images have no drop."""
    none = Estimate(None, None, None, 0, 0)
    return columns_of(score, values[0]) | columns_of(drop, values[1] if len(values) > 1 else none)
