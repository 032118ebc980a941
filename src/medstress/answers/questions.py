"""The questions of a data set in the cells that they are asked in, in the order of the record of answers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medstress.errors import MedstressError
from medstress.records import ImageRow, SampleRow, read_rows
from medstress.shifts import members_of, side_of, subsets
from medstress.specs import AnswerSpec
from medstress.views import View, clean_views, perturbed_views

Shape = tuple[int, int]
"""Height and width of an image in pixels."""


@dataclass(frozen=True)
class Records:
    """What questions and images are read from."""

    images: Path
    samples: Path
    perturbed: Sequence[Path] = ()


@dataclass(frozen=True)
class Questions:
    """What a run is asked about a data set, by image; what may be learnt from train; and the shape of every image."""

    asked: Mapping[str, tuple[SampleRow, ...]]
    train: tuple[SampleRow, ...]
    shapes: Mapping[str, Shape]


@dataclass(frozen=True)
class Question:
    """One question about one image in one cell."""

    sample: SampleRow
    view: View
    shape: Shape


def read_questions(spec: AnswerSpec, records: Records) -> Questions:
    """The questions of the split and those lent to a shift, and of train those that no shift puts out of distribution.

    Raises MedstressError where nothing is asked.
    """
    images = read_rows(records.images, ImageRow, pixels=False)
    samples = read_rows(records.samples, SampleRow)
    members = members_of(images, samples)
    wanted = subsets(members, spec.shifts, spec.split)
    if not wanted:
        raise MedstressError(
            f"{records.samples}: the {spec.split} split of {spec.dataset} has no question. Check the card's split."
        )
    asked: dict[str, tuple[SampleRow, ...]] = {}
    for sample in samples:
        if sample.sample_id in wanted:
            asked[sample.image_id] = (*asked.get(sample.image_id, ()), sample)
    learnt = {
        member.sample_id
        for member in members
        if member.split == "train" and not any(side_of(member, shift) == "ood" for shift in spec.shifts)
    }
    train = tuple(sample for sample in samples if sample.sample_id in learnt)
    return Questions(asked, train, {image.image_id: (image.height, image.width) for image in images})


def clean_questions(questions: Questions, records: Records, *, pixels: bool) -> Iterator[list[Question]]:
    """Every question about the clean images, by row group; without `pixels` no image is read."""
    views = clean_views(records.images, lambda row: row.image_id in questions.asked, pixels=pixels)
    return (_about(group, questions) for group in views)


def perturbed_questions(questions: Questions, records: Records, *, pixels: bool) -> Iterator[list[Question]]:
    """Every question about the images of each perturbed record, by row group; without `pixels` no image is read."""
    return (_about(group, questions) for group in perturbed_views(records.perturbed, pixels=pixels))


def _about(views: Sequence[View], questions: Questions) -> list[Question]:
    return [
        Question(sample, view, questions.shapes[view.image_id])
        for view in views
        for sample in questions.asked.get(view.image_id, ())
    ]
