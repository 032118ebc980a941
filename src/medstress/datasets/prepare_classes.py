"""From a classification card and raw files to the images and samples records."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from medstress.cards.classification import ClassificationCard
from medstress.datasets.candidate import BadSampleError, Candidate
from medstress.datasets.class_counts import Counts, class_problems, count_classes, counts_line
from medstress.datasets.corrupted import corrupted_problems
from medstress.datasets.expected import count_problems
from medstress.datasets.groups import group_problems
from medstress.datasets.labelled import find_labelled, read_labelled
from medstress.datasets.limit import some_of_each_class
from medstress.datasets.splits import assign_splits
from medstress.datasets.staged import staged_records
from medstress.datasets.summary import Summary, raise_if_bad
from medstress.names import Split
from medstress.pixels import Image, encode_png
from medstress.records import ImageRow, SampleRow
from medstress.specs import PrepareSpec

log = logging.getLogger("medstress")


@dataclass
class ClassSummary(Summary):
    """What came of preparing a classification data set. `counts` are those of each class before the limit."""

    names: tuple[str, ...] = ()
    counts: Counts = field(default_factory=dict)

    def lines(self) -> Iterator[str]:
        """The summary for people; counts show whether names are in the right order."""
        for split, count in self.splits.items():
            if any(self.counts[split]):
                yield f"{self.dataset} {split}, found: {counts_line(self.names, self.counts[split])}"
            yield f"{self.dataset} {split}: {count.images} images, {len(count.groups)} groups (unit: {self.unit})"
        yield from self.notes
        if self.rejects:
            yield f"rejected samples: {len(self.rejects)}"
            yield from self.rejected()


def prepare_classes(
    spec: PrepareSpec, card: ClassificationCard, root: Path, images: Path, samples: Path
) -> ClassSummary:
    """Write the two records of a classification data set; paths in its card are relative to `root`.

    Both files appear, or neither. Raises MedstressError with all that is wrong, before a pixel is read where that can
    be: the source itself, classes without an image in the split that is scored, other counts than the card's, groups in
    several splits, and corrupted images that are missing or do not belong to the clean ones. Then with every image that
    cannot be read, where there are more than the card tolerates; such an image is not replaced by another.
    """
    found = find_labelled(card, root)
    assigned = assign_splits(found.candidates, card.split, card.name)
    counts = count_classes(assigned, card.classes)
    wrong, notes = corrupted_problems(spec, card, assigned.splits[spec.split], root)
    problems = (
        *group_problems(found, card.source, card.split),
        *assigned.leaks,
        *count_problems(assigned, card),
        *class_problems(counts, card.classes, spec.split),
        *wrong,
    )
    summary = ClassSummary(card.name, card.split.unit, problems, names=tuple(card.classes.names), counts=counts)
    summary.notes += notes
    for reject in (*found.rejects, *assigned.rejects):
        summary.reject(reject)
    raise_if_bad(summary, card.tolerate_rejects, finished=False)
    chosen = [
        (split, candidate)
        for split, members in assigned.splits.items()
        for candidate in some_of_each_class(members, spec.limit.of(split).per_class, card.name)
    ]
    chosen.sort(key=lambda item: item[1].image_id)
    read = read_labelled([candidate for _, candidate in chosen], card)
    with staged_records(images, samples) as (image_rows, sample_rows):
        for (split, candidate), image in zip(chosen, read, strict=True):
            if isinstance(image, BadSampleError):
                summary.reject(image.reject)
                continue
            image_rows.write([_image_row(candidate, split, image, card)])
            sample_rows.write([_sample_row(candidate)])
            summary.took(split, candidate.group, 0)
        raise_if_bad(summary, card.tolerate_rejects)
    for line in summary.lines():
        log.info(line)
    return summary


def _image_row(candidate: Candidate, split: Split, image: Image, card: ClassificationCard) -> ImageRow:
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


def _sample_row(candidate: Candidate) -> SampleRow:
    return SampleRow(
        sample_id=candidate.image_id,
        image_id=candidate.image_id,
        task="classification",
        attributes=candidate.attributes,
        labels=candidate.labels,
    )
