"""From a card of questions, captions or boxes and raw files to the images and samples records."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from medstress.cards.generation import GenerationCard, Shift
from medstress.datasets.asked import Asked, boxes_of, find_asked
from medstress.datasets.asked_pictures import read_asked
from medstress.datasets.candidate import BadSampleError, Candidate
from medstress.datasets.expected import count_problems
from medstress.datasets.groups import group_problems
from medstress.datasets.limit import in_turn
from medstress.datasets.marked import object_of
from medstress.datasets.question import Question
from medstress.datasets.resize import Frame
from medstress.datasets.splits import Assignment, assign_splits
from medstress.datasets.staged import staged_records
from medstress.datasets.summary import Summary, raise_if_bad
from medstress.errors import MedstressError
from medstress.names import Split
from medstress.pixels import Image, encode_png
from medstress.records import ImageRow, SampleRow
from medstress.shifts import Member, shift_sets, values_of
from medstress.specs import PrepareSpec

log = logging.getLogger("medstress")


@dataclass
class QuestionSummary(Summary):
    """What came of preparing a data set of questions; its objects are questions."""

    def lines(self) -> Iterator[str]:
        """The summary for people."""
        for split, count in self.splits.items():
            groups = f"{len(count.groups)} groups (unit: {self.unit})"
            yield f"{self.dataset} {split}: {count.images} images, {count.objects} questions, {groups}"
        yield from self.notes
        if self.rejects:
            yield f"rejected samples: {len(self.rejects)}"
            yield from self.rejected()


def prepare_questions(
    spec: PrepareSpec, card: GenerationCard, root: Path, images: Path, samples: Path
) -> QuestionSummary:
    """Write the two records of a data set of questions; paths in its card are relative to `root`.

    Both files appear, or neither. An image is stored once, and its questions follow each other in the samples. Raises
    MedstressError with all that is wrong, before a pixel is read where that can be: the source itself, questions
    without an answer, groups in several splits, other counts than the card's, and shifts that cannot be studied. Then
    with every image and box that cannot be used, where there are more than the card tolerates.
    """
    asked = find_asked(card, root)
    assigned = assign_splits(asked.found.candidates, card.split, card.name)
    studied, unstudied = _shifts(_members(assigned, asked, card), card.shifts)
    problems = (
        *asked.problems,
        *group_problems(asked.found, card.source, card.split),
        *assigned.leaks,
        *count_problems(assigned, card),
        *unstudied,
    )
    summary = QuestionSummary(card.name, card.split.unit, problems)
    summary.notes += asked.notes
    for reject in (*asked.found.rejects, *assigned.rejects):
        summary.reject(reject)
    raise_if_bad(summary, card.tolerate_rejects, finished=False)
    summary.notes += studied
    split_of: dict[str, Split] = {}
    chosen: list[Candidate] = []
    for split, candidates in assigned.splits.items():
        limit = spec.limit.of(split)
        most = limit.asked or limit.images
        some = in_turn(candidates, card.name)[:most] if most else candidates
        chosen += some
        split_of |= {item.image_id: split for item in some}
    chosen.sort(key=lambda item: item.image_id)
    with staged_records(images, samples) as (image_rows, sample_rows):
        for candidate, read in read_asked(chosen, card):
            if isinstance(read, BadSampleError):
                summary.reject(read.reject)
                continue
            image, frame = read
            rows = list(_sample_rows(asked.questions[candidate.image_id], candidate, frame, card, summary))
            if rows:
                split = split_of[candidate.image_id]
                image_rows.write([_image_row(candidate, split, image, card)])
                sample_rows.write(rows)
                summary.took(split, candidate.group, len(rows))
        raise_if_bad(summary, card.tolerate_rejects)
    for line in summary.lines():
        log.info(line)
    return summary


def _shifts(members: Sequence[Member], shifts: Sequence[Shift]) -> tuple[list[str], list[str]]:
    """A line about each shift, and what is wrong with those that cannot be studied."""
    lines: list[str] = []
    problems: list[str] = []
    for shift in shifts if members else ():
        try:
            lines.append(f"shift {shift.name}: {shift_sets(members, shift).line()}")
        except MedstressError as error:
            problems += str(error).split("\n")
    return lines, problems


def _members(assigned: Assignment, asked: Asked, card: GenerationCard) -> list[Member]:
    return [
        Member(
            question.sample_id,
            candidate.image_id,
            candidate.group,
            split,
            values_of(question.attributes, candidate.modality or card.modality, question.answer_type),
        )
        for split, candidates in assigned.splits.items()
        for candidate in candidates
        for question in asked.questions[candidate.image_id]
    ]


def _image_row(candidate: Candidate, split: Split, image: Image, card: GenerationCard) -> ImageRow:
    height, width = image.shape[:2]
    return ImageRow(
        image_id=candidate.image_id,
        group_id=candidate.group,
        split=split,
        modality=candidate.modality or card.modality,
        png=encode_png(image),
        height=height,
        width=width,
    )


def _sample_rows(
    questions: tuple[Question, ...], candidate: Candidate, frame: Frame, card: GenerationCard, summary: Summary
) -> Iterator[SampleRow]:
    for question in questions:
        try:
            objects = (object_of(question, frame, boxes_of(card)),) if card.task == "grounding" else ()
        except BadSampleError as error:
            summary.reject(error.reject)
            continue
        yield SampleRow(
            sample_id=question.sample_id,
            image_id=candidate.image_id,
            task=card.task,
            objects=objects,
            attributes=question.attributes,
            question=question.question,
            options=question.options,
            answer=question.answer,
            answer_type=question.answer_type,
            caption=question.caption,
        )
