"""Cards of models, whatever they are asked."""

from typing import Annotated, get_args

from pydantic import Field

from medstress.cards.classifier import (
    Clip,
    ImageClassifier,
    MajorityClass,
    MedClip,
    OpenClip,
    RobustMedClip,
    UniMedClip,
)
from medstress.cards.generator import GeminiApi, MajorityAnswer, OpenAiApi
from medstress.cards.learned import Learned
from medstress.cards.local_vlm import LocalVlm
from medstress.cards.segmenter import BoxFill, DeepLabV3, GrabCut, MedSam, Sam, SamMed2d, UNet
from medstress.names import GenerationTask, Task

Segmenter = BoxFill | GrabCut | Sam | MedSam | SamMed2d | UNet | DeepLabV3
Classifier = MajorityClass | Clip | OpenClip | UniMedClip | MedClip | RobustMedClip | ImageClassifier
Generator = LocalVlm | OpenAiApi | GeminiApi | MajorityAnswer
ModelCard = Annotated[Segmenter | Classifier | Generator, Field(discriminator="adapter")]
GeneratorCard = Annotated[Generator, Field(discriminator="adapter")]
LearnedCard = Annotated[
    Sam
    | MedSam
    | SamMed2d
    | UNet
    | DeepLabV3
    | Clip
    | OpenClip
    | UniMedClip
    | MedClip
    | RobustMedClip
    | ImageClassifier
    | LocalVlm,
    Field(discriminator="adapter"),
]


def tasks_of(card: ModelCard) -> frozenset[Task]:
    """What a model can be asked: one task, or of a generator all whose answers are words."""
    if isinstance(card, Generator):
        return frozenset(get_args(GenerationTask))
    return frozenset(("classification" if isinstance(card, Classifier) else "segmentation",))


def has_gradients(card: ModelCard) -> bool:
    """Whether a model can be attacked with its own gradients, by the pixels of its image."""
    return isinstance(card, Learned) and not isinstance(card, LocalVlm)
