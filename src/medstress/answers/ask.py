"""What a generator is asked and what it answers, and the hash that an answer is found again by."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from medstress.journal import content_key

Finish = Literal["stop", "length", "refused", "blocked"]
"""stop: the model ended. length: out of tokens. refused: the model declined. blocked: a filter took it away."""


@dataclass(frozen=True)
class Ask:
    """One question in one cell. `image` is the PNG as stored, or None to ask without it; `prompt` the final text."""

    sample_id: str
    perturbation: str
    level: int
    image: bytes | None = field(repr=False)
    prompt: str
    task: str


@dataclass(frozen=True)
class Answer:
    """What came back, as it was written; the tokens as the model counts them, None where it does not say."""

    text: str
    tokens_in: int | None
    tokens_out: int | None
    finish: Finish


@dataclass(frozen=True)
class Failure:
    """No answer came, and why, for people. Never stored as an answer: the next run asks again."""

    error: str


@dataclass(frozen=True)
class GenerationSettings:
    """How answers are made. `temperature` 0 is greedy; None leaves it to the server, where a model refuses it."""

    max_output_tokens: int
    temperature: float | None = 0.0
    system: str = ""


class Generator(Protocol):
    """A model that answers in words."""

    def answer(self, asks: Sequence[Ask]) -> Iterator[tuple[int, Answer | Failure]]:
        """Each ask's number with its answer, once each, as they arrive and in any order."""
        ...


def status_of(answer: Answer | Failure) -> Literal["ok", "empty", "refused", "error"]:
    """The status of a prediction before its text is read: what was blocked counts as refused."""
    if isinstance(answer, Failure):
        return "error"
    if answer.finish in ("refused", "blocked"):
        return "refused"
    return "ok" if answer.text.strip() else "empty"


def answer_key(model: str, settings: GenerationSettings, ask: Ask) -> bytes:
    """16 bytes that change with all that an answer depends on: model, settings, image and prompt, and nothing else.

    `model` stands for the slice of the model's card and its weights. Where an ask comes from is not part of it: the
    same question about the same pixels has one answer.
    """
    shown = ("no image",) if ask.image is None else ("image", ask.image)
    made = json.dumps(dataclasses.asdict(settings), sort_keys=True)
    return bytes.fromhex(content_key("answer v1", model, made, ask.prompt, *shown))
