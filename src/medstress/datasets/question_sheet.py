"""A CSV, Parquet or JSONL sheet with one row a question."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from medstress.cards.generation import GenerationCard, QuestionSheet
from medstress.datasets.candidate import Reject, no_such
from medstress.datasets.entries import Entries, Entry, Item, attributes_of, text_of
from medstress.datasets.question_form import plain
from medstress.datasets.sheet_rows import id_of, read_sheet
from medstress.errors import MedstressError

_NEEDED = {
    "vqa": (("question",), ("answer",)),
    "captioning": (("caption",),),
    "grounding": (("question",), ("box", "mask")),
}


def find_in_question_sheet(source: QuestionSheet, card: GenerationCard, root: Path) -> Entries:
    """Every row as an entry; for the columns see :class:`QuestionSheet`.

    Raises MedstressError where the sheet or a column is missing. A row that cannot be used is a reject.
    """
    sheet = root / source.sheet
    if not sheet.is_file():
        raise MedstressError(no_such("sheet", sheet, "source.sheet", root))
    columns, rows, rejects = _rows(sheet)
    asked = {"split": card.split.by == "column", "modality": card.modality == "mixed"}
    plain = ["image", *(name for name, needed in asked.items() if needed), *source.attributes]
    missing = [name for name in plain if name not in columns]
    missing += [" or ".join(names) for names in _NEEDED[card.task] if not set(names) & set(columns)]
    problems = []
    if missing:
        why = " `modality: mixed` in the card takes the modality from the sheet." if "modality" in missing else ""
        problems.append(f"{sheet}: no column {', '.join(missing)}. The sheet has: {', '.join(columns) or 'none'}.{why}")
    if not rows:
        problems.append(f"{sheet}: no questions found. Add one row for each.")
    if problems:
        raise MedstressError("\n".join(problems))
    entries = []
    for where, cells in rows:
        empty = [name for name in ("image", "group", "question_id") if name in columns and not text_of(cells.get(name))]
        entry = _entry(sheet.parent, where, cells, source)
        if empty:
            rejects.append(Reject(where, f"the cell {' and '.join(empty)} is empty."))
        elif _never_right(entry):
            rejects.append(
                Reject(
                    where,
                    f"is closed and has no options, but its answer {entry.answer!r} is neither yes nor no. Name the "
                    "options, or write open.",
                )
            )
        else:
            entries.append(entry)
    return Entries(tuple(entries), tuple(rejects), grouped="group" in columns)


def _entry(folder: Path, where: str, cells: Mapping[str, Any], source: QuestionSheet) -> Entry:
    def cell(name: str) -> str:
        return text_of(cells.get(name))

    return Entry(
        where=where,
        image=folder / cell("image"),
        image_id=id_of(cell("image")),
        sample_id=cell("question_id"),
        question=cell("question"),
        options=_options(cells.get("options")),
        answer=cell("answer"),
        answer_type=cell("answer_type"),
        caption=cell("caption"),
        box=cell("box"),
        mask=folder / cell("mask") if cell("mask") else None,
        mask_value=cell("mask_value"),
        label=cell("label"),
        group=cell("group"),
        split=cell("split"),
        modality=cell("modality"),
        attributes=attributes_of(cells, source.attributes),
    )


def _never_right(entry: Entry) -> bool:
    closed = entry.answer_type.strip().casefold() == "closed" and not entry.options
    return closed and bool(entry.answer.strip()) and plain(entry.answer) not in ("yes", "no")


def _options(value: Any) -> tuple[str, ...]:
    parts = value if isinstance(value, list) else text_of(value).split(";")
    return tuple(text for part in parts if (text := text_of(part)))


def _rows(sheet: Path) -> tuple[list[str], list[Item], list[Reject]]:
    """Columns, rows, and rows with more cells than there are columns. Lists stay lists where the format has them."""
    if sheet.suffix.lower() == ".jsonl":
        rows = _json_lines(sheet)
        return list(dict.fromkeys(name for _, cells in rows for name in cells)), rows, []
    if sheet.suffix.lower() == ".parquet":
        try:
            table = pq.read_table(sheet)
        except pa.ArrowInvalid as error:
            raise MedstressError(f"{sheet}: cannot be read ({str(error).splitlines()[0]}). Copy it again.") from None
        numbered = enumerate(table.to_pylist(), start=1)
        return list(table.column_names), [(f"{sheet}, row {number}", cells) for number, cells in numbered], []
    columns, lines = read_sheet(sheet)
    surplus = [
        Reject(row.where, f"has {row.surplus} cells more than the header. Quote cells that hold commas.")
        for row in lines
        if row.surplus
    ]
    return columns, [(row.where, row.cells) for row in lines if not row.surplus], surplus


def _json_lines(sheet: Path) -> list[Item]:
    rows: list[Item] = []
    try:
        text = sheet.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise MedstressError(f"{sheet}: cannot be read ({error}). Save it in UTF-8.") from None
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            cells = json.loads(line)
        except json.JSONDecodeError as error:
            raise MedstressError(f"{sheet}, line {number}: not JSON ({error.msg}).") from None
        if not isinstance(cells, dict):
            raise MedstressError(f"{sheet}, line {number}: expected an object in braces, one a question.")
        rows.append((f"{sheet}, line {number}", cells))
    return rows
