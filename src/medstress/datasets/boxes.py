"""Boxes that come with the data: from a sheet, or from JSON files in the layout of published benchmarks.

That layout is {mask file name: [x1, y1, x2, y2]} in pixels of a square to which every image was stretched, counted from
0, and x2 and y2 are the last pixels of the box. Here a box is half-open: x1 and y1 are one past the last pixel.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from medstress.cards.segmentation import BoxFile
from medstress.datasets.candidate import BadSampleError, Candidate
from medstress.datasets.masks import MaskContent
from medstress.errors import MedstressError
from medstress.pixels import Box, box_of

_MOST_PROBLEMS = 10


def read_boxes(path: Path, side: int) -> dict[str, Box]:
    """Half-open boxes by mask file name, in pixels of a square of `side`. Raises MedstressError with what is wrong."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MedstressError(f"{path}: no such file. Check `source.boxes` in the card.") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise MedstressError(f"{path}: not JSON in UTF-8 ({error}). Copy it again.") from None
    if not isinstance(content, dict):
        raise MedstressError(f'{path}: expected {{"mask file name": [x1, y1, x2, y2], ...}}.')
    boxes = {str(name): _half_open(numbers, side) for name, numbers in content.items()}
    bad = [f"  {name}: {str(content[name])[:80]}" for name, box in boxes.items() if box is None]
    if bad:
        expected = f"expected [x1, y1, x2, y2] with 0 <= x1 <= x2 < {side}, and y alike; both ends belong to the box"
        more = [f"  and {len(bad) - _MOST_PROBLEMS} more"] if len(bad) > _MOST_PROBLEMS else []
        raise MedstressError("\n".join([f"{path}: {expected}.", *bad[:_MOST_PROBLEMS], *more]))
    return {name: box for name, box in boxes.items() if box is not None}


def _half_open(numbers: Any, side: int) -> Box | None:
    if not isinstance(numbers, list) or len(numbers) != 4:
        return None
    if not all(
        isinstance(item, int | float) and not isinstance(item, bool) and math.isfinite(item) for item in numbers
    ):
        return None
    x1, y1, x2, y2 = map(float, numbers)
    inside = 0 <= x1 <= x2 < side and 0 <= y1 <= y2 < side
    return (x1, y1, x2 + 1, y2 + 1) if inside else None


def inclusive(box: Box) -> list[int]:
    """A half-open box of whole pixels as the published layout has it."""
    x0, y0, x1, y1 = (round(value) for value in box)
    return [x0, y0, x1 - 1, y1 - 1]


def with_boxes(candidate: Candidate, boxes: Mapping[str, Box] | None, source: BoxFile) -> Candidate:
    """The candidate with the boxes of its mask files. Raises BadSampleError where one has none."""
    known = boxes or {}
    if absent := [path.name for path in candidate.masks if path.name not in known]:
        raise BadSampleError(candidate.where, f"{source.file} has no box for {', '.join(absent)}.")
    return replace(candidate, boxes=tuple(known[path.name] for path in candidate.masks), box_side=source.side)


def checked_boxes(
    candidate: Candidate, content: MaskContent, shape: tuple[int, int]
) -> tuple[dict[str, Box], tuple[str, ...]]:
    """The candidate's boxes by object, in pixels of the stored image of `shape` and cut to it, and what was cut.

    Raises BadSampleError for a box that is empty, meets neither image nor mask, or could mean several objects.
    """
    found: dict[str, Box] = {}
    notes: list[str] = []
    if not content.objects:
        return found, ()
    for file, given in enumerate(candidate.boxes):
        objects = [item for item in content.objects if item.file == file]
        box = _stored(given, candidate.box_side, shape)
        written = "box " + " ".join(f"{value:g}" for value in box)
        if len(objects) != 1:
            raise BadSampleError(candidate.where, f"{written} belongs to one object, but the mask has {len(objects)}.")
        inside = _inside(candidate.where, written, box, box_of(objects[0].mask), shape)
        if inside != box:
            notes.append(f"{candidate.where}: {written} reaches outside the image and was cut to it.")
        found[objects[0].object_id] = inside
    return found, tuple(notes)


def _stored(box: Box, side: int | None, shape: tuple[int, int]) -> Box:
    if side is None:
        return box
    down, across = shape[0] / side, shape[1] / side
    return box[0] * across, box[1] * down, box[2] * across, box[3] * down


def _inside(where: str, written: str, box: Box, tight: Box, shape: tuple[int, int]) -> Box:
    x0, y0, x1, y1 = box
    if not (x0 < x1 and y0 < y1):
        raise BadSampleError(where, f"{written} is empty; expected x0 y0 x1 y1 with x0 < x1 and y0 < y1.")
    height, width = shape
    inside = (max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height)))
    if not (inside[0] < inside[2] and inside[1] < inside[3]):
        raise BadSampleError(where, f"{written} lies outside the image of {width} x {height} pixels.")
    if not (inside[0] < tight[2] and tight[0] < inside[2] and inside[1] < tight[3] and tight[1] < inside[3]):
        found = " ".join(f"{value:g}" for value in tight)
        raise BadSampleError(where, f"{written} does not meet the mask, whose box is {found}.")
    return inside
