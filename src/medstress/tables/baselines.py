"""Whether a run beats the sanity baselines on clean images."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from medstress.score.metrics import METRICS
from medstress.table_spec import TableSpec
from medstress.tables.layout import NOTHING

# Means of equal scores may differ in their last digits.
_TIE = 1e-9


def mark_against_baselines(
    spec: TableSpec, rows: Sequence[dict[str, Any]], column: str, metric: str, verdict: str = "beats_baselines"
) -> None:
    """Give every row a `verdict`: whether its `column` beats the best baseline of its data set.

    `baseline` for a baseline itself, `yes`, `no` (also for a tie), or None where there is nothing to compare.
    """
    best: dict[str, float] = {}
    sign = -1 if METRICS[metric].smaller_is_better else 1
    for row in rows:
        if row["run"] in spec.baselines and row[column] is not None:
            best[row["dataset"]] = max(sign * row[column], best.get(row["dataset"], sign * row[column]))
    for row in rows:
        if row["run"] in spec.baselines:
            row[verdict] = "baseline"
        elif row[column] is None or row["dataset"] not in best:
            row[verdict] = None
        else:
            row[verdict] = "yes" if sign * row[column] > best[row["dataset"]] + _TIE else "no"


def verdict_text(verdict: Any) -> str:
    """`beats_baselines` as people read it; `no` stands out."""
    return NOTHING if pd.isna(verdict) else {"no": "**NO**"}.get(verdict, verdict)


def missing_baselines(spec: TableSpec) -> list[str]:
    """A sentence where the study has no baseline."""
    return [] if spec.baselines else ["The study has no baseline, so no run is compared with one."]
