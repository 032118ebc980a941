"""The largest drops: the clean and the perturbed image with the truth and both answers."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from medstress.cards.classification import Classes
from medstress.figures.blocks import Block, blocks_of, nothing_to_draw, shown_kind
from medstress.figures.failures import Shown, Side, largest_drops, mask_of, shown_at
from medstress.figures.labels import title_of
from medstress.figures.panels import stacked
from medstress.figures.pictures import bare, halo, outline, window_of
from medstress.figures.style import PAGE_HEIGHT, PAGE_WIDTH, colours_of
from medstress.pixels import Box
from medstress.score.metrics import METRICS
from medstress.score.titles import dataset_titles, run_titles
from medstress.table_spec import TableSpec

_MOST = 9
_ACROSS = 3
_LETTERS = 22
_TITLE_LETTERS = 46
_LINE = 0.1
_EDGE = 0.34
_LEGEND = 0.2
_MOST_LINES = 4
_ANSWER = colours_of(["", "answer"])["answer"]


def draw(spec: TableSpec, sources: Mapping[str, Sequence[Path]]) -> Figure:
    """Up to nine pairs, of each task in turn, as many as a page holds; see :func:`failures.largest_drops`.

    Segmenters are shown by outlines in a window around the object, boxes by frames, all others by their words. Raises
    MedstressError where nothing has dropped.
    """
    blocks = blocks_of(spec, sources["scores"])
    found = [(block, failures) for block in blocks if (failures := largest_drops(block, _MOST))]
    if not found:
        raise nothing_to_draw("failure_gallery", "no score drops anywhere.")
    taken = _in_turn([len(failures) for _, failures in found])
    pairs = [(block, one) for (block, own), count in zip(found, taken, strict=True) for one in own[:count]]
    shown = [(block, shown_at(one, sources)) for block, one in pairs]
    width = PAGE_WIDTH / (2 * _ACROSS) - 0.06
    rows = [shown[start : start + _ACROSS] for start in range(0, len(shown), _ACROSS)]
    heights = [max(width * _aspect(*one) + _LINE * _lines(*one) for one in row) + _EDGE for row in rows]
    while len(rows) > 1 and sum(heights) + _LEGEND > PAGE_HEIGHT:
        del rows[-1], heights[-1]
    figure = Figure(figsize=(PAGE_WIDTH, min(sum(heights) + _LEGEND, PAGE_HEIGHT)), layout="constrained")
    parts = stacked(figure, heights)
    for part, row in zip(parts, rows, strict=True):
        places = part.subfigures(1, _ACROSS, squeeze=False).ravel()
        for place, (block, one) in zip(places, row, strict=False):
            place.suptitle(_title(block, one), fontsize=6.5)
            sides = {"clean": one.clean, "perturbed": one.perturbed}
            for axes, (name, side) in zip(place.subplots(1, 2), sides.items(), strict=True):
                _picture(axes, block, one, side, name)
    handles = [
        Line2D([], [], color="white", linewidth=1.4, label="truth", path_effects=halo()),
        Line2D([], [], color=_ANSWER, linewidth=1.4, label="answer"),
    ]
    if any(block.task in ("segmentation", "grounding") for block, _ in found):
        figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def _in_turn(counts: Sequence[int]) -> list[int]:
    """How many of each task's failures are shown, nine together: one each, then another of each."""
    taken = [0] * len(counts)
    while sum(taken) < min(_MOST, sum(counts)):
        left = [place for place, count in enumerate(counts) if taken[place] < count]
        taken[min(left, key=lambda place: (taken[place], place))] += 1
    return taken


def _title(block: Block, shown: Shown) -> str:
    """Who failed where, and by how much."""
    one, spec = shown.failure, block.spec
    digits = METRICS[one.metric].digits - 1
    asked = [_clipped(shown.sample.question, _TITLE_LETTERS, 2)] if shown.sample.question else []
    lines = [
        run_titles(spec)[one.run],
        f"{dataset_titles(spec)[one.dataset]}, {shown_kind(spec, one.perturbation)} level {one.level}",
        f"{title_of(one.metric)} {one.clean:.{digits}f} → {one.perturbed:.{digits}f}",
    ]
    return "\n".join([*(_clipped(line, _TITLE_LETTERS, 1) for line in lines), *asked])


