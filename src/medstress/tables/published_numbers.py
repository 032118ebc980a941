"""Published numbers beside this study's own."""

from typing import Any

import pandas as pd

from medstress.score.published import published_numbers
from medstress.score.published_setting import Own, belongs, cells_of, own_number
from medstress.score.titles import dataset_titles, plural
from medstress.table_spec import TableSpec
from medstress.tables.layout import NOTHING, columns_of, estimate_text, typed

TITLE = "Published numbers beside those of this study"
CAPTION = (
    "Numbers that publications print or draw about a model or a data set of this study. Measured: from the pixels of a "
    "figure, to about .0003; about: read off with less care. Scores and drops are shares of 1. Here: the same models, "
    "data sets, types and levels, as means over types and levels, then over models and data sets, each weighing the "
    "same; groups are resampled. The last column says what differs, or why there is no number. Tuned again: the tuned "
    "weights are not published. Other split: neither is which images were learnt from. Strengths found for each image: "
    "there, they were found on one image of a data set. Mean of all six strategies: which are in the published mean is "
    "not said. Not whole: some or all levels of these types are lacking here. So a difference between the two columns "
    "does not say that a number cannot be reproduced."
)
NOTHING_BELONGS = "no published number is of a model or data set of this study"


def build(spec: TableSpec, frame: pd.DataFrame) -> pd.DataFrame:
    """One row a published number that belongs to the study; where none does, one row that says so."""
    known = [one for one in published_numbers() if belongs(spec, one)]
    cells = cells_of(spec, frame)
    rows = [
        _row(
            own_number(spec, cells, one),
            publication=one.publication,
            quantity=one.quantity,
            metric=one.metric or None,
            model=one.model or None,
            strategy=one.strategy or None,
            dataset=one.dataset or None,
            perturbation=one.perturbation or None,
            level=one.level,
            published=one.value,
            unit=one.unit,
            precision=one.precision,
            published_where=one.source,
        )
        for one in known
    ]
    return typed(rows or [_no_row()])


def _row(own: Own, **columns: Any) -> dict[str, Any]:
    return {
        **columns,
        **columns_of("own", own.estimate),
        "runs": " ".join(own.runs) or None,
        "datasets": " ".join(own.datasets) or None,
        "n_groups": own.estimate.n_groups or None,
        "differs": own.differs,
    }


_COLUMNS = (
    "publication",
    "quantity",
    "metric",
    "model",
    "strategy",
    "dataset",
    "perturbation",
    "level",
    "published",
    "unit",
    "precision",
    "published_where",
    "own",
    "own_low",
    "own_high",
    "runs",
    "datasets",
    "n_groups",
)


def _no_row() -> dict[str, Any]:
    return {**dict.fromkeys(_COLUMNS), "differs": NOTHING_BELONGS}


_DIGITS = 4


def display(spec: TableSpec, table: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it."""
    datasets = dataset_titles(spec)
    return pd.DataFrame([_shown(row, datasets) for row in table.to_dict("records")])


def _shown(row: dict[Any, Any], datasets: dict[str, str]) -> dict[str, str]:
    named = [str(row[name]) for name in ("quantity", "metric") if not pd.isna(row[name])]
    return {
        "Publication": _text(row["publication"]),
        "Number": ", ".join(named) or NOTHING,
        "Model": _text(row["model"]),
        "Strategy": _text(row["strategy"]),
        "Data set": NOTHING if pd.isna(row["dataset"]) else datasets.get(row["dataset"], row["dataset"]),
        "Type": _text(row["perturbation"]),
        "Level": _text(row["level"]),
        "Published": _published(row),
        "Where": _text(row["published_where"]),
        "Here": estimate_text(row, "own", _DIGITS),
        "Differs in": row["differs"],
    }


def _text(value: Any) -> str:
    return NOTHING if pd.isna(value) else str(value)


def _published(row: dict[Any, Any]) -> str:
    if pd.isna(row["published"]):
        return NOTHING
    # As many digits as the source has.
    value = f"{row['published']:.6g}"
    return f"{value} ({row['precision']})"


def remarks(spec: TableSpec, table: pd.DataFrame) -> list[str]:
    """Whether anything matches, and that stand-ins do not."""
    said = []
    if table["own"].isna().all():
        said.append("Nothing here is of the same models and data as a published number.")
    runs, datasets = (sum(name in spec.stand_ins for name in names) for names in (spec.runs, spec.datasets))
    if runs or datasets:
        counted = f"{plural(runs, 'run')} and {plural(datasets, 'data set')}"
        said.append(f"Stand-ins are never beside published numbers: {counted} of this study.")
    return said


def notes(_spec: TableSpec, _frame: pd.DataFrame) -> list[str]:
    """Nothing: a number that is lacking says why in its row."""
    return []
