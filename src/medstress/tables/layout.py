"""How numbers are shown to people."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from medstress.score.bootstrap import Estimate
from medstress.score.metrics import METRICS
from medstress.table_spec import TableSpec

NOTHING = "\N{EN DASH}"
"""Shown where there is no number."""

INTERVALS = (
    "Brackets are intervals from a bootstrap of groups: percentiles, with arms lengthened by sqrt(G / (G - 1)) and by "
    "the ratio of Student to normal quantiles for G groups."
)
"""A caption's sentence on :mod:`medstress.score.bootstrap`."""

NO_ANSWERS = (
    "Answers that are empty, decline, or cannot be read are wrong: they have the lowest value in every mean and are "
    "counted beside it. Requests that failed are no answers and are in no mean."
)
"""A caption's sentence on :mod:`medstress.score.vqa` and its like."""

VALID_PIXELS = (
    "Perturbed scores count only pixels that still show the scene, clean scores the whole object; distances are in "
    "pixels of the clean image."
)
"""A caption's sentence on :mod:`medstress.score.segmentation`."""


def drop_title(metric: str) -> str:
    """Heading of a drop; distances rise."""
    return f"{METRICS[metric].title} {'rise' if METRICS[metric].smaller_is_better else 'drop'}"


def columns_of(name: str, value: Estimate) -> dict[str, float | None]:
    """An estimate as the columns name, name_low and name_high."""
    return {name: value.mean, f"{name}_low": value.low, f"{name}_high": value.high}


def interval_text(spec: TableSpec, *values: Estimate) -> str | None:
    """What the intervals of a row are: their confidence, or `few groups` where one of them is not given."""
    given = [value for value in values if value.mean is not None]
    if not given:
        return None
    if any(value.low is None for value in given):
        return "few groups"
    return f"{100 * spec.statistics.confidence:g}% bootstrap"


def number(value: Any, digits: int) -> str:
    """A rounded number, or a dash."""
    # Rounding first and adding zero keeps a tiny loss from being shown as minus zero.
    return NOTHING if pd.isna(value) else f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def estimate_text(row: Any, name: str, digits: int, *, interval: bool = True) -> str:
    """`0.61 [0.55, 0.66]`, or `0.61 (few groups)` where there is no interval."""
    mean = number(row[name], digits)
    if mean == NOTHING or not interval:
        return mean
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return f"{mean} (few groups)" if pd.isna(low) else f"{mean} [{number(low, digits)}, {number(high, digits)}]"


def typed(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Rows as a frame where counts stay whole, numbers stay numbers and texts stay texts, even if all are missing."""
    frame = pd.DataFrame(list(rows))
    for name in frame.columns:
        if name.startswith("n_") or name in ("level", "rank"):
            frame[name] = frame[name].astype("Int64")
        elif name.startswith("within_noise"):
            frame[name] = frame[name].astype("boolean")
        elif name not in TEXTS:
            frame[name] = frame[name].astype("float64")
        else:
            frame[name] = frame[name].astype("string")
    return frame


TEXTS = frozenset(
    {
        "dataset",
        "run",
        "perturbation",
        "prompt",
        "kind",
        "clean_group",
        "perturbed_group",
        "few_groups",
        "max_dataset",
        "max_run",
        "attack",
        "source",
        "group_unit",
        "metric",
        "scale",
        "interval",
        "beats_baselines",
        "worst_class",
        "error_metric",
        "normaliser",
        "starts_from",
        "few_shot_source",
        "answer_type",
        "rater",
        "rater_kind",
        "against",
        "against_kind",
        "shift",
        "shift_kind",
        "beats_baselines_ood",
        "claim",
        "text",
        "published_text",
        "published_where",
        "verdict",
        "reason",
        "holds",
        "runs",
        "datasets",
        "same_setting",
        "task",
        "measure",
        "other",
        "test",
        "ranked",
        "reference",
        "publication",
        "quantity",
        "model",
        "strategy",
        "precision",
        "unit",
        "differs",
    }
)
"""Columns that hold text."""
