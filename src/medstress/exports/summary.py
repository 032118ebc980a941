"""A study's results as plain text for a terminal."""

import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from medstress.errors import MedstressError
from medstress.exports.made_tables import MadeTable, read_made_tables
from medstress.exports.run_count import counted_runs
from medstress.records import CLEAN, ScoreRow, read_tables
from medstress.runs import family_of

_GAP = "  "


def summary_lines(results: Path, width: int) -> Iterator[str]:
    """What was scored, and the main tables with as many columns as fit into `width` characters.

    Raises MedstressError where there are no scores, or tables cannot be read.
    """
    paths = sorted((results / "scores").glob("*/*.parquet"))
    if not paths:
        raise MedstressError(f"{results / 'scores'}: no scores. Run the study first.")
    names = {"datasets": {one.stem for one in paths}, "runs": {one.parent.name for one in paths}}
    perturbations: set[str] = set()
    statuses: dict[str, int] = {}
    rows = 0
    for path in paths:
        table: pa.Table = read_tables([path], ScoreRow, ["perturbation", "status"])
        perturbations.update(table["perturbation"].unique().to_pylist())
        for one in table["status"].value_counts().to_pylist():
            statuses[one["values"]] = statuses.get(one["values"], 0) + one["counts"]
        rows += table.num_rows
    yield f"Study {results.resolve().name}"
    yield f"{_counted(len(names['datasets']), 'data set')}: {', '.join(sorted(names['datasets']))}"
    yield f"{counted_runs(names['runs'])}: {', '.join(sorted({family_of(run) for run in names['runs']}))}"
    changed = len(perturbations - {CLEAN})
    yield _counted(changed, "perturbation, attack or prompt", "perturbations, attacks and prompts")
    yield f"{_counted(rows, 'score')}: {', '.join(f'{statuses[name]} {name}' for name in sorted(statuses))}"
    tables = read_made_tables(results)
    for one in tables:
        if one.name.endswith("_main"):
            yield ""
            yield from _table_lines(one, width)
    others = [one.name for one in tables if not one.name.endswith("_main")]
    if others:
        yield ""
        yield f"Other tables in {results / 'tables'}: {', '.join(others)}"


def _counted(count: int, one: str, several: str = "") -> str:
    return f"{count} {one if count == 1 else several or one + 's'}"


def _table_lines(table: MadeTable, width: int) -> Iterator[str]:
    lines = [line for line in table.text.splitlines() if line.startswith("|")]
    cells = [
        [text.strip().replace(r"\|", "|").strip("*") for text in re.split(r"(?<!\\)\|", one)[1:-1]] for one in lines
    ]
    rows = [cells[0], *cells[2:]]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    shown = 0
    while shown < len(widths) and sum(widths[: shown + 1]) + len(_GAP) * shown <= width:
        shown += 1
    shown = max(1, shown)
    yield table.title
    for row in rows:
        yield _GAP.join(text.ljust(size) for text, size in zip(row[:shown], widths[:shown], strict=True)).rstrip()
    if left := rows[0][shown:]:
        yield f"({_counted(len(left), 'more column')} in tables/{table.name}.md)"
