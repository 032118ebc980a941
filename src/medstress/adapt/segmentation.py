"""How a segmenter learns: the loss is its own, and the mean IoU on val says what is better."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from torch import Tensor, nn

from medstress.adapt.batches import Batch, Batches, cached_batches, fresh_batches
from medstress.adapt.examples import StoredExample, share_of
from medstress.adapt.trainable import apply_strategy, kept_tensors
from medstress.adapt.trainer import Outcome, train
from medstress.cards.learned import Learned
from medstress.cards.strategy import Strategy
from medstress.models.segmentation.protocol import LearnedSegmenter

# Images of val that are held decoded at a time.
_LOOK = 8


def mean_iou(segmenter: LearnedSegmenter, examples: Sequence[StoredExample]) -> float:
    """Mean IoU over all objects of the examples, prompted with their boxes."""
    values: list[float] = []
    rest: Iterator[StoredExample] = iter(examples)
    while part := [stored.decoded() for stored in islice(rest, _LOOK)]:
        answers = segmenter.predict([example.image for example in part], [example.boxes for example in part])
        values += [
            float((answer & truth).sum() / max((answer | truth).sum(), 1))
            for example, masks in zip(part, answers, strict=True)
            for answer, truth in zip(masks, example.masks, strict=True)
        ]
    return sum(values) / len(values)


@dataclass(frozen=True)
class SegmentationLearner:
    """A segmenter with its batches and val: a :class:`medstress.adapt.trainer.Learner`."""

    segmenter: LearnedSegmenter
    batches: Batches
    validation: Sequence[StoredExample]
    score: str = "iou"

    @property
    def model(self) -> nn.Module:
        """The network."""
        return self.segmenter.model

    def batch(self, step: int) -> Batch:
        """The batch of a step."""
        return self.batches(step)

    def loss(self, part: Batch) -> Tensor:
        """The segmenter's own loss, the mean over objects."""
        images = [example.image for example in part.examples]
        boxes, masks = ([getattr(example, name) for example in part.examples] for name in ("boxes", "masks"))
        return self.segmenter.loss(images, boxes, masks, embeddings=part.embeddings)

    def look(self) -> float:
        """Mean IoU over the objects of val."""
        return mean_iou(self.segmenter, self.validation)


def train_segmenter(
    segmenter: LearnedSegmenter,
    card: Learned,
    strategy: Strategy,
    seed: int,
    training: Sequence[StoredExample],
    validation: Sequence[StoredExample],
    folder: Path,
) -> list[Outcome]:
    """Adapt `segmenter` in place: see :func:`medstress.adapt.trainer.train`.

    Raises MedstressError where the model lacks what the strategy trains, and where no rate's loss stayed finite.
    """
    apply_strategy(segmenter.model, segmenter.parts, strategy, seed, name=card.name)
    used = share_of(training, strategy.share, seed)
    if strategy.cached_views:
        trained = kept_tensors(segmenter.model)
        assert not any(re.match(segmenter.parts.encoder, name) for name in trained), "cached embeddings would grow old"
        batches = cached_batches(segmenter, used, strategy, seed, folder / "views")
    else:
        batches = fresh_batches(used, strategy, seed)
    return train(SegmentationLearner(segmenter, batches, validation), card, strategy, seed, folder)
