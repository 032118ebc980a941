"""What each stage needs to know: the slices of a study that become Snakemake parameters, as JSON."""

from typing import Literal, get_args

from pydantic import Field

from medstress.cards.attack import Attack, PromptJitter
from medstress.cards.classification import Classes, Corrupted
from medstress.cards.classifier import LearnedClassifier
from medstress.cards.dataset import DatasetCard
from medstress.cards.download import Download
from medstress.cards.generation import Shift
from medstress.cards.images import Resize, Window
from medstress.cards.judge import Judge, JudgeModel
from medstress.cards.model import Classifier, GeneratorCard, LearnedCard, ModelCard
from medstress.cards.question_prompts import QuestionPrompts
from medstress.cards.strategy import Strategy
from medstress.cards.strict import Strict
from medstress.config import BANDS, Band, ClassScoring, Limit, Scoring
from medstress.names import (
    CaptionMetricName,
    GroundingMetricName,
    Modality,
    ScaleName,
    Split,
    Task,
    TypeName,
    VqaMetricName,
)

GENERATION_METRICS: dict[Task, tuple[str, ...]] = {
    "vqa": get_args(VqaMetricName),
    "captioning": get_args(CaptionMetricName),
    "grounding": get_args(GroundingMetricName),
}
"""The metrics of answers in words, all of which are scored."""


class PrepareSpec(Strict):
    """What prepare_dataset needs to know."""

    card: DatasetCard
    limit: Limit
    corrupted: dict[str, str] = Field(
        default_factory=dict,
        description="The study's types that are read from disk, and what files there call them; checked to be there.",
    )
    levels: list[int] = Field(default_factory=list, description="Levels of these.")
    split: Split = "test"


class FetchSpec(Strict):
    """What fetch_dataset and fetch_weights need to know."""

    name: str
    downloads: list[Download]
    folder: str
    wanted: list[str] = Field(description="Files and folders that must be there in the end.")
    sha256: dict[str, str] = Field(default_factory=dict, description="Of files that must be there.")


class SeveritySpec(Strict):
    """How levels become strengths: see `Perturbations` in medstress.config."""

    scale: ScaleName = "ssim"
    compat: bool = False
    variant: str = ""
    bands: dict[int, Band] = BANDS
    multipliers: dict[int, float] = Field(default_factory=dict)


class CorruptedSpec(Strict):
    """Where corrupted images of one type lie."""

    source: Corrupted
    original: str = Field(description="What the files call the type.")
    size: Resize = Resize()
    classes: int = Field(description="How many classes labels may be of.")


class PerturbSpec(Strict):
    """What perturb needs to know."""

    dataset: str
    modality: Modality | None = Field(description="None: images of several modalities, as their record says.")
    perturbation: TypeName
    levels: list[int]
    split: Split
    background: int
    window: Window | None = None
    severity: SeveritySpec = SeveritySpec()
    corrupted: CorruptedSpec | None = Field(None, description="Images are read from disk instead of being made.")


class ClassTexts(Strict):
    """What an image-text model is asked about a data set: the texts of each class, in the order of its labels."""

    kind: Literal["multi_class", "multi_label", "ordinal"] = "multi_class"
    classes: list[str] = Field(description="Names of the classes.")
    texts: list[list[str]] = Field(description="Texts of each class.")
    negatives: list[list[str]] = Field(
        default_factory=list, description="With multi_label: texts of each class for that it is not there."
    )
    combine: Literal["features", "mean_logits", "max_logits"] = "features"


class FinetuneSpec(Strict):
    """What finetune needs to know."""

    model: LearnedCard
    strategy: Strategy
    trainset: str
    seed: int
    background: int = 0
    window: Window | None = None
    texts: dict[str, ClassTexts] = Field(
        default_factory=dict, description="Of classifiers: what is asked about each data set of the training."
    )
    question_prompts: QuestionPrompts = Field(
        QuestionPrompts(),
        description="Of vision-language models: the texts around a question, as they are asked later.",
    )
    shift: Shift | None = Field(
        None, description="Of vision-language models: only what this shift calls in distribution is used."
    )


class PredictSpec(Strict):
    """What predict needs to know."""

    run: str
    model: ModelCard
    strategy: Strategy | None = None
    seed: int | None = None
    dataset: str
    split: Split
    prompt: Literal["moved", "clean"]
    prompts: list[PromptJitter] = Field(default_factory=list, description="Asked about clean images besides.")
    levels: list[int] = Field(default_factory=list, description="Levels of these prompts.")


class EmbedSpec(Strict):
    """What embed needs to know."""

    encoder: str
    model: LearnedClassifier
    strategy: Strategy | None = None
    seed: int | None = None
    dataset: str
    split: Split


class EmbedTextsSpec(Strict):
    """What embed_texts needs to know."""

    model: LearnedClassifier
    texts: list[str]


class ClassifySpec(Strict):
    """What classify needs to know."""

    run: str
    model: Classifier
    strategy: Strategy | None = None
    seed: int | None = None
    dataset: str
    split: Split
    texts: ClassTexts


class AnswerSpec(Strict):
    """What answer needs to know."""

    run: str
    model: GeneratorCard
    strategy: Strategy | None = None
    seed: int | None = None
    image: bool = Field(True, description="Whether the model is shown the image.")
    dataset: str
    split: Split
    prompts: QuestionPrompts = QuestionPrompts()
    shifts: list[Shift] = Field(default_factory=list, description="The data set's shifts, to which train may lend.")
    third_party_api: Literal["forbidden", "allowed"] = "forbidden"


class AttackSpec(Strict):
    """What attack needs to know."""

    run: str
    model: LearnedCard
    strategy: Strategy | None = None
    seed: int | None = None
    dataset: str
    split: Split
    levels: list[int]
    attacks: list[Attack]
    texts: ClassTexts | None = Field(None, description="Of classifiers: what is asked.")


class JudgeSpec(Strict):
    """What judge needs to know."""

    judge: Judge
    model: JudgeModel
    run: str
    dataset: str
    third_party_api: Literal["forbidden", "allowed"] = "forbidden"


class EmbedCaptionsSpec(Strict):
    """What embed_captions needs to know."""

    encoder: str = Field(description="Folder of the encoder of sentences.")


class ScoreSpec(Strict):
    """What score needs to know."""

    task: Task = "segmentation"
    run: str
    seed: int = 0
    dataset: str
    split: Split
    scoring: Scoring
    unmoved: list[str] = Field(
        default_factory=list, description="Attacks and prompts: cells whose truth is that of the clean image."
    )
    classes: Classes | None = Field(None, description="Of classification: what labels mean.")
    classification: ClassScoring = ClassScoring()
    shifts: list[Shift] = Field(
        default_factory=list,
        description="Of answers in words: the data set's shifts, of which the run has seen one side alone.",
    )
    partial: list[str] = Field(
        default_factory=list, description="Perturbations that are made for some of the images: those of a modality."
    )
