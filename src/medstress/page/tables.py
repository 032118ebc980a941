"""Tables as the page shows them: all numbers of the Parquet file, with the words of the Markdown file around them."""

from collections.abc import Mapping, Sequence
from os.path import relpath
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from medstress.errors import MedstressError
from medstress.page.spec import PageSpec


def table_data(path: Path, beside: Path) -> dict[str, Any]:
    """One table: title, caption, notes, columns, which of them are numbers, rows, and its files from `beside`.

    `path` is the table's Parquet file, beside which lies its Markdown file. Raises MedstressError where one is damaged.
    """
    try:
        table = pq.read_table(path)
        text = path.with_suffix(".md").read_text(encoding="utf-8")
    except (OSError, pa.ArrowInvalid) as error:
        raise MedstressError(
            f"{path}: cannot be read ({str(error).splitlines()[0]}). Delete the table and run the same command again."
        ) from None
    lines = text.splitlines()
    numbers = [pa.types.is_integer(column.type) or pa.types.is_floating(column.type) for column in table.schema]
    return {
        "name": path.stem,
        "title": lines[0].removeprefix("# "),
        "caption": lines[2],
        "notes": [line[2:] for line in lines if line.startswith("* ")],
        "columns": table.column_names,
        "numbers": numbers,
        "files": {
            kind: Path(relpath(path.with_suffix(f".{kind}"), beside)).as_posix() for kind in ("csv", "md", "tex")
        },
        "rows": [list(row.values()) for row in table.to_pylist()],
    }


def tables_data(spec: PageSpec, paths: Sequence[Path], beside: Path) -> list[dict[str, Any]]:
    """All tables, in the study's order; see :func:`table_data`."""
    found: Mapping[str, Path] = {path.stem: path for path in paths}
    if missing := [name for name in spec.shown if name not in found]:
        raise MedstressError(f"page: tables {', '.join(missing)} are not there. Make them first.")
    return [table_data(found[name], beside) for name in spec.shown]
