"""The best of several runs, and those that cannot be told from it: columns, marks, and sentences that explain them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from medstress.score.compared import studied
from medstress.score.statistics.noise import noise_floors
from medstress.score.titles import dataset_titles, plural, run_titles
from medstress.table_spec import TableSpec
from medstress.tables.layout import NOTHING, number

Floats = npt.NDArray[np.float64]

WITHIN_NOISE = "‡"
"""Behind a number that differs from the best by no more than the noise floor."""
FLOOR = (
    "the standard error of that difference, times one number for all pairs, the quantile of their largest deviation "
    "in standard errors over shared resamples of groups"
)
"""What a noise floor is, see :mod:`medstress.score.statistics.noise`."""
# Means of equal scores may differ in their last digits.
_TIE = 1e-9
_NO_CELLS = {"n_cells_compared": None, "n_cells_left_out": None}


def mark_noise(
    spec: TableSpec,
    rows: Sequence[dict[str, Any]],
    means: Mapping[str, Floats],
    groups: int,
    cells: int | None = None,
    left_out: int | None = None,
    *,
    key: str = "run",
    largest: bool = False,
) -> None:
    """Give the rows of one block `behind_best`, `noise_floor` and `within_noise_of_best`.

    The floor of a row is that of its difference from the best, which has none itself. With `cells` and `left_out`, see
    :class:`medstress.score.compared.SharedMeans`, also `n_cells_compared` and `n_cells_left_out`.

    `means`: of each of the rows' `key`, float [1 + resamples], over the data and resamples that all share. The best is
    the smallest, or the `largest`. Of runs, baselines are compared only where there are no others. What is not
    compared, as it has no `means`, has None everywhere; without a floor nothing is said of noise.
    """
    chosen = set(studied(spec)) if key == "run" else {row[key] for row in rows}
    there = [row[key] for row in rows if row[key] in chosen and row[key] in means and np.isfinite(means[row[key]][0])]
    behind: dict[str, float] = {}
    floors: dict[str, float] = {}
    if len(there) > 1:
        together = np.stack([means[name] for name in there], axis=1)
        best = int(np.argmax(together[0]) if largest else np.argmin(together[0]))
        behind = dict(zip(there, map(float, np.abs(together[0] - together[0, best])), strict=True))
        if (found := noise_floors(together, groups, spec.statistics)) is not None:
            floors = dict(zip(there, map(float, found[best]), strict=True))
    for row in rows:
        name = row[key]
        away = behind.get(name)
        row["behind_best"] = 0.0 if away is not None and away <= _TIE else away
        row["noise_floor"] = None if row["behind_best"] == 0 else floors.get(name)
        row["within_noise_of_best"] = away <= floors[name] + _TIE if away is not None and name in floors else None
        if cells is not None:
            row.update({"n_cells_compared": cells, "n_cells_left_out": left_out} if name in behind else _NO_CELLS)


def marked(text: str, row: Mapping[Any, Any]) -> str:
    """A number as people read it: bold where it is the best, with a sign where it is within noise of the best."""
    if text == NOTHING or pd.isna(row["within_noise_of_best"]) or not row["within_noise_of_best"]:
        return text
    return f"**{text}**" if row["behind_best"] == 0 else f"{text} {WITHIN_NOISE}"


def noise_remarks(
    spec: TableSpec,
    table: pd.DataFrame,
    what: str,
    digits: int | Mapping[str, int],
    *,
    column: str,
    by: Sequence[str] = ("dataset",),
    titles: Mapping[str, str] | None = None,
    blocks: str = "",
    best: str = "smallest",
    among: str = "runs",
) -> list[str]:
    """Sentences on the marks and on the noise floor of each data set.

    `what` is compared, such as `IoU drop`. Where blocks are metrics, `titles` and `digits` have theirs; other blocks
    are only named, as in `by box and level`. Floors are given as the smallest and the largest. `column` has the
    numbers that are compared where rows agree in the columns `by`.
    """
    compared, left_out = table[table["behind_best"].notna()], _left_out(spec, table, column, by)
    if compared.empty:
        return left_out
    found = [*_explained(compared, what, best, among), *left_out]
    names = dataset_titles(spec)
    for dataset, own in compared.groupby("dataset", sort=False):
        title = names.get(str(dataset), str(dataset))
        found += _fewer_cells(title, own)
        floors = own[own["noise_floor"].notna()]
        if own["within_noise_of_best"].isna().all():
            found.append(f"{title}: {_no_floor(spec, str(dataset), own)}")
            continue
        if titles is not None and not isinstance(digits, int):
            said = ", ".join(
                f"{_range(of_metric['noise_floor'], digits[str(metric)])} ({titles[str(metric)]})"
                for metric, of_metric in floors.groupby("metric", sort=False)
                if metric in titles
            )
        else:
            assert isinstance(digits, int)
            said = _range(floors["noise_floor"], digits) + (f", {blocks}" if blocks else "") if len(floors) else ""
        if said:
            found.append(f"{title}: noise floor of the {what} {said}.")
    return found


def _range(floors: "pd.Series[float]", digits: int) -> str:
    return " to ".join(dict.fromkeys(number(value, digits + 1) for value in (floors.min(), floors.max())))


def _fewer_cells(title: str, own: pd.DataFrame) -> Iterator[str]:
    if "n_cells_left_out" in own and len(lacking := own[own["n_cells_left_out"].fillna(0) > 0]):
        # Blocks of a data set may lack different cells.
        row = lacking.iloc[int(lacking["n_cells_left_out"].argmax())]
        cells, gone = int(row["n_cells_compared"]), int(row["n_cells_left_out"])
        yield (
            f"{title}: marks and noise are over the {cells} of {cells + gone} cells (a sample's object, a type, a "
            f"level) that all compared runs have; {gone} are left out, since some run or seed has no score of them."
        )


def _explained(compared: pd.DataFrame, what: str, best: str, among: str) -> Iterator[str]:
    if compared["within_noise_of_best"].notna().any():
        aside = ", baselines aside" if among == "runs" else ""
        yield (
            f"Bold is the {best} {what}{aside}; {WITHIN_NOISE} marks those that differ from it by no more than the "
            f"noise floor, which a difference must exceed to be more than chance among all pairs of {among}: {FLOOR}."
        )


def _left_out(spec: TableSpec, table: pd.DataFrame, column: str, by: Sequence[str]) -> list[str]:
    """Sentences on runs that have a mean and are not compared."""
    ranked = table[table["run"].isin(studied(spec)) & table[column].notna()]
    datasets, runs = dataset_titles(spec), run_titles(spec)
    names: dict[str, dict[str, None]] = {}
    for _, block in ranked.groupby(list(by), sort=False):
        if len(block) > 1:
            for row in block[block["behind_best"].isna()].to_dict("records"):
                title = datasets.get(row["dataset"], row["dataset"])
                names.setdefault(title, {})[runs[row["run"]]] = None
    said = "; ".join(f"{title} ({', '.join(own)})" for title, own in names.items())
    if not said:
        return []
    return [
        f"In no mark and no rank: {said}. They, or all others, lack a type at a level which the rest have, so their "
        "means are over other cells; or there is no cell that all have."
    ]


def resampled_text(spec: TableSpec) -> str:
    """A note's sentence on what a caption, which no study changes, cannot say."""
    statistics = spec.statistics
    return f"Confidence {100 * statistics.confidence:g}%, from {statistics.resamples} resamples of groups."


def _no_floor(spec: TableSpec, dataset: str, own: pd.DataFrame) -> str:
    groups = own["n_groups"].max() if "n_groups" in own else math.nan
    if pd.isna(groups) or groups < spec.statistics.min_groups:
        counted = "" if pd.isna(groups) else f" ({plural(int(groups), spec.split_units.get(dataset, 'group'))})"
        return f"few groups{counted}, so no noise floor; nothing is marked, and differences may be chance."
    return "no noise floor, since some resamples lack a run; nothing is marked."
