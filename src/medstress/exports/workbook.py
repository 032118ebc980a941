"""All tables of a study as one Excel workbook."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import xlsxwriter

from medstress.exports.made_tables import MadeTable
from medstress.records import atomic_path

_CREATED = datetime(2000, 1, 1, tzinfo=UTC).replace(tzinfo=None)
_LONGEST_NAME = 31
_WIDEST = 40
_SMALL = 0.001


def write_workbook(tables: Sequence[MadeTable], out: Path) -> None:
    """Write one sheet a table, with all its numbers unrounded, behind a sheet that lists them.

    Texts stay texts, also those that begin as formulas do. The same tables give the same bytes.
    """
    names = _sheet_names([table.name for table in tables])
    with atomic_path(out) as staged:
        workbook = xlsxwriter.Workbook(str(staged), {"in_memory": True})
        workbook.set_properties({"title": "Tables of medstress", "created": _CREATED})
        formats = _Formats.of(workbook)
        bold, wrapped = formats.heading, formats.text
        contents = workbook.add_worksheet("Contents")
        contents.freeze_panes(1, 0)
        contents.set_column(0, 0, 32)
        contents.set_column(1, 2, 80)
        for column, heading in enumerate(("Sheet", "Table", "What it says")):
            contents.write_string(0, column, heading, bold)
        for row, (table, name) in enumerate(zip(tables, names, strict=True), start=1):
            contents.write_url(row, 0, f"internal:'{name}'!A1", string=name)
            contents.write_string(row, 1, table.title, wrapped)
            contents.write_string(row, 2, table.caption, wrapped)
            _write_sheet(workbook.add_worksheet(name), table.numbers, formats)
        workbook.close()


def _sheet_names(names: Sequence[str]) -> list[str]:
    """Names that Excel takes: 31 characters, no two alike."""
    taken: list[str] = []
    for name in names:
        short, number = name[:_LONGEST_NAME], 2
        while short.lower() in ("contents", *(one.lower() for one in taken)):
            end = f"_{number}"
            short, number = name[: _LONGEST_NAME - len(end)] + end, number + 1
        taken.append(short)
    return taken


def _write_sheet(sheet: Any, numbers: pd.DataFrame, formats: "_Formats") -> None:
    sheet.freeze_panes(1, _keys(numbers))
    for column, heading in enumerate(numbers.columns):
        sheet.write_string(0, column, heading, formats.heading)
        values = numbers[heading].tolist()
        number = formats.of_numbers(values)
        widest = max([len(heading) + 2, *(len(value) if isinstance(value, str) else 9 for value in values)])
        sheet.set_column(column, column, min(_WIDEST, widest + 2))
        for row, value in enumerate(values, start=1):
            if isinstance(value, str):
                sheet.write_string(row, column, value, formats.text)
            elif not pd.isna(value) and math.isfinite(value):
                sheet.write_number(row, column, value, number)
    sheet.autofilter(0, 0, len(numbers), max(0, numbers.shape[1] - 1))


def _keys(numbers: pd.DataFrame) -> int:
    """The columns of data set and run, which stay in sight where they come first."""
    return next((place for place, name in enumerate(numbers.columns) if name not in ("dataset", "run")), 0)


@dataclass(frozen=True)
class _Formats:
    heading: Any
    text: Any
    whole: Any
    fraction: Any
    small: Any

    @classmethod
    def of(cls, workbook: Any) -> "_Formats":
        top = {"valign": "top"}
        return cls(
            heading=workbook.add_format({"bold": True, "bottom": 1}),
            text=workbook.add_format({"text_wrap": True} | top),
            whole=workbook.add_format({"num_format": "0"} | top),
            fraction=workbook.add_format({"num_format": "0.0000"} | top),
            small=workbook.add_format({"num_format": "0.00E+00"} | top),
        )

    def of_numbers(self, values: Sequence[Any]) -> Any:
        """How a column is shown; the cells hold all digits."""
        found = [abs(value) for value in values if not isinstance(value, str) and not pd.isna(value)]
        if all(float(value).is_integer() for value in found):
            return self.whole
        return self.small if max(found) < _SMALL else self.fraction
