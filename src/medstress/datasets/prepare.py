"""From a card and raw files to the images and samples records."""

import logging
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from medstress.cards.dataset import DatasetCard
from medstress.datasets.candidate import BadSampleError, Candidate, Reject
from medstress.datasets.expected import count_problems
from medstress.datasets.find import find
from medstress.datasets.groups import group_problems
from medstress.datasets.limit import in_turn, some_objects
from medstress.datasets.sample import Sample, read_sample
from medstress.datasets.splits import assign_splits
from medstress.datasets.summary import Summary
from medstress.errors import MedstressError
from medstress.names import Split
from medstress.pixels import box_of, encode_mask, encode_png
from medstress.records import ImageRow, ObjectRow, SampleRow, record_writer
from medstress.specs import PrepareSpec

log = logging.getLogger("medstress")


def prepare_dataset(spec: PrepareSpec, root: Path, images: Path, samples: Path) -> Summary:
    """Write the two records of a data set; paths in its card are relative to `root`.

    Both files appear, or neither. Raises MedstressError with every bad sample where there are more than the card
    tolerates, where the groups that the card speaks of are not said, where there are more or fewer images than the card
    expects, and with every group that lies in several splits.
    """
    card = spec.card
    found = find(card, root)
    assigned = assign_splits(found.candidates, card.split, card.name)
    problems = (*group_problems(found, card.source, card.split), *assigned.leaks, *count_problems(assigned, card))
    summary = Summary(card.name, card.split.unit, problems)
    for reject in (*found.rejects, *assigned.rejects):
        summary.reject(reject)
    # Fixed names, so that what a killed run left there is overwritten by the next one.
    staged = [path.with_name(f".{path.name}.staged") for path in (images, samples)]
    try:
        with record_writer(staged[0], ImageRow) as image_rows, record_writer(staged[1], SampleRow) as sample_rows:
            for split, sample in _readable(assigned.splits, spec, summary):
                image, row = _rows_of(split, sample, spec)
                image_rows.write([image])
                sample_rows.write([row])
                summary.took(split, image.group_id, len(row.objects))
            _raise_if_bad(card, summary)
        for path, target in zip(staged, (images, samples), strict=True):
            path.replace(target)
    finally:
        for path in staged:
            path.unlink(missing_ok=True)
    for line in summary.lines():
        log.info(line)
    return summary


def _readable(
    splits: dict[Split, list[Candidate]], spec: PrepareSpec, summary: Summary
) -> Iterator[tuple[Split, Sample]]:
    """Samples that can be used, sorted by image id; what is wrong with the others goes into the summary."""
    if spec.limit.images is None:
        dealt = [(split, candidate) for split, members in splits.items() for candidate in members]
        for split, candidate in sorted(dealt, key=lambda item: item[1].image_id):
            if sample := _usable(candidate, spec.card, summary):
                yield split, sample
        return
    chosen: list[tuple[Split, Sample]] = []  # as few as the limit says, so that they fit in memory
    for split, members in splits.items():
        usable = (_usable(candidate, spec.card, summary) for candidate in in_turn(members, spec.card.name))
        chosen += [(split, sample) for sample in islice(filter(None, usable), spec.limit.images)]
    yield from sorted(chosen, key=lambda item: item[1].candidate.image_id)


def _usable(candidate: Candidate, card: DatasetCard, summary: Summary) -> Sample | None:
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


def _rows_of(split: Split, sample: Sample, spec: PrepareSpec) -> tuple[ImageRow, SampleRow]:
    candidate, card, raw = sample.candidate, spec.card, sample.raw
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
    kept = some_objects(sample.objects, spec.limit.objects, card.name, candidate.image_id)
    objects = tuple(
        ObjectRow(
            item.object_id, item.label, sample.boxes.get(item.object_id) or box_of(item.mask), encode_mask(item.mask)
        )
        for item in kept
    )
    return image, SampleRow(candidate.image_id, candidate.image_id, card.task, objects, candidate.attributes)


def _raise_if_bad(card: DatasetCard, summary: Summary) -> None:
    problems = list(summary.problems)
    if len(summary.rejects) > card.tolerate_rejects:
        count = len(summary.rejects)
        problems.append(
            f"{count} bad sample{'s' if count > 1 else ''}, {card.tolerate_rejects} tolerated. Correct the files, or "
            "leave them out with `tolerate_rejects` in the card."
        )
    if problems or not any(count.images for count in summary.splits.values()):
        headline = problems or ["no image is left."]
        raise MedstressError("\n".join([*(f"{card.name}: {line}" for line in headline), *summary.rejected()]))
