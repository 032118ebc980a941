"""One question, checked: what is asked, what may be answered, and what is right."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medstress.cards.generation import BoxNumbers
from medstress.datasets.box_numbers import box_in_scale
from medstress.datasets.candidate import BadSampleError
from medstress.datasets.entries import Entry
from medstress.datasets.question_form import chosen
from medstress.names import GenerationTask
from medstress.pixels import Box

_LETTER = re.compile(r"\(?([A-Za-z])[).:]?")


@dataclass(frozen=True)
class Question:
    """A question, caption or box that is asked for. `box` is x0, y0, x1, y1 in the scale that the card declares."""

    sample_id: str
    where: str
    question: str
    options: tuple[str, ...]
    answer: str
    answer_type: Literal["open", "closed", ""]
    caption: str
    box: Box | None
    mask: Path | None
    mask_value: str
    label: str
    attributes: tuple[tuple[str, str], ...]


def checked(entry: Entry, sample_id: str, task: GenerationTask, boxes: BoxNumbers) -> Question:
    """The question behind an entry. Raises BadSampleError with all that is wrong with it."""
    problems: list[str] = []
    answer, kind, box = entry.answer.strip(), "", None
    if task != "captioning" and not entry.question:
        problems.append("has no question")
    if task == "vqa":
        answer, kind = _answer(entry, problems)
    if task == "captioning" and not entry.caption:
        problems.append("has no caption")
    if task == "grounding":
        if not entry.box and entry.mask is None:
            problems.append("has neither a box nor a mask")
        if entry.mask is not None and not entry.mask.is_file():
            problems.append(f"no such file: {entry.mask}")
        if entry.box:
            box = box_in_scale(entry.box, boxes, problems)
    if problems:
        raise BadSampleError(entry.where, f"{'; '.join(problems)}.")
    return Question(
        sample_id=sample_id,
        where=entry.where,
        question=entry.question,
        options=entry.options,
        answer=answer,
        answer_type="closed" if kind == "closed" else "open" if kind == "open" else "",
        caption=entry.caption,
        box=box,
        mask=entry.mask,
        mask_value=entry.mask_value,
        label=entry.label or "object",
        attributes=entry.attributes,
    )


def _answer(entry: Entry, problems: list[str]) -> tuple[str, str]:
    """The answer, an option word for word where there are options, and whether it is open or closed."""
    answer, kind, options = entry.answer.strip(), entry.answer_type.strip().lower(), entry.options
    if kind not in ("", "open", "closed"):
        problems.append(f"answer_type is {entry.answer_type!r}; expected open or closed")
    if not answer:
        problems.append("has a question without an answer" if entry.question else "has no answer")
    if len({option.strip().casefold() for option in options}) < len(options):
        problems.append(f"offers an option twice: {', '.join(options)}")
    elif len(options) == 1:
        problems.append(f"offers one option alone: {options[0]}; write `;` between options")
    elif options and answer:
        answer = _option(answer, options, problems)
    closed = bool(options) or answer.casefold() in ("yes", "no")
    return answer, kind or ("closed" if closed else "open")


def _option(answer: str, options: tuple[str, ...], problems: list[str]) -> str:
    if option := chosen(answer, options):
        return option
    letter = _LETTER.fullmatch(answer)
    if letter is None:
        problems.append(f"the answer {answer!r} is none of the options: {', '.join(options)}")
        return answer
    place = ord(letter[1].upper()) - ord("A")
    if place >= len(options):
        last = chr(ord("A") + len(options) - 1)
        problems.append(f"the answer is the option {letter[1].upper()}, outside the options A to {last}")
        return answer
    return options[place]
