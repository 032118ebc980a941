"""One model that answers in words on one data set: every question in every cell."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from medstress.answers.ask import Answer, Ask, Failure, Generator, status_of
from medstress.answers.boxes import parse_box
from medstress.answers.client import ApiClient
from medstress.answers.identity import settings_of
from medstress.answers.journal import Journal
from medstress.answers.questions import (
    Question,
    Records,
    clean_questions,
    perturbed_questions,
    read_questions,
)
from medstress.answers.run import answer_all, book_earlier
from medstress.answers.spend import Bill
from medstress.cards.generator import GeminiApi, MajorityAnswer, OpenAiApi
from medstress.errors import MedstressError
from medstress.question_prompts import prompt_of
from medstress.records import PredictionRow, record_writer
from medstress.specs import AnswerSpec

CHUNK_BYTES = 256 * 2**20
"""Images in memory at a time: asks are put in chunks of this size, and the last of each leave the model idle."""
CHUNK_ASKS = 100_000
_EXAMPLES = 5
_FEWEST_BOXES = 4

Part = Literal["clean", "perturbed"]


@dataclass
class Tally:
    """How the answers of a data set came about: see :class:`medstress.answers.run.Answered`; statuses are of rows.

    damaged: lines of the journal that an earlier process left unfinished or that a disk spoiled, asked again. bill:
    what the server charged, with what earlier processes of the run were charged; None of a model on this machine.
    """

    asked: int = 0
    reused: int = 0
    failed: int = 0
    repeated: int = 0
    damaged: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    bill: Bill | None = None

    def facts(self) -> dict[str, object]:
        """The tally for provenance: all of it differs between a run and the same run after a kill."""
        return vars(self) | {"bill": self.bill and vars(self.bill)}

    def lines(self) -> Iterator[str]:
        """The tally for people."""
        yield f"asked: {self.asked}, reused: {self.reused}, asked again that may have been answered: {self.repeated}"
        yield f"answers: {', '.join(f'{status} {count}' for status, count in sorted(self.statuses.items()))}"
        if self.bill is not None:
            yield f"tokens: {self.bill.tokens_in} in, {self.bill.tokens_out} out; cost: {self.bill.cost:.4f}"
        if self.damaged:
            yield f"journal: {self.damaged} lines were not whole; what they held was asked again"
        if self.failed:
            yield f"{self.failed} asks have no answer, such as: {'; '.join(self.errors)}. Delete the record and run the"
            yield "same command again to ask these, and nothing else."


def answer_dataset(
    client: Generator | ApiClient, spec: AnswerSpec, records: Records, output: Path, *, journal: Journal, model: str
) -> Tally:
    """Write one answer a question and cell: clean first, then the perturbations in the order given.

    What the journal holds is not asked again, so after a kill the bytes are those of an uninterrupted run. Questions
    that other splits lend to a shift are asked about the clean image. `model` stands for the model in keys. Raises
    MedstressError where the data may not be sent to the model, where boxes are not in the numbers of its card, and
    where the client stops for good.
    """
    assert not isinstance(spec.model, MajorityAnswer)
    check_may_be_sent(spec)
    asking = _Asking(client, spec, journal, model)
    questions = read_questions(spec, records)

    def chunks(part: Part) -> Iterator[list[Question]]:
        read = clean_questions if part == "clean" else perturbed_questions
        return _chunked(read(questions, records, pixels=asking.shows))

    if isinstance(client, ApiClient) and client.spend.limit is not None:
        for part in ("clean", "perturbed"):
            for chunk in chunks(part):
                asking.book(chunk)
    with record_writer(output, PredictionRow) as writer:
        for chunk in chunks("clean"):
            writer.write(asking.rows(chunk))
        asking.check_boxes()
        for chunk in chunks("perturbed"):
            writer.write(asking.rows(chunk))
    asking.tally.damaged = journal.torn + journal.damaged
    asking.tally.bill = client.spend.bill() if isinstance(client, ApiClient) else None
    return asking.tally


def check_may_be_sent(spec: AnswerSpec) -> None:
    """Raise MedstressError where a data set may not be sent to a model that somebody else runs."""
    card = spec.model
    if isinstance(card, OpenAiApi | GeminiApi) and card.third_party and spec.third_party_api == "forbidden":
        raise MedstressError(
            f"{spec.dataset} may not be sent to {card.name}, which somebody else runs: its card says third_party_api: "
            "forbidden. Take one of them out of the study, or ask a model on a server of your own (third_party: false)."
        )


def _chunked(groups: Iterator[list[Question]]) -> Iterator[list[Question]]:
    chunk: list[Question] = []
    size = 0
    for group in groups:
        chunk += group
        size += sum(len(png) for png in {id(item.view): item.view.png for item in group}.values())
        if size >= CHUNK_BYTES or len(chunk) >= CHUNK_ASKS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


class _Asking:
    """Questions put to one client, chunk by chunk."""

    def __init__(self, client: Generator | ApiClient, spec: AnswerSpec, journal: Journal, model: str) -> None:
        assert not isinstance(spec.model, MajorityAnswer)
        self._client, self._spec, self._card = client, spec, spec.model
        self._journal, self._model, self._settings = journal, model, settings_of(spec.model)
        self._booked: set[bytes] = set()
        self._boxes: list[tuple[bool, str]] = []
        self.shows = spec.image and getattr(spec.model, "image", True)
        self.tally = Tally()

    def book(self, chunk: Sequence[Question]) -> None:
        """Put on the bill what earlier processes spent on some questions."""
        assert isinstance(self._client, ApiClient)
        book_earlier(self._client, self._asks(chunk), self._journal, self._model, self._settings, self._booked)

    def rows(self, chunk: Sequence[Question]) -> list[PredictionRow]:
        """The answers to some questions."""
        asks = self._asks(chunk)
        answered = answer_all(self._client, asks, self._journal, self._model, self._settings, self._booked)
        tally = self.tally
        tally.asked += answered.asked
        tally.reused += answered.reused
        tally.failed += answered.failed
        tally.repeated += answered.repeated
        rows = [self._row(*pair) for pair in zip(chunk, answered.answers, strict=True)]
        tally.statuses.update(row.status for row in rows)
        errors = dict.fromkeys(row.error for row in rows if row.error)
        tally.errors += [error for error in errors if error not in tally.errors][: _EXAMPLES - len(tally.errors)]
        return rows

    def check_boxes(self) -> None:
        """Raise MedstressError where most boxes about clean images are not in the numbers that the card names."""
        strange = [text for fits, text in self._boxes if not fits]
        if self.shows and len(self._boxes) >= _FEWEST_BOXES and 2 * len(strange) > len(self._boxes):
            boxes = self._card.boxes
            raise MedstressError(
                f"{self._spec.run} on {self._spec.dataset}: {len(strange)} of {len(self._boxes)} boxes are not in the "
                f"numbers that its card names (boxes: scale: {boxes.scale}, y_first: {str(boxes.y_first).lower()}), "
                f"such as {strange[0]!r}. Correct `boxes` in the model's card; other answers are kept."
            )

    def _asks(self, chunk: Sequence[Question]) -> list[Ask]:
        return [
            Ask(
                sample_id=item.sample.sample_id,
                perturbation=item.view.perturbation,
                level=item.view.level,
                image=item.view.png if self.shows else None,
                prompt=prompt_of(item.sample, self._spec.prompts, self._card.boxes, item.shape),
                task=item.sample.task,
            )
            for item in chunk
        ]

    def _row(self, item: Question, answer: Answer | Failure) -> PredictionRow:
        cell = (item.sample.sample_id, "", item.view.perturbation, item.view.level, None)
        if isinstance(answer, Failure):
            return PredictionRow(*cell, "error", answer.error)
        status, box = str(status_of(answer)), None
        if item.sample.task == "grounding" and status == "ok":
            found = parse_box(answer.text, self._card.boxes, *item.shape)
            status, box = found.status, found.box
            if found.status == "ok" and not item.view.level:
                self._boxes.append((found.fits, answer.text))
        return PredictionRow(*cell, status, text=answer.text, box=box)
