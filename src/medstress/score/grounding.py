"""Scores every box of one run about one data set.

The truth is the object's box as the image shows it: where a perturbation moved the object, the box moved with it. An
answer without a box is a wrong one, with values of 0 and a status of its own; a request that failed has no value.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from medstress.errors import MedstressError
from medstress.models.prompts import prompt_box
from medstress.names import GroundingMetricName
from medstress.pixels import Box
from medstress.records import WarpRow
from medstress.score.asked import Answers, Asked, Cell, Outcome, is_answer, read_answers, write_scores
from medstress.score.boxes import accurate_at, iou
from medstress.score.cells import UNMOVED
from medstress.specs import ScoreSpec

METRICS: tuple[str, ...] = get_args(GroundingMetricName)
_MISSED = dict.fromkeys(METRICS, 0.0)
_WITHOUT = dict.fromkeys(METRICS)


def _truth(one: Asked, warp: WarpRow | None) -> Box | None:
    """The object's box in the image that is shown; None where less than half of the object is in it."""
    return prompt_box(one.sample.objects[0], warp, one.image.height, one.image.width, follow=True)


def _outcome(cell: Cell[Sequence[float]], truth: Box | None) -> Outcome:
    if truth is None:
        return Outcome("object_lost", _WITHOUT)
    if cell.answer is None or cell.status != "ok":
        return Outcome(cell.status, _MISSED)
    x0, y0, x1, y1 = cell.answer
    overlap = iou((x0, y0, x1, y1), truth)
    values = (overlap, accurate_at(overlap, 0.5), accurate_at(overlap, 0.75))
    return Outcome("ok", dict(zip(METRICS, values, strict=True)))


def _outcomes(answers: Answers[Sequence[float]]) -> list[Outcome]:
    warps = answers.shown["warp"]
    found = []
    for cell in answers.cells:
        if not is_answer(cell.status):
            found.append(Outcome(cell.status, _WITHOUT))
            continue
        moved = None if cell.perturbed == UNMOVED else warps[cell.perturbed].as_py()
        warp = None if moved is None else WarpRow(moved["kind"], tuple(moved["parameters"]))
        found.append(_outcome(cell, _truth(answers.asked[cell.asked], warp)))
    return found


def _check(answers: Answers[Sequence[float]], samples: Path) -> None:
    wrong = [one.sample.sample_id for one in answers.asked if len(one.sample.objects) != 1]
    if wrong:
        raise MedstressError(
            f"{samples}: {len(wrong)} questions are not about one object, such as {', '.join(wrong[:5])}. "
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
) -> None:
    """Write the scores of every box in every cell of a run on one data set; `attacked` as for classifiers.

    Status of a score: ok; empty, refused or unparsable (no box in the answer; the values are 0); object_lost (less than
    half of the object is in the image that was shown; no values); unreachable (the image is not in its SSIM band:
    values are stored, means leave them out); any other status of the answer is carried over without values.
    Raises MedstressError where answers or perturbed images are missing, doubled or foreign, where an answer with status
    ok has no box, and where a shift of the data set cannot be studied.
    """
    records = images, samples
    answers: Answers[Sequence[float]] = read_answers(spec, records, perturbed, [predictions, *attacked], "box")
    _check(answers, samples)
    write_scores(spec, answers, [_outcomes(answers)], METRICS, output)
