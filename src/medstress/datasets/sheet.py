"""A CSV or Parquet sheet with one row an image."""

import math
from pathlib import Path

from medstress.cards.images import SplitRule
from medstress.cards.segmentation import Labels, SheetSource
from medstress.datasets.candidate import BadSampleError, Candidate, Found, RawFile, Reject, no_such
from medstress.datasets.groups import ask_for_groups
from medstress.datasets.sheet_rows import SheetRow, id_of, read_sheet
from medstress.datasets.volumes import found_of
from medstress.errors import MedstressError
from medstress.pixels import Box


def find_in_sheet(source: SheetSource, labels: Labels, split: SplitRule, root: Path) -> Found:
    """Every row as a candidate. Columns: image, mask; optionally group, split, box, raw with slope, intercept and unit.

    Paths are relative to the sheet, or absolute. The id of an image is its path without the extension and without
    leading `..`. With per_object masks, `mask` holds several paths with `;` between them. A box is four numbers x0 y0
    x1 y1, half-open, in pixels of the stored image. Raises MedstressError where the sheet or a column is missing.
    """
    sheet = root / source.sheet
    if not sheet.is_file():
        raise MedstressError(no_such("sheet", sheet, "source.sheet", root))
    columns, rows = read_sheet(sheet)
    grouped = "group" in columns
    problems = []
    wanted = ["image", "mask", *(["split"] if split.by == "column" else []), *source.attributes]
    if missing := [name for name in wanted if name not in columns]:
        problems.append(f"{sheet}: no column {', '.join(missing)}. The sheet has: {', '.join(columns) or 'none'}.")
    if not rows:
        problems.append(f"{sheet}: no images found. Add one row for each image.")
    if problems:
        asked = [] if grouped else [f"{sheet}: {line}" for line in ask_for_groups(source, split)]
        raise MedstressError("\n".join([*problems, *asked]))
    candidates: list[Candidate] = []
    rejects: list[Reject] = []
    for row in rows:
        try:
            candidates.append(_candidate(sheet.parent, row, source, labels))
        except BadSampleError as error:
            rejects.append(error.reject)
    return found_of(candidates, rejects, grouped=grouped)


def _candidate(folder: Path, row: SheetRow, source: SheetSource, labels: Labels) -> Candidate:
    cells = row.cells
    if row.surplus:
        raise BadSampleError(row.where, f"has {row.surplus} cells more than the header. Quote cells that hold commas.")
    if empty := [name for name in ("image", "mask", "group") if name in cells and not cells[name]]:
        raise BadSampleError(row.where, f"the cell {' and '.join(empty)} is empty.")
    image = folder / cells["image"]
    masks = cells["mask"].split(";") if labels.kind == "per_object" else [cells["mask"]]
    paths = tuple(folder / name.strip() for name in masks if name.strip())
    box = _box(row)
    if box and len(paths) > 1:
        raise BadSampleError(row.where, f"the box belongs to one object, but the row has {len(paths)} masks.")
    if absent := [str(path) for path in (image, *paths) if not path.is_file()]:
        raise BadSampleError(row.where, f"no such file: {', '.join(absent)}.")
    image_id = id_of(cells["image"])
    return Candidate(
        image_id=image_id,
        where=f"{image} ({row.where.rpartition(', ')[2]})",
        image=image,
        masks=paths,
        group=cells.get("group") or image_id,
        split=cells.get("split"),
        boxes=(box,) if box else (),
        raw=_raw(folder, row),
        attributes=tuple((name, cells[name]) for name in source.attributes if cells[name]),
    )


def _box(row: SheetRow) -> Box | None:
    text = row.cells.get("box", "")
    if not text:
        return None
    numbers = _numbers(row, "box", text.translate(str.maketrans(",;[]()", "      ")))
    if len(numbers) != 4:
        raise BadSampleError(row.where, f"box is {text!r}; expected four numbers x0 y0 x1 y1.")
    return numbers[0], numbers[1], numbers[2], numbers[3]


def _raw(folder: Path, row: SheetRow) -> RawFile | None:
    if not row.cells.get("raw"):
        return None
    slope = _numbers(row, "slope", row.cells.get("slope") or "1")
    intercept = _numbers(row, "intercept", row.cells.get("intercept") or "0")
    return RawFile(folder / row.cells["raw"], slope[0], intercept[0], row.cells.get("unit") or None)


def _numbers(row: SheetRow, column: str, text: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split()]
    except ValueError:
        numbers = [math.nan]
    if not all(map(math.isfinite, numbers)):
        raise BadSampleError(row.where, f"{column} is {text.strip()!r}; expected numbers.")
    return numbers
