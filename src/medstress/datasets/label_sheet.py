"""A CSV or Parquet sheet with one row an image and what the image shows."""

from pathlib import Path
from typing import get_args

from medstress.cards.classification import Classes, ClassificationCard, LabelSheet
from medstress.datasets.candidate import BadSampleError, Candidate, Found, Reject, no_such
from medstress.datasets.sheet_rows import SheetRow, id_of, read_sheet
from medstress.datasets.volumes import found_of
from medstress.errors import MedstressError
from medstress.names import Modality
from medstress.problems import closest


def find_in_label_sheet(source: LabelSheet, card: ClassificationCard, root: Path) -> Found:
    """Every row as a candidate. Columns: image, label; group, split and modality where the card asks for them.

    Raises MedstressError where the sheet or a column is missing. A row that cannot be used is a reject.
    """
    sheet = root / source.sheet
    if not sheet.is_file():
        raise MedstressError(no_such("sheet", sheet, "source.sheet", root))
    columns, rows = read_sheet(sheet)
    asked = {"split": card.split.by == "column", "modality": card.modality == "mixed"}
    wanted = ["image", "label", *(name for name, needed in asked.items() if needed), *source.attributes]
    problems = []
    if missing := [name for name in wanted if name not in columns]:
        problems.append(f"{sheet}: no column {', '.join(missing)}. The sheet has: {', '.join(columns) or 'none'}.")
    if not rows:
        problems.append(f"{sheet}: no images found. Add one row for each image.")
    if problems:
        raise MedstressError("\n".join(problems))
    candidates: list[Candidate] = []
    rejects: list[Reject] = []
    for row in rows:
        try:
            candidates.append(_candidate(sheet.parent, row, source, card))
        except BadSampleError as error:
            rejects.append(error.reject)
    return found_of(candidates, rejects, grouped="group" in columns)


def _candidate(folder: Path, row: SheetRow, source: LabelSheet, card: ClassificationCard) -> Candidate:
    cells, mixed = row.cells, card.modality == "mixed"
    if row.surplus:
        raise BadSampleError(row.where, f"has {row.surplus} cells more than the header. Quote cells that hold commas.")
    needed = ["image", "group", *([] if card.classes.kind == "multi_label" else ["label"])]
    if empty := [name for name in needed if name in cells and not cells[name]]:
        raise BadSampleError(row.where, f"the cell {' and '.join(empty)} is empty.")
    labels = _labels(row, card.classes)
    modalities = get_args(Modality)
    if mixed and cells["modality"] not in modalities:
        raise BadSampleError(row.where, f"modality is {cells['modality']!r}; expected one of {', '.join(modalities)}.")
    image = folder / cells["image"]
    if not image.is_file():
        raise BadSampleError(row.where, f"no such file: {image}.")
    image_id = id_of(cells["image"])
    return Candidate(
        image_id=image_id,
        where=f"{image} ({row.where.rpartition(', ')[2]})",
        image=image,
        masks=(),
        group=cells.get("group") or image_id,
        split=cells.get("split"),
        attributes=tuple((name, cells[name]) for name in source.attributes if cells[name]),
        labels=labels,
        modality=cells["modality"] if mixed else "",
    )


def _labels(row: SheetRow, classes: Classes) -> tuple[int, ...]:
    text = row.cells["label"]
    parts = [part.strip() for part in text.split(";")] if classes.kind == "multi_label" else [text]
    return tuple(sorted({_number(row, part, classes.names) for part in parts if part}))


def _number(row: SheetRow, written: str, names: list[str]) -> int:
    """The number of a class that is written as its name or as its number; a name that looks like a number is a name."""
    if written in names:
        return names.index(written)
    if written.isascii() and written.isdecimal() and int(written) < len(names):
        return int(written)
    guess = closest(written, names)
    raise BadSampleError(
        row.where,
        f"label is {written!r}; expected one of {', '.join(names)}, or a number from 0 to {len(names) - 1}."
        + (f" Did you mean {guess}?" if guess else ""),
    )
