"""Titles and counts for people. Titles are told apart: two cards may bear the same one."""

from collections.abc import Mapping
from typing import Any

from medstress.table_spec import TableSpec


def run_titles(spec: TableSpec) -> dict[str, str]:
    """Title of each run, in the study's order; equal ones are followed by the run's name."""
    return _told_apart(spec.runs)


def dataset_titles(spec: TableSpec) -> dict[str, str]:
    """Title of each data set, in the study's order; equal ones are followed by the data set's name."""
    return _told_apart(spec.datasets)


def _told_apart(titles: Mapping[str, str]) -> dict[str, str]:
    given = list(titles.values())
    return {name: title if given.count(title) == 1 else f"{title} ({name})" for name, title in titles.items()}


def plural(count: Any, unit: str) -> str:
    """`1 patient`, `3 patients`."""
    return f"{count} {unit}{'' if count == 1 else 's'}"