def _lines(block: Block, shown: Shown) -> int:
    """Lines of text around a pair."""
    under = max(len(_words(block, shown, side).splitlines()) for side in (shown.clean, shown.perturbed))
    return len(_title(block, shown).splitlines()) + under


def _window(block: Block, shown: Shown) -> tuple[slice, slice]:
    """Rows and columns that are shown: around the object of a segmenter, else the whole image."""
    if block.task == "segmentation" and shown.clean.truth is not None:
        return window_of(shown.clean.truth)
    height, width = shown.clean.image.shape[:2]
    return slice(0, height), slice(0, width)


def _aspect(block: Block, shown: Shown) -> float:
    """Height over width of what is shown."""
    rows, columns = _window(block, shown)
    return float((rows.stop - rows.start) / (columns.stop - columns.start))


def _picture(axes: Axes, block: Block, shown: Shown, side: Side, name: str) -> None:
    bare(axes)
    axes.set_anchor("N")
    window = _window(block, shown)
    axes.imshow(side.image[window], cmap="gray", vmin=0, vmax=255)
    if block.task == "segmentation" and side.truth is not None:
        outline(axes, side.truth[window], "white", 0.9, haloed=True)
        answer = mask_of(side)
        if answer is not None:
            outline(axes, answer[window], _ANSWER, 0.9)
    if block.task == "grounding" and side.box is not None:
        _frame(axes, side.box, "white", haloed=True)
        if side.answer["box"] is not None:
            x0, y0, x1, y1 = side.answer["box"]
            _frame(axes, (x0, y0, x1, y1), _ANSWER)
    words = _words(block, shown, side)
    axes.set_xlabel(f"{name}\n{words}" if words else name, fontsize=6, labelpad=1.5)


def _frame(axes: Axes, box: Box, colour: str, *, haloed: bool = False) -> None:
    x0, y0, x1, y1 = box
    # Pixels are drawn around their centres.
    frame = Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, edgecolor=colour, linewidth=0.9)
    if haloed:
        frame.set_path_effects(halo())
    axes.add_patch(frame)


def _words(block: Block, shown: Shown, side: Side) -> str:
    """The answer in words, below the clean image the truth as well; nothing where it is drawn."""
    if block.task in ("segmentation", "grounding"):
        return "" if side.answer["status"] == "ok" else str(side.answer["status"])
    if block.task == "classification":
        classes = block.spec.classes.get(shown.failure.dataset)
        truth, answer = _named(classes, shown.sample.labels), _named(classes, _labels(classes, side.answer["logits"]))
    else:
        truth, answer = shown.sample.answer or shown.sample.caption, side.answer["text"] or side.answer["status"]
    said = _clipped(f"answer: {answer}", _LETTERS, _MOST_LINES)
    if side is not shown.clean:
        return said
    return f"{said}\n{_clipped(f'truth: {truth}', _LETTERS, _MOST_LINES)}"


def _labels(classes: Classes | None, logits: Sequence[float]) -> list[int]:
    """The class with the largest logit; of several labels, all that reach their thresholds."""
    if classes is None or classes.kind != "multi_label":
        return [int(np.argmax(logits))]
    thresholds = classes.thresholds or [0.5] * len(logits)
    return [
        number
        for number, (logit, threshold) in enumerate(zip(logits, thresholds, strict=True))
        if logit >= math.log(threshold / (1 - threshold))
    ]


def _named(classes: Classes | None, labels: Sequence[int]) -> str:
    names = [classes.names[label] if classes else f"class {label}" for label in labels]
    return ", ".join(names) or "none"


def _clipped(text: str, letters: int, lines: int) -> str:
    """Text in lines of so many letters, cut off after the last line. No mark-up: dollars would start a formula."""
    wrapped = textwrap.wrap(" ".join(text.split()).replace("$", r"\$"), letters, max_lines=lines, placeholder=" …")
    return "\n".join(wrapped)
