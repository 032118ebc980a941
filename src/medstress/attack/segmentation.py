"""Attacks on segmenters: the mean loss over an image's objects, each asked with its clean box."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from medstress.attack.attack import Job, attack_images
from medstress.attack.steps import Loss
from medstress.attack.subjects import Subject, read_subjects
from medstress.journal import Journal
from medstress.models.segmentation.protocol import LearnedSegmenter
from medstress.pixels import Box, Image, Mask, decode_mask, encode_mask
from medstress.records import ImageRow, ObjectRow, PredictionRow, SampleRow, read_rows
from medstress.specs import AttackSpec
from medstress.views import Pace


@dataclass(frozen=True)
class Prompted(Subject):
    """An image with its objects (sample id and object) and their true masks [H, W]."""

    objects: tuple[tuple[str, ObjectRow], ...]
    masks: tuple[Mask, ...]

    @property
    def sample_ids(self) -> list[str]:
        """Of the objects."""
        return [sample_id for sample_id, _ in self.objects]

    @property
    def boxes(self) -> list[Box]:
        """The prompt of each object: the clean box."""
        return [item.box for _, item in self.objects]

    @property
    def truth(self) -> str:
        """Boxes and true masks."""
        return repr(self.objects)


@dataclass(frozen=True)
class SegmenterVictim:
    """A segmenter as attacks see it: see :class:`medstress.attack.victim.Victim`."""

    segmenter: LearnedSegmenter
    together: int = 1

    @property
    def model(self) -> nn.Module:
        """The network."""
        return self.segmenter.model

    def loss(self, subjects: Sequence[Prompted], *, targeted: bool) -> Loss:
        """The loss to the true masks, or to empty ones."""
        boxes, masks = [subject.boxes for subject in subjects], [subject.masks for subject in subjects]
        if targeted:
            masks = [tuple(np.zeros_like(mask) for mask in group) for group in masks]
        return lambda given: self.segmenter.attack_loss(given, boxes, masks)

    def answers(
        self, subjects: Sequence[Prompted], images: Sequence[Image], attack: str, level: int
    ) -> list[PredictionRow]:
        """One row an object, as rule predict writes them."""
        rows = []
        answers = self.segmenter.predict(images, [subject.boxes for subject in subjects])
        for subject, masks in zip(subjects, answers, strict=True):
            for (sample_id, item), mask in zip(subject.objects, masks, strict=True):
                status = "ok" if mask.any() else "empty"
                rows.append(PredictionRow(sample_id, item.object_id, attack, level, encode_mask(mask), status))
        return rows


def attack_segmenter(
    segmenter: LearnedSegmenter,
    spec: AttackSpec,
    images: Path,
    samples: Path,
    output: Path,
    *,
    journal: Journal,
    code: str,
    weights: str = "",
    kept: Path | None = None,
    batch: int | None = None,
) -> Pace:
    """Attack a segmenter on the images that have objects: see :func:`medstress.attack.attack.attack_images`.

    `code` is the fingerprint of the code behind the attacks, `weights` a hash of the files that the model was loaded
    from. Besides, raises MedstressError where the split holds no object.
    """
    objects: dict[str, list[tuple[str, ObjectRow]]] = {}
    for sample in read_rows(samples, SampleRow):
        objects.setdefault(sample.image_id, []).extend((sample.sample_id, item) for item in sample.objects)

    def prompted(row: ImageRow, image: Image) -> Prompted | None:
        asked = tuple(objects.get(row.image_id, ()))
        masks = tuple(decode_mask(item.mask, row.height, row.width) for _, item in asked)
        return Prompted(row.image_id, row.png, image, asked, masks) if asked else None

    nothing = f"{samples}: no sample of the split {spec.split!r} has an object to attack"
    job = Job(SegmenterVictim(segmenter), spec, journal, code, weights, Pace())
    return attack_images(
        job, read_subjects(images, spec.split, prompted, nothing=nothing), output, kept=kept, batch=batch
    )
