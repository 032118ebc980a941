"""Boxes that are written as four numbers, in the scale that a card declares."""

import re
from collections.abc import Iterable

from medstress.cards.generation import BoxNumbers
from medstress.pixels import Box

_NUMBER = re.compile(r"[-+]?\d*\.?\d+(?:[eE][-+]?\d+)?")
_LARGEST = {"0-1": 1.0, "0-100": 100.0, "0-1000": 1000.0}


def box_in_scale(text: str, boxes: BoxNumbers, problems: list[str]) -> Box | None:
    """The box x0, y0, x1, y1 in its scale; None where it is none, and then `problems` grows by what is wrong."""
    numbers = [float(part) for part in _NUMBER.findall(text)]
    if len(numbers) != 4 or _NUMBER.sub("", text).strip(" \t\n,;()[]{}"):
        order = "y0 x0 y1 x1" if boxes.y_first else "x0 y0 x1 y1"
        problems.append(f"box is {text!r}; expected four numbers {order}")
        return None
    if boxes.y_first:
        numbers = [numbers[1], numbers[0], numbers[3], numbers[2]]
    x0, y0, x1, y1 = numbers
    largest = _LARGEST.get(boxes.scale)
    if min(numbers) < 0 or (largest is not None and max(numbers) > largest):
        inside = f"0 to {largest:g}" if largest is not None else "0 and up"
        problems.append(f"box is {text!r}, outside {inside}, the card's `source.boxes.scale: {boxes.scale}`")
        return None
    if not (x0 < x1 and y0 < y1):
        problems.append(
            f"box is {text!r}, which is empty; expected x0 < x1 and y0 < y1 (`source.boxes.y_first: "
            f"{str(boxes.y_first).lower()}`)"
        )
        return None
    return x0, y0, x1, y1


def scale_problems(found: Iterable[Box], boxes: BoxNumbers) -> list[str]:
    """What is wrong where no box reaches beyond 1: such numbers are shares, and would be boxes within one pixel."""
    largest = max((max(box) for box in found), default=2.0)
    if boxes.scale == "0-1" or largest > 1:
        return []
    return [
        f"no number of any box is above 1, but `source.boxes.scale` is {boxes.scale}. If they are shares of width and "
        "height, set `scale: 0-1`."
    ]


def in_pixels(box: Box, scale: str, shape: tuple[int, int]) -> Box:
    """A box in a scale as pixels of the stored image of `shape` (height, width)."""
    if scale not in _LARGEST:
        return box
    down, across = shape[0] / _LARGEST[scale], shape[1] / _LARGEST[scale]
    return box[0] * across, box[1] * down, box[2] * across, box[3] * down
