"""Scores every caption of one run about one data set.

An empty caption and one that declines count with a value of 0 and a status of their own; a request that failed has no
value.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np

from medstress.answers.refusals import declines
from medstress.answers.words import words_of
from medstress.errors import MedstressError
from medstress.names import CaptionMetricName, SimilarityMetricName
from medstress.records import TextRow, read_rows
from medstress.score.asked import Answers, Asked, Outcome, is_answer, read_answers, write_scores
from medstress.score.captions import CiderIdf, CiderVector, bleu, cider_d, cider_idf, cider_vector, rouge_l
from medstress.shifts import WHOLE
from medstress.specs import ScoreSpec

METRICS: tuple[str, ...] = get_args(CaptionMetricName)
SIMILARITY: str = get_args(SimilarityMetricName)[0]
_NOTHING = dict.fromkeys(METRICS, 0.0)


def _status_of(text: str) -> str:
    if not words_of(text):
        return "empty"
    return "refused" if declines(text) else "ok"


def _values(text: str, truth: str, vector: CiderVector, idf: CiderIdf) -> dict[str, float]:
    values = (*bleu(text, truth), rouge_l(text, truth), cider_d(cider_vector(text, idf), vector))
    return dict(zip(METRICS, values, strict=True))


def _idf_of(asked: Sequence[Asked]) -> CiderIdf:
    """From the split that is scored, each image once: what is lent to a shift must not change other scores."""
    return cider_idf(one.sample.caption for one in asked if WHOLE in one.subsets)


def _outcomes(answers: Answers[str]) -> list[Outcome]:
    idf = _idf_of(answers.asked)
    vectors = [cider_vector(one.sample.caption, idf) for one in answers.asked]
    known: dict[tuple[int, str], Outcome] = {}
    found: list[Outcome] = []
    for cell in answers.cells:
        if cell.status not in ("ok", "unparsable"):
            found.append(Outcome(cell.status, _NOTHING if is_answer(cell.status) else dict.fromkeys(METRICS)))
            continue
        text = cell.answer or ""
        outcome = known.get((cell.asked, text))
        if outcome is None:
            status, truth = _status_of(text), answers.asked[cell.asked].sample.caption
            worth = _values(text, truth, vectors[cell.asked], idf) if status == "ok" else _NOTHING
            outcome = known[cell.asked, text] = Outcome(status, worth)
        found.append(outcome)
    return found


def _similarities(answers: Answers[str], outcomes: Sequence[Outcome], embedded: Path) -> list[Outcome]:
    """The cosine of each caption's embedding and the true one's; what is no caption is worth 0, what failed nothing."""
    unit = {row.text: np.frombuffer(row.embedding, "<f4").astype(float) for row in read_rows(embedded, TextRow)}
    texts = {one.sample.caption for one in answers.asked}
    texts |= {cell.answer or "" for cell, one in zip(answers.cells, outcomes, strict=True) if one.status == "ok"}
    if missing := sorted(texts - set(unit)):
        raise MedstressError(
            f"{embedded}: {len(missing)} captions have no embedding, such as {missing[0]!r}. Delete this record and "
            "run the same command again."
        )
    found = []
    for cell, outcome in zip(answers.cells, outcomes, strict=True):
        value = 0.0 if is_answer(outcome.status) else None
        if outcome.status == "ok":
            value = float(unit[cell.answer or ""] @ unit[answers.asked[cell.asked].sample.caption])
        found.append(Outcome(outcome.status, {SIMILARITY: value}))
    return found


def score_predictions(
    spec: ScoreSpec,
    images: Path,
    samples: Path,
    perturbed: Sequence[Path],
    predictions: Path,
    output: Path,
    attacked: Sequence[Path] = (),
    embedded: Sequence[Path] = (),
) -> None:
    """Write the scores of every caption in every cell of a run on one data set; `attacked` as for classifiers.

    `embedded` holds the embedding of every caption, where an encoder of sentences compares them. How rare words are,
    which CIDEr-D needs, is counted once over the true captions of the split, so that clean and perturbed images are
    scored alike. Status of a score: ok; empty or refused (the values are 0); unreachable (the image is not in its SSIM
    band: values are stored, means leave them out); any other status of the answer is carried over without values.
    Raises MedstressError where answers, embeddings or perturbed images are missing, doubled or foreign, where an answer
    with status ok has no text, and where a shift of the data set cannot be studied.
    """
    answers: Answers[str] = read_answers(spec, (images, samples), perturbed, [predictions, *attacked], "text")
    outcomes = _outcomes(answers)
    kinds = [outcomes, *(_similarities(answers, outcomes, path) for path in embedded)]
    write_scores(spec, answers, kinds, (*METRICS, SIMILARITY), output)
