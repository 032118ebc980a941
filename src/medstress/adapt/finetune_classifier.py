"""Makes one checkpoint of a classifier: the trained tensors, and a record of how they came about."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from medstress.adapt.checkpoint import write_checkpoint
from medstress.adapt.classification import check_pool, facts_of, train_classifier
from medstress.adapt.few_shot import choose
from medstress.adapt.image_encoder import apply_to_encoder
from medstress.adapt.trainable import load_tensors
from medstress.adapt.variation import check_augmentation
from medstress.cards.classifier import LearnedClassifier
from medstress.cards.strategy import Strategy
from medstress.journal import content_key, files_key
from medstress.models.registry import weight_files
from medstress.models.zeroshot.load import load_classifier
from medstress.models.zeroshot.protocol import ImageEncoder
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
    """Adapt the classifier of `spec` and write `tensors` (safetensors) and `training` (JSON).

    `images` and `samples` are the records of the data sets of `spec.texts`, in its order. What an unfinished training
    has done lies in the folder `journal`, under a name that the inputs determine; it is removed when both files are
    there. Returns the step that the training was found at and the steps done since, over all learning rates. Raises
    MedstressError where there is nothing to train on or to choose with, the data sets cannot be trained on together,
    the model lacks what the strategy trains, no perturbation of the augmentation fits the images, or the loss is not
    finite.
    """
    card = cast(LearnedClassifier, spec.model)
    check_pool(card, spec.strategy, spec.texts)
    folder = journal / content_key(code, spec.model_dump_json(), files_key([*images, *samples, *weight_files(card)]))
    window = None if spec.window is None else (spec.window.low, spec.window.high)
    choices = {
        name: choose(pictures, labels, spec.strategy, spec.seed, name, background=spec.background, window=window)
        for name, pictures, labels in zip(spec.texts, images, samples, strict=True)
    }
    check_augmentation(spec.strategy, [stored for choice in choices.values() for stored in choice.training])
    encoder = load_classifier(card)
    outcomes = train_classifier(encoder, card, spec.strategy, spec.seed, spec.texts, choices, folder)
    examples = facts_of(choices, spec.texts)
    steps = write_checkpoint(encoder.model, outcomes, spec, "accuracy", examples, tensors, training)
    shutil.rmtree(folder)
    return steps


def load_adapted(card: LearnedClassifier, strategy: Strategy, seed: int, tensors: Path) -> ImageEncoder:
    """The classifier of a card with the trained tensors of a strategy in place, ready to answer or to be attacked."""
    encoder = load_classifier(card)
    apply_to_encoder(encoder, strategy, seed, name=card.name)
    load_tensors(encoder.model, tensors)
    encoder.model.requires_grad_(False)
    encoder.model.train(False)
    return encoder
