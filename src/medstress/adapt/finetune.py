"""Makes one checkpoint of a segmenter: the trained tensors, and a record of how they came about."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from medstress.adapt.checkpoint import write_checkpoint
from medstress.adapt.examples import read_examples
from medstress.adapt.segmentation import train_segmenter
from medstress.adapt.trainable import apply_strategy, load_tensors
from medstress.adapt.variation import check_augmentation
from medstress.cards.model import LearnedCard
from medstress.cards.strategy import Strategy
from medstress.errors import MedstressError
from medstress.journal import content_key, files_key
from medstress.models.registry import load_segmenter, weight_files
from medstress.models.segmentation.protocol import LearnedSegmenter
from medstress.specs import FinetuneSpec


def finetune(
    spec: FinetuneSpec,
    images: Sequence[Path],
    samples: Sequence[Path],
    tensors: Path,
    training: Path,
    *,
    journal: Path,
    code: str,
) -> dict[str, int]:
    """Adapt the segmenter of `spec` to the train split and write `tensors` (safetensors) and `training` (JSON).

    `images` and `samples` hold one record each. What an unfinished training has done lies in the folder `journal`,
    under a name that the inputs determine; it is removed when both files are there. Returns the step that the training
    was found at and the steps done since, over all learning rates. Raises MedstressError where a split is empty, the
    strategy is for classifiers, the model lacks what the strategy trains, no perturbation of the augmentation fits the
    images, or the loss is not finite.
    """
    [image_record], [sample_record] = images, samples
    if spec.strategy.few_shot or spec.strategy.pooled:
        raise MedstressError(
            f"strategy {spec.strategy.name}: few_shot and pooled are for classifiers, and {spec.model.name} segments. "
            "Take them out of its card; `share` trains on a share of the train split."
        )
    folder = journal / content_key(
        code, spec.model_dump_json(), files_key([image_record, sample_record, *weight_files(spec.model)])
    )
    window = None if spec.window is None else (spec.window.low, spec.window.high)
    train_set, val_set = (
        read_examples(image_record, sample_record, split, background=spec.background, window=window)
        for split in ("train", "val")
    )
    check_augmentation(spec.strategy, train_set)
    segmenter = cast(LearnedSegmenter, load_segmenter(spec.model))
    outcomes = train_segmenter(segmenter, spec.model, spec.strategy, spec.seed, train_set, val_set, folder)
    examples = {
        "train_images": len(train_set),
        "train_objects": sum(len(stored.sample.objects) for stored in train_set),
    }
    steps = write_checkpoint(segmenter.model, outcomes, spec, "iou", examples, tensors, training)
    shutil.rmtree(folder)
    return steps


def load_adapted(card: LearnedCard, strategy: Strategy, seed: int, tensors: Path) -> LearnedSegmenter:
    """The segmenter of a card with the trained tensors of a strategy in place, ready to predict."""
    segmenter = cast(LearnedSegmenter, load_segmenter(card))
    apply_strategy(segmenter.model, segmenter.parts, strategy, seed, name=card.name)
    load_tensors(segmenter.model, tensors)
    segmenter.model.requires_grad_(False)
    segmenter.model.train(False)
    return segmenter
