"""Classifiers by their cards."""

from importlib import import_module
from pathlib import Path
from typing import cast

from medstress.cards.classifier import ImageClassifier, ImageText, LearnedClassifier
from medstress.models.registry import CLASSIFIERS
from medstress.models.torchvision_bridge import make_torchvision_importable
from medstress.models.zeroshot.head import Head, classifier_head, text_head
from medstress.models.zeroshot.protocol import ImageEncoder, ImageTextModel
from medstress.specs import ClassTexts


def load_classifier(card: LearnedClassifier, root: Path = Path()) -> ImageEncoder:
    """The image encoder behind the card of a classifier; an ImageTextModel where it is asked with texts.

    Weights are relative to `root`.
    """
    make_torchvision_importable()
    encoder: ImageEncoder = import_module(CLASSIFIERS[card.adapter]).load(card, root)
    return encoder


def load_image_text(card: LearnedClassifier, root: Path = Path()) -> ImageTextModel:
    """As :func:`load_classifier`, of a card that is asked with texts."""
    assert isinstance(card, ImageText), card.adapter
    return cast(ImageTextModel, load_classifier(card, root))


def head_of(card: LearnedClassifier, encoder: ImageEncoder, task: ClassTexts) -> Head:
    """What makes the embeddings of an encoder answers about a data set's classes.

    Raises MedstressError where a classifier without texts was made for other classes.
    """
    if isinstance(card, ImageClassifier):
        return classifier_head(card, task)
    return text_head(cast(ImageTextModel, encoder), task)
