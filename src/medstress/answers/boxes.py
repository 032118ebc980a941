"""Boxes in a model's text.

Models write boxes in coordinates of their own, and a card says in which: nothing in the text tells 0-1000 from pixels.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from medstress.answers.refusals import is_refusal
from medstress.cards.generation import BoxNumbers
from medstress.datasets.box_numbers import in_pixels
from medstress.pixels import Box

# A model that rounds steps a little over the edge; one that uses another scale steps far.
_SLACK = 0.05

# Digits in names like x1 and box_2d are no coordinates.
_NUMBER = r"(?<![\w.])[-+\N{MINUS SIGN}]?(?:\d++(?:\.\d*+)?|\.\d++)(?:e[-+]?\d++)?(?=px\b|\W|$)"
_UNIT = r"(?:px|\s*%)?"
_BETWEEN = rf"{_UNIT}(?:\s*[,;]\s*|\s+|\s*[)\]]\s*,?\s*[(\[]\s*)"
_RUN = re.compile(_BETWEEN.join([f"({_NUMBER})"] * 4) + _UNIT, re.IGNORECASE)
_PAIR = re.compile(rf"({_NUMBER}){_UNIT}\s*,\s*({_NUMBER}){_UNIT}", re.IGNORECASE)
_ONE = re.compile(_NUMBER, re.IGNORECASE)
_NAMED = re.compile(
    # In "200 x 100" the x is no name.
    r"(?<![^\W_])(?:([xy])(?:_?(?:min|max|left|right|top|bottom|\d)[\"']?\s*[:=]?|[\"']?\s*[:=])"
    rf"|(left|right|top|bottom)[\"']?\s*[:=]?|(width|height|w|h)[\"']?\s*[:=])\s*({_NUMBER})",
    re.IGNORECASE,
)
_SHORT = {"left": "x", "right": "x", "top": "y", "bottom": "y", "width": "w", "height": "h"}


@dataclass(frozen=True)
class FoundBox:
    """What a text says about a place. `box` is in pixels, half-open, inside the image; None where the status is not ok.

    `fits` is False where the numbers are not of the declared scale: far outside the image, or none above 1 where the
    scale is another than 0-1. Of one answer this is the model's mistake, of most answers to clean images the card's.
    """

    status: Literal["ok", "empty", "refused", "unparsable"]
    box: Box | None = None
    fits: bool = True


class _Written(NamedTuple):
    """Two numbers across and two down, as they are written, and whether they are percentages."""

    across: Sequence[float]
    down: Sequence[float]
    percent: bool = False


def parse_box(text: str, numbers: BoxNumbers, height: int, width: int) -> FoundBox:
    """The box in an answer about an image of `height` x `width` pixels, in whose text `numbers` mean what they say.

    It is made of the first four numbers that follow one another with nothing but separators between. Where there is no
    such run, it is made of four that are named, as in "xmin: 10, xmax: 30, ymin: 20, ymax: 40" or "x: 10, y: 20,
    width: 20, height: 20", else of two pairs, as in "from (10, 20) to (30, 40)", else of the text's numbers if they are
    four; more would be a guess. Numbers with a % are of the scale 0-100. Corners in the wrong order are put right, and
    what is outside the image is cut off; a box of which nothing remains is empty.
    """
    if not text.strip():
        return FoundBox("empty")
    written = _written(text, y_first=numbers.y_first)
    if written is None:
        return FoundBox("refused" if is_refusal(text) else "unparsable")
    across, down, percent = written
    scale = "0-100" if percent else numbers.scale
    corners = (min(across), min(down), max(across), max(down))
    x0, y0, x1, y1 = in_pixels(corners, scale, (height, width))
    near = min(x0 / width, y0 / height) >= -_SLACK and max(x1 / width, y1 / height) <= 1 + _SLACK
    fits = near and (scale == "0-1" or max(*across, *down) > 1)
    return FoundBox("ok", (_within(x0, width), _within(y0, height), _within(x1, width), _within(y1, height)), fits)


def _written(text: str, *, y_first: bool) -> _Written | None:
    if run := _RUN.search(text):
        return _of_four(list(run.groups()), y_first=y_first, percent=run[0].count("%") == 4)
    if named := _named(text):
        return named
    pairs = [pair.groups() for pair in _PAIR.finditer(text)]
    found = [number for pair in pairs[:2] for number in pair] if len(pairs) > 1 else _ONE.findall(text)
    percent = text.count("%") == 4
    return _of_four(found, y_first=y_first, percent=percent) if len(found) == 4 else None


def _of_four(written: Sequence[str], *, y_first: bool, percent: bool) -> _Written:
    first, second = _values(written[::2]), _values(written[1::2])
    return _Written(second, first, percent) if y_first else _Written(first, second, percent)


def _named(text: str) -> _Written | None:
    """Coordinates by their names: the first two of x and of y, or one of each with the sides."""
    found: dict[str, list[float]] = {}
    for axis, edge, side, number in _NAMED.findall(text):
        name = (axis or edge or side).lower()
        found.setdefault(_SHORT.get(name, name), []).extend(_values([number]))
    across, down = found.get("x", []), found.get("y", [])
    if len(across) == len(down) == 1 and {"w", "h"} <= set(found):
        across, down = [across[0], across[0] + found["w"][0]], [down[0], down[0] + found["h"][0]]
    return _Written(across[:2], down[:2]) if len(across) > 1 and len(down) > 1 else None


def _values(written: Sequence[str]) -> list[float]:
    return [float(number.replace("\N{MINUS SIGN}", "-")) for number in written]


def _within(value: float, side: int) -> float:
    return min(max(value, 0.0), float(side))
