"""Scores every answer of one run about one data set of questions.

Every answer that came counts: one that is empty, that declines, or in which no option can be read is a wrong answer,
with a value of 0 and a status of its own, by which tables count it. A request that failed has no value.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from medstress.answers.refusals import declines
from medstress.answers.words import words_of
from medstress.errors import MedstressError
from medstress.names import JudgeMetricName, VqaMetricName
from medstress.records import SampleRow
from medstress.score.asked import Answers, Outcome, is_answer, read_answers, write_scores
from medstress.score.closed_answers import YES_NO, parse_closed
from medstress.score.judged import judge_outcomes
from medstress.score.metrics import CLOSED_CHANCE
from medstress.score.open_answers import compare_answer
from medstress.specs import ScoreSpec

METRICS: tuple[str, ...] = (*get_args(VqaMetricName), CLOSED_CHANCE, *get_args(JudgeMetricName))
_OPEN = ("open_exact_match", "open_precision", "open_recall", "open_f1")
_NOTHING = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Reading:
    """What one answer is worth. `said` is what must be the same for the answer to be the same; `values` by metric."""

    status: str
    said: int | tuple[str, ...]
    values: dict[str, float | None]


def options_of_question(sample: SampleRow) -> tuple[str, ...]:
    """What a closed question may be answered by; the true answer alone where nothing else is known."""
    if sample.options:
        return sample.options
    return YES_NO if sample.answer.strip().casefold() in YES_NO else (sample.answer,)


def chance_of(sample: SampleRow) -> float:
    """What a guess at a closed question scores: one over its options, or 0 where they are not known."""
    count = len(options_of_question(sample))
    return 1 / count if count > 1 else 0.0


def read_closed(sample: SampleRow, text: str) -> Reading:
    """A closed answer is right where the option that it gives is the true one.

    Where options are not known, it is where it names the true answer and does not deny it.
    """
    options = options_of_question(sample)
    parsed = parse_closed(text, options)
    right = parsed.option is not None and options[parsed.option].casefold() == sample.answer.strip().casefold()
    status = "ok" if parsed.status == "unparsable" and len(options) == 1 else parsed.status
    said = words_of(text) if parsed.option is None else parsed.option
    return Reading(status, said, {"closed_accuracy": float(right)})


def read_open(sample: SampleRow, text: str) -> Reading:
    """An open answer is worth the words that it shares with the true one, and nothing where it declines."""
    words = words_of(text)
    if not words:
        return Reading("empty", words, dict(zip(_OPEN, _NOTHING, strict=True)))
    if declines(text) and words_of(sample.answer) != words:
        return Reading("refused", words, dict(zip(_OPEN, _NOTHING, strict=True)))
    shared = compare_answer(text, sample.answer)
    values = (shared.exact, shared.precision, shared.recall, shared.f1)
    return Reading("ok", words, dict(zip(_OPEN, values, strict=True)))


def _read(sample: SampleRow, status: str, text: str | None) -> Reading:
    """The answer of one cell; `status` is what came of asking."""
    closed = sample.answer_type == "closed"
    if status in ("ok", "unparsable"):
        return read_closed(sample, text or "") if closed else read_open(sample, text or "")
    values = ("closed_accuracy",) if closed else _OPEN
    worth = 0.0 if is_answer(status) else None
    return Reading(status, words_of(text or ""), dict.fromkeys(values, worth))


def _outcomes(answers: Answers[str]) -> list[Outcome]:
    found: list[Outcome] = []
    known: dict[tuple[int, str, str | None], Reading] = {}
    current, clean = -1, None
    for cell in answers.cells:
        sample = answers.asked[cell.asked].sample
        # Perturbed answers are mostly those of before.
        key = (cell.asked, cell.status, cell.answer)
        reading = known.get(key) or known.setdefault(key, _read(sample, cell.status, cell.answer))
        if clean is None or cell.asked != current:
            current, clean = cell.asked, reading
        kind = sample.answer_type
        values = reading.values | {f"{kind}_flip": _flip(clean, reading)}
        if cell.level == 0 and kind == "closed":
            values[CLOSED_CHANCE] = chance_of(sample)
        found.append(Outcome(reading.status, values))
    return found


def _flip(clean: Reading, reading: Reading) -> float | None:
    """Whether an answer is another than that about the clean image; None where one of them is missing."""
    there = is_answer(clean.status) and is_answer(reading.status)
    return float(clean.said != reading.said) if there else None


def _check(answers: Answers[str], samples: Path) -> None:
    wrong = [one.sample.sample_id for one in answers.asked if one.sample.answer_type not in ("open", "closed")]
    if wrong:
        raise MedstressError(
            f"{samples}: {len(wrong)} questions are neither open nor closed, such as {', '.join(wrong[:5])}. "
            "Delete the prepared data set and run the same command again."
        )


def score_predictions(
    spec: ScoreSpec,
    images: Path,
    samples: Path,
    perturbed: Sequence[Path],
    predictions: Path,
    output: Path,
    attacked: Sequence[Path] = (),
    judged: Sequence[Path] = (),
) -> None:
    """Write the scores of every question in every cell of a run on one data set; `attacked` as for classifiers.

    Metrics are those of closed questions or those of open ones. A flip is 1 where the answer is another than the one
    about the clean image: another option or, where none is read, other words. Scores of clean closed questions have
    the metric CLOSED_CHANCE beside them. `judged` are what judges said of these answers, of which the first is scored:
    see :func:`medstress.score.judged.judge_outcomes`.

    Status of a score: ok; empty, refused or unparsable (no answer to be read; the value is 0); unreachable (the image
    is not in its SSIM band: the value is stored, means leave it out); any other status of the answer is carried over
    without a value. Raises MedstressError where answers or perturbed images are missing, doubled or foreign, where an
    answer with status ok has no text, and where a shift of the data set cannot be studied.
    """
    answers: Answers[str] = read_answers(spec, (images, samples), perturbed, [predictions, *attacked], "text")
    _check(answers, samples)
    outcomes = [_outcomes(answers), *(judge_outcomes(answers, path) for path in judged[:1])]
    write_scores(spec, answers, outcomes, METRICS, output)
