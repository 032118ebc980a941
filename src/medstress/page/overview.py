"""What the page opens with: of each data set the best run, the steadiest, and the type that costs most."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from medstress.score.compared import runs_with_fewer_cells, studied
from medstress.score.metrics import METRICS, primary_metric
from medstress.table_spec import TableSpec

# Means of equal scores may differ in their last digits.
_TIE = 1e-9


def overview_data(spec: TableSpec, dataset: str, cells: Mapping[str, Any], pairs: pd.DataFrame) -> dict[str, Any]:
    """The outline of one data set by the metric that its runs are compared by, with the numbers of its main table.

    `cells` is :func:`medstress.page.cells.cells_data`, `pairs` the drops under all conditions. Each part has a `value`
    and the `names` that have it, several where they tie, and is None where there is none. best: clean mean of a run;
    baseline: the same of a sanity baseline; steadiest: mean drop of a run over pairs, which weigh the same; hardest:
    mean drop of a type, over pairs of one run and then over runs, as in segmentation_top. fewer: the runs that lack
    cells which others have; they are not among the steadiest.
    """
    metric = primary_metric(spec)
    sign = -1 if METRICS[metric].smaller_is_better else 1
    ranked = studied(spec)
    clean = {run: mean for run, name, mean, *_ in cells["clean"] if name == metric and mean is not None}
    # Without clean scores there are no drops, but a hole is one of the run that is compared.
    counted = pairs[
        (pairs["metric"] == metric)
        & pairs["scored"]
        & pairs["perturbation"].isin(spec.perturbations_on(dataset))
        & pairs["run"].isin(ranked)
    ]
    fewer = runs_with_fewer_cells(spec, counted)
    drops = _means(counted[~counted["run"].isin(fewer)], ["run"])
    by_type: dict[str, list[float]] = {}
    for (_, name), drop in _means(counted, ["run", "perturbation"]).items():
        by_type.setdefault(name, []).append(drop)
    best = {run: mean for run, mean in clean.items() if run in ranked}
    baselines = {run: mean for run, mean in clean.items() if run not in ranked}
    return {
        "best": _first(best, sign),
        "baseline": _first(baselines, sign),
        "steadiest": _first({run: drop for (run,), drop in drops.items()}, -1),
        "hardest": _first({name: sum(some) / len(some) for name, some in by_type.items()}, 1),
        "fewer": [run for run in fewer if run in clean],
    }


def _means(counted: pd.DataFrame, by: list[str]) -> dict[tuple[str, ...], float]:
    return {
        tuple(map(str, key)): float(part.mean())
        for key, part in counted.groupby(by, observed=True, sort=True)["drop"]
        if isinstance(key, tuple)
    }


def _first(values: Mapping[str, float], sign: int) -> dict[str, Any] | None:
    """The largest value (with -1 the smallest), and the names that have it."""
    if not values:
        return None
    value = max(values.values(), key=lambda one: sign * one)
    return {"value": value, "names": [name for name, other in values.items() if abs(other - value) <= _TIE]}
