"""The rows of a CSV or Parquet sheet as text."""

import csv
import math
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from medstress.datasets.formats import stem_of
from medstress.errors import MedstressError


@dataclass(frozen=True)
class SheetRow:
    """A row: how messages name it, its cells by column ("" where empty), and how many cells are too many."""

    where: str
    cells: Mapping[str, str]
    surplus: int = 0


def read_sheet(sheet: Path) -> tuple[list[str], list[SheetRow]]:
    """The columns and rows of a sheet; empty lines do not count. Raises MedstressError where it cannot be read."""
    try:
        return _read_parquet(sheet) if sheet.suffix.lower() == ".parquet" else _read_csv(sheet)
    except (UnicodeDecodeError, csv.Error, pa.ArrowInvalid) as error:
        reason = str(error).partition("\n")[0]
        raise MedstressError(f"{sheet}: cannot be read ({reason}). Save it as CSV in UTF-8, or as Parquet.") from None


def _read_csv(sheet: Path) -> tuple[list[str], list[SheetRow]]:
    with sheet.open(newline="", encoding="utf-8-sig") as handle:
        reader = csv.reader(handle)
        columns = [name.strip() for name in next(reader, [])]
        rows = []
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            padded = [cell.strip() for cell in cells] + [""] * (len(columns) - len(cells))
            surplus = max(0, len(cells) - len(columns))
            rows.append(SheetRow(f"{sheet}, line {reader.line_num}", dict(zip(columns, padded, strict=False)), surplus))
    return columns, rows


def _read_parquet(sheet: Path) -> tuple[list[str], list[SheetRow]]:
    table = pq.read_table(sheet)
    rows = [
        SheetRow(f"{sheet}, row {number}", {name: _text(value) for name, value in cells.items()})
        for number, cells in enumerate(table.to_pylist(), start=1)
    ]
    return list(table.column_names), rows


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # a column of whole numbers with gaps becomes float in pandas
    return " ".join(map(str, value)) if isinstance(value, list) else str(value).strip()


def id_of(written: str) -> str:
    """The id of an image: its path as a sheet writes it, without the extension and without leading `..`."""
    path = posixpath.normpath(written.replace("\\", "/"))
    while path.startswith(("../", "/")):
        path = path.removeprefix("../").removeprefix("/")
    parent, _, name = path.rpartition("/")
    return posixpath.join(parent, stem_of(Path(name)))
