"""From embeddings to answers: one prompt set of one classifier on one data set, without the model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medstress.cards.classifier import ImageClassifier, MajorityClass
from medstress.errors import MedstressError
from medstress.models.embed_texts import read_texts
from medstress.models.zeroshot.head import Head, classifier_head, head_of_features
from medstress.models.zeroshot.majority_class import log_shares
from medstress.records import (
    CLEAN,
    EmbeddingRow,
    ImageRow,
    PerturbedRow,
    PredictionRow,
    SampleRow,
    read_groups,
    read_rows,
    record_writer,
)
from medstress.specs import ClassifySpec


@dataclass(frozen=True)
class Records:
    """What answers are made from. `embeddings` and `texts` are one file each, or none where the model has none."""

    images: Path
    samples: Path
    perturbed: Sequence[Path] = ()
    embeddings: Sequence[Path] = ()
    texts: Sequence[Path] = ()


def classify_dataset(spec: ClassifySpec, records: Records, output: Path) -> int:
    """Write one answer an image and cell: clean first, then the perturbations in the order given. Returns how many.

    Raises MedstressError where the embeddings are of other images, or a classifier was made for other classes.
    """
    rows = _by_shares(spec, records) if isinstance(spec.model, MajorityClass) else _by_embeddings(spec, records)
    answered = 0
    with record_writer(output, PredictionRow) as writer:
        for row in rows:
            writer.write([row])
            answered += 1
    return answered


def _sample_ids(records: Records, split: str) -> dict[str, str]:
    """The sample of each image of a split."""
    inside = {row.image_id for row in read_rows(records.images, ImageRow, pixels=False) if row.split == split}
    return {row.image_id: row.sample_id for row in read_rows(records.samples, SampleRow) if row.image_id in inside}


def _head(spec: ClassifySpec, records: Records) -> Head:
    if isinstance(spec.model, ImageClassifier):
        return classifier_head(spec.model, spec.texts)
    known, scale = read_texts(records.texts[0])
    return head_of_features(known, scale, spec.texts)


def _by_embeddings(spec: ClassifySpec, records: Records) -> Iterator[PredictionRow]:
    head, sample_ids = _head(spec, records), _sample_ids(records, spec.split)
    for group in read_groups(records.embeddings[0], EmbeddingRow):
        found = head.logits(np.stack([np.frombuffer(row.embedding, "<f4") for row in group]))
        for row, values in zip(group, found.tolist(), strict=True):
            if row.image_id not in sample_ids:
                raise MedstressError(
                    f"{records.embeddings[0]}: {row.image_id} is no image of the {spec.split} split of {spec.dataset}. "
                    "Delete this record and run the same command again."
                )
            yield _answer(sample_ids[row.image_id], row.perturbation, row.level, tuple(values))


def _by_shares(spec: ClassifySpec, records: Records) -> Iterator[PredictionRow]:
    """The train split's shares as the answer to every image."""
    train, sample_ids = _sample_ids(records, "train"), _sample_ids(records, spec.split)
    shares = log_shares((row for row in read_rows(records.samples, SampleRow) if row.image_id in train), spec.texts)
    for sample_id in sample_ids.values():
        yield _answer(sample_id, CLEAN, 0, shares)
    for path in records.perturbed:
        for group in read_groups(path, PerturbedRow, pixels=False):
            for row in group:
                yield _answer(sample_ids[row.image_id], row.perturbation, row.level, shares)


def _answer(sample_id: str, perturbation: str, level: int, logits: tuple[float, ...]) -> PredictionRow:
    return PredictionRow(sample_id, "", perturbation, level, None, "ok", None, logits)
