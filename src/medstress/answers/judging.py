"""One judge on the answers of one run to the questions of one data set."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from medstress.answers.ask import Answer, Ask, Failure, Generator
from medstress.answers.client import ApiClient
from medstress.answers.dataset import Tally
from medstress.answers.identity import settings_of
from medstress.answers.journal import Journal
from medstress.answers.judge_prompt import judge_prompt, scale_of
from medstress.answers.judgement import SCALES, Scale, parse_judgement
from medstress.answers.run import Answered, answer_all
from medstress.answers.words import words_of
from medstress.cards.generator import GeminiApi, OpenAiApi
from medstress.errors import MedstressError
from medstress.problems import short
from medstress.records import JudgedRow, JudgedStatus, PredictionRow, SampleRow, read_rows, read_tables, write_rows
from medstress.specs import JudgeSpec

TASK = "judge"
"""The task of an ask to a judge."""
_KEY = ["sample_id", "perturbation", "level"]
_NO_ANSWER = ("empty", "refused", "error")
_EXAMPLES = 5
# Replies of a kind from which on a judge that grades few of them is no judge.
_ENOUGH = 5

_Place = tuple[str, str, int]
_Said = tuple[float | None, JudgedStatus, str | None]
"""Score, status and reply of a judged row."""
_UNANSWERED: _Said = (None, "unanswered", None)


@dataclass(frozen=True)
class Judging:
    """How a judging went.

    replies: distinct asks that the judge replied to; parsed: those of them with a score; prose: a reply without one.
    """

    tally: Tally
    replies: int
    parsed: int
    prose: str = ""

    @property
    def parse_rate(self) -> float | None:
        """The share of replies with a score; None where there was none."""
        return self.parsed / self.replies if self.replies else None

    def facts(self) -> dict[str, object]:
        """What happened, for provenance."""
        return {**self.tally.facts(), "replies": self.replies, "parsed": self.parsed, "parse_rate": self.parse_rate}

    def lines(self) -> Iterator[str]:
        """What happened, for people."""
        yield from self.tally.lines()
        if self.parse_rate is not None:
            yield f"replies with a score: {self.parsed} of {self.replies} ({self.parse_rate:.1%})"
        if self.prose:
            yield f"Replies without a score count in no mean. One of them: {short(self.prose)}."


def judge_answers(
    client: Generator | ApiClient,
    spec: JudgeSpec,
    samples: Path,
    predictions: Path,
    output: Path,
    *,
    journal: Journal,
    model: str,
) -> Judging:
    """Judge every answer of a record of predictions, with one ask for each distinct answer to a question.

    An answer with the words of the truth, by :func:`medstress.answers.words.words_of`, has the best score without an
    ask. `model` stands for the model in keys. Raises MedstressError where the data may not be sent to the judge, where
    an answer is to no question or a question has no true answer, and where the client stops for good.
    """
    _check_may_be_sent(spec)
    questions = {row.sample_id: row for row in read_rows(samples, SampleRow)}
    cells = read_tables([predictions], PredictionRow, [*_KEY, "status", "text"])
    _check(questions, cells, samples, predictions)
    places: list[_Place] = list(zip(*(cells[name].to_pylist() for name in _KEY), strict=True))
    texts = zip(places, cells["status"].to_pylist(), cells["text"].to_pylist(), strict=True)
    given = [
        None if status in _NO_ANSWER or not (text or "").strip() else (place[0], text) for place, status, text in texts
    ]
    prompts: dict[tuple[str, str], str] = {}
    found: dict[tuple[str, str], _Said] = {}
    asks: dict[str, tuple[Ask, SampleRow]] = {}
    for (_, perturbation, level), answer in zip(places, given, strict=True):
        if answer is None or answer in prompts or answer in found:
            continue
        sample = questions[answer[0]]
        if _identical(answer[1], sample.answer):
            found[answer] = (max(SCALES[scale_of(sample)]), "identical", None)
            continue
        prompts[answer] = prompt = judge_prompt(spec.judge, sample, answer[1])
        if prompt not in asks:
            asks[prompt] = Ask(answer[0], perturbation, level, image=None, prompt=prompt, task=TASK), sample
    answered = answer_all(client, [ask for ask, _ in asks.values()], journal, model, settings_of(spec.model))
    replies = {
        prompt: _said(reply, sample)
        for (prompt, (_, sample)), reply in zip(asks.items(), answered.answers, strict=True)
    }
    _check_grades(spec, [(sample, replies[prompt]) for prompt, (_, sample) in asks.items()])
    found |= {answer: replies[prompt] for answer, prompt in prompts.items()}
    said = [_UNANSWERED if answer is None else found[answer] for answer in given]
    write_rows(output, JudgedRow, [JudgedRow(*place, *one) for place, one in zip(places, said, strict=True)])
    statuses = Counter(status for _, status, _ in replies.values())
    tally = _tally(answered, said, journal, client)
    prose = next((text for _, status, text in replies.values() if status == "unparsable" and text), "")
    return Judging(tally, replies=len(replies) - statuses["error"], parsed=statuses["ok"], prose=prose)


def _check_grades(spec: JudgeSpec, graded: Sequence[tuple[SampleRow, _Said]]) -> None:
    """Raise MedstressError where most replies about a kind of question have no grade.

    Answers with the words of the truth have the best grade unasked: without the others, means would be perfect.
    """
    by_scale: dict[Scale, list[_Said]] = {}
    for sample, said in graded:
        if said[1] != "error":
            by_scale.setdefault(scale_of(sample), []).append(said)
    problems = []
    for scale, kind in by_scale.items():
        without = [text for _, status, text in kind if status != "ok"]
        if len(kind) >= _ENOUGH and len(without) > len(kind) / 2:
            grades = ", ".join(f"{grade:g}" for grade in SCALES[scale])
            problems.append(
                f"judge {spec.judge.name}, {scale} questions: {len(without)} of {len(kind)} replies have no grade of "
                f"{grades}, such as {short(without[0] or '')}."
            )
    if problems:
        way = "Say more in the judge's `open`, `closed` or `two_options`, or take another. What it said is kept."
        raise MedstressError("\n".join([*problems, way]))


def _identical(answer: str, truth: str) -> bool:
    words = words_of(answer)
    return bool(words) and words == words_of(truth)


def _said(reply: Answer | Failure, sample: SampleRow) -> _Said:
    """What a reply comes to. A failure is no reply, and its text is not kept as one."""
    if isinstance(reply, Failure):
        return None, "error", None
    if reply.finish in ("refused", "blocked"):
        return None, "refused", reply.text
    judgement = parse_judgement(reply.text, scale_of(sample))
    return judgement.score, "ok" if judgement.status == "ok" else "unparsable", reply.text


def _tally(answered: Answered, said: Sequence[_Said], journal: Journal, client: Generator | ApiClient) -> Tally:
    failures = (answer.error for answer in answered.answers if isinstance(answer, Failure))
    return Tally(
        asked=answered.asked,
        reused=answered.reused,
        failed=answered.failed,
        repeated=answered.repeated,
        damaged=journal.torn + journal.damaged,
        statuses=Counter(status for _, status, _ in said),
        errors=list(dict.fromkeys(failures))[:_EXAMPLES],
        bill=client.spend.bill() if isinstance(client, ApiClient) else None,
    )


def _check_may_be_sent(spec: JudgeSpec) -> None:
    card = spec.model
    if isinstance(card, OpenAiApi | GeminiApi) and card.third_party and spec.third_party_api == "forbidden":
        raise MedstressError(
            f"answers to {spec.dataset} may not be sent to the judge {spec.judge.name}, which somebody else runs: the "
            "card says third_party_api: forbidden. Take a judge that runs here, or on a server of your own "
            "(third_party: false)."
        )


def _check(questions: Mapping[str, SampleRow], cells: pa.Table, samples: Path, predictions: Path) -> None:
    """Raise MedstressError where what is to be judged has no question or no truth to be compared with."""
    names = pc.unique(cells["sample_id"]).to_pylist()
    foreign = [name for name in names if name not in questions]
    unasked = [
        name for name in names if name in questions and not (questions[name].question and questions[name].answer)
    ]
    problems = []
    if foreign:
        problems.append(
            f"{predictions}: answers to {_some(foreign)}, of which {samples} knows nothing. Delete this record and run "
            "the same command again."
        )
    if unasked:
        problems.append(f"{samples}: no question or no true answer for {_some(unasked)}, so no judge can grade these.")
    if problems:
        raise MedstressError("\n".join(problems))


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_EXAMPLES])
    return shown if len(names) <= _EXAMPLES else f"{shown} and {len(names) - _EXAMPLES} more"
