"""Cards of models, whatever they are asked."""

from typing import Annotated

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
from medstress.cards.segmenter import BoxFill, DeepLabV3, GrabCut, MedSam, Sam, SamMed2d, UNet

Segmenter = BoxFill | GrabCut | Sam | MedSam | SamMed2d | UNet | DeepLabV3
Classifier = MajorityClass | Clip | OpenClip | UniMedClip | MedClip | RobustMedClip | ImageClassifier
ModelCard = Annotated[Segmenter | Classifier, Field(discriminator="adapter")]
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
    | ImageClassifier,
    Field(discriminator="adapter"),
]
