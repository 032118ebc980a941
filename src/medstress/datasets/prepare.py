"""From a card and raw files to the images and samples records."""

import logging
from collections.abc import Iterator
from heapq import merge
from itertools import islice
from pathlib import Path

from medstress.cards.classification import ClassificationCard
from medstress.cards.generation import GenerationCard
from medstress.cards.segmentation import SegmentationCard
from medstress.config import Limit
from medstress.datasets.candidate import BadSampleError, Candidate, Reject
from medstress.datasets.expected import count_problems
from medstress.datasets.find import find
from medstress.datasets.groups import group_problems
from medstress.datasets.limit import in_turn, some_objects
from medstress.datasets.prepare_classes import prepare_classes
from medstress.datasets.prepare_questions import prepare_questions
from medstress.datasets.sample import Sample, read_sample
from medstress.datasets.splits import assign_splits
from medstress.datasets.staged import staged_records
from medstress.datasets.summary import Summary, raise_if_bad
from medstress.names import Split
from medstress.pixels import box_of, encode_mask, encode_png
from medstress.records import ImageRow, ObjectRow, SampleRow
from medstress.specs import PrepareSpec

log = logging.getLogger("medstress")


def prepare_dataset(spec: PrepareSpec, root: Path, images: Path, samples: Path) -> Summary:
    """Write the two records of a data set; paths in its card are relative to `root`.

    Both files appear, or neither. Raises MedstressError with every bad sample where there are more than the card
    tolerates, where the groups that the card speaks of are not said, where there are more or fewer images than the card
    expects, and with every group that lies in several splits. Of classification, :func:`prepare_classes` says more, and
    of questions, captions and boxes :func:`prepare_questions`.
    """
    card = spec.card
    if isinstance(card, ClassificationCard):
        return prepare_classes(spec, card, root, images, samples)
    if isinstance(card, GenerationCard):
        return prepare_questions(spec, card, root, images, samples)
    found = find(card, root)
    assigned = assign_splits(found.candidates, card.split, card.name)
    problems = (*group_problems(found, card.source, card.split), *assigned.leaks, *count_problems(assigned, card))
    summary = Summary(card.name, card.split.unit, problems)
    for reject in (*found.rejects, *assigned.rejects):
        summary.reject(reject)
    with staged_records(images, samples) as (image_rows, sample_rows):
        for split, sample in _readable(assigned.splits, spec.limit, card, summary):
            image, row = _rows_of(split, sample, spec.limit.of(split), card)
            image_rows.write([image])
            sample_rows.write([row])
            summary.took(split, image.group_id, len(row.objects))
        raise_if_bad(summary, card.tolerate_rejects)
    for line in summary.lines():
        log.info(line)
    return summary


def _readable(
    splits: dict[Split, list[Candidate]], limit: Limit, card: SegmentationCard, summary: Summary
) -> Iterator[tuple[Split, Sample]]:
    """Samples that can be used, sorted by image id; what is wrong with the others goes into the summary."""
    chosen: list[tuple[Split, Sample]] = []  # as few as the limit says, so that they fit in memory
    dealt: list[tuple[Split, Candidate]] = []
    for split, members in splits.items():
        if (most := limit.of(split).images) is None:
            dealt += [(split, candidate) for candidate in members]
            continue
        usable = (_usable(candidate, card, summary) for candidate in in_turn(members, card.name))
        chosen += [(split, sample) for sample in islice(filter(None, usable), most)]
    dealt.sort(key=lambda item: item[1].image_id)
    whole = ((split, sample) for split, candidate in dealt if (sample := _usable(candidate, card, summary)))
    yield from merge(sorted(chosen, key=_image_id), whole, key=_image_id)


def _image_id(dealt: tuple[Split, Sample]) -> str:
    return dealt[1].candidate.image_id


def _usable(candidate: Candidate, card: SegmentationCard, summary: Summary) -> Sample | None:
    try:
        sample = read_sample(candidate, card)
    except BadSampleError as error:
        summary.reject(error.reject)
        return None
    summary.saw(sample)
    if not sample.marked and candidate.layers == 1:
        if card.labels.may_be_empty:
            summary.empty_images += 1
        else:
            summary.reject(Reject(str(candidate.masks[0]), "empty mask."))
    return sample if sample.objects else None


def _rows_of(split: Split, sample: Sample, limit: Limit, card: SegmentationCard) -> tuple[ImageRow, SampleRow]:
    candidate, raw = sample.candidate, sample.raw
    height, width = sample.image.shape[:2]
    image = ImageRow(
        image_id=candidate.image_id,
        group_id=candidate.group,
        split=split,
        modality=card.modality,
        png=encode_png(sample.image),
        height=height,
        width=width,
        raw_png=encode_png(raw.values) if raw else None,
        slope=raw.slope if raw else None,
        intercept=raw.intercept if raw else None,
        unit=raw.unit if raw else None,
    )
    kept = some_objects(sample.objects, limit.objects, card.name, candidate.image_id)
    objects = tuple(
        ObjectRow(
            item.object_id, item.label, sample.boxes.get(item.object_id) or box_of(item.mask), encode_mask(item.mask)
        )
        for item in kept
    )
    return image, SampleRow(candidate.image_id, candidate.image_id, card.task, objects, candidate.attributes)
