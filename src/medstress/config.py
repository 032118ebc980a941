"""Studies: config/*.yaml. With the cards, the single source of what a configuration may say.

YAML is read into frozen pydantic models, extra keys are forbidden, and the JSON schema in workflow/schemas is
generated from these classes (`medstress schema`). :mod:`medstress.configfile` reads files and reports problems.
"""

from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from medstress.cards.attack import Attack, PromptJitter
from medstress.cards.judge import Judge
from medstress.cards.prompts import PUBLISHED, PromptSet
from medstress.cards.question_prompts import QuestionPrompts
from medstress.cards.strict import Name, Strict
from medstress.names import ClassMetricName, FigureName, MetricName, ScaleName, Split, TableName, TypeName

RUN_PATTERN = (
    r"^(?P<model>[a-z0-9][a-z0-9_]*)(\+(?P<strategy>[a-z0-9_]+))?"
    r"(@(?P<trainset>[a-z0-9_]+))?(~(?P<variant>[a-z0-9_]+))?$"
)


class Limit(Strict):
    """A deterministic part of every data set: the same images and objects on every machine."""

    images: int | None = Field(None, ge=1, description="Images a split, taken from the groups in turn.")
    objects: int | None = Field(None, ge=1, description="Objects an image.")
    per_class: int | None = Field(
        None,
        ge=1,
        description="Images of each class and split of a classification data set; `images` is not for these.",
    )
    asked: int | None = Field(
        None,
        ge=1,
        description="Images a split of a data set of questions, captions or boxes, instead of `images`.",
    )
    splits: list[Split] = Field(
        default=["train", "val", "test"],
        min_length=1,
        description="Which splits are cut. Without train, models are trained on all images and asked about some.",
    )

    def of(self, split: Split) -> "Limit":
        """What is limited in a split."""
        return self if split in self.splits else Limit()


Level = Annotated[int, Field(ge=1, le=5)]
Band = tuple[float, float]
"""Lowest and highest SSIM of a level."""

BANDS: dict[int, Band] = {1: (0.90, 0.98), 2: (0.80, 0.89), 3: (0.70, 0.79), 4: (0.60, 0.69), 5: (0.50, 0.59)}
"""The published bands. They do not touch, so reached levels are strictly ordered."""


class Perturbations(Strict):
    """What is done to the images.

    A type that belongs to a modality is made for the data sets of that modality and left out for the others.
    """

    types: list[TypeName] = Field(min_length=1)
    unfitting: Literal["error", "leave_out"] = Field(
        "error",
        description="What becomes of a type that fits none of the study's data sets. leave_out: nothing, so that one "
        "list of types serves several studies.",
    )
    levels: list[Level] = Field(default=[1, 2, 3, 4, 5], min_length=1)
    scale: ScaleName = Field(
        "ssim",
        description="ssim: each level is a band of SSIM, solved for on every image; types that only displace pixels "
        "take the strengths of a table. The others are the fixed strengths of a publication: `medstress list --scale`.",
    )
    compat: bool = Field(
        False, description="With a published scale: reproduce what is known to be wrong in the original code as well."
    )
    bands: dict[Level, Band] = Field(
        default=BANDS, description="Lowest and highest SSIM of each level; levels that are left out keep theirs."
    )
    multipliers: dict[Level, Annotated[float, Field(ge=0.1, le=10)]] = Field(
        default_factory=dict, description="Factor on the strength of a level, where strengths come from a table."
    )
    variants: dict[str, str] = Field(
        default_factory=dict,
        description="For scales that differ by data set: which of the scale's data sets each of the study's counts as, "
        "such as nuclei: bloodmnist.",
    )
    prompt: Literal["moved", "clean"] = Field(
        "moved", description="moved: the box follows the object. clean: the box stays, as in the published study."
    )

    @field_validator("bands")
    @classmethod
    def _bands_in_order(cls, bands: dict[int, Band]) -> dict[int, Band]:
        whole = {**BANDS, **bands}
        edges = [edge for level in sorted(whole) for edge in reversed(whole[level])]
        if not all(1 > first > second > 0 for first, second in pairwise(edges)):
            shown = ", ".join(f"{level}: [{low:g}, {high:g}]" for level, (low, high) in sorted(whole.items()))
            raise ValueError(f"bands inside 0..1 that fall from level to level and do not touch; together: {shown}")
        return whole


class Scoring(Strict):
    """How answers are scored."""

    metrics: list[MetricName] = Field(default=["iou", "dice", "hd95", "nsd"], min_length=1)
    nsd_tolerance: float = Field(
        2.0, gt=0, description="Tolerance of the normalised surface Dice, in pixels of the clean image."
    )


class ClassScoring(Strict):
    """How the answers of classifiers are scored."""

    metrics: list[ClassMetricName] = Field(
        default=["accuracy", "balanced_accuracy", "auroc", "ece", "qwk"],
        min_length=1,
        description="accuracy, balanced accuracy, macro AUROC (one class against the rest), expected calibration "
        "error, and quadratic weighted kappa, which only ordinal data sets get.",
    )
    error: Literal["accuracy", "balanced_accuracy"] = Field(
        "accuracy", description="What corruption errors are made of: 1 - accuracy, or 1 - balanced accuracy."
    )
    normaliser: str | None = Field(
        None,
        description="The run that corruption errors are relative to, which is 100; or alexnet, the published errors on "
        "MedMNIST-C, which are 1. None gives absolute errors alone.",
    )
    ece_bins: int = Field(15, ge=2, le=100, description="Bins of confidence, of equal width.")


class Statistics(Strict):
    """How intervals are made."""

    resamples: int = Field(10_000, ge=100, description="Bootstrap resamples of groups.")
    confidence: float = Field(0.95, gt=0, lt=1)
    min_groups: int = Field(5, ge=2, description="With fewer groups the interval cell says `few groups`.")


class Study(Strict):
    """One study: data sets x runs x perturbations, and the tables and figures that come out."""

    study: Name = Field(description="Results go to results/{study}/.")
    datasets: list[str] = Field(min_length=1, description="Names of cards in config/datasets.")
    runs: list[Annotated[str, Field(pattern=RUN_PATTERN)]] = Field(
        min_length=1,
        description="model[+strategy][@trainset][~variant]; models are cards in config/models. Without a strategy, @ "
        "names the one data set that a model which answers in words is asked about.",
    )
    perturbations: Perturbations
    attacks: list[Attack] = Field(
        default_factory=list, description="White-box attacks on every run that has gradients."
    )
    attacked_datasets: list[str] = Field(
        default_factory=list, description="Those of the study's data sets that attacks are made on; none means all."
    )
    transfer: bool = Field(
        False, description="Also show each run the adversarial images of the other models; attacks must keep them."
    )
    prompts: list[PromptJitter] = Field(
        default_factory=list, description="Boxes grown, shrunk or shifted, on clean images."
    )
    prompt_sets: list[PromptSet] = Field(
        default=[PUBLISHED],
        min_length=1,
        description="What image-text models are asked. With several, each is a run of its own, such as clip~ensemble; "
        "adapted runs are asked the first.",
    )
    question_prompts: QuestionPrompts = QuestionPrompts()
    judges: list[Judge] = Field(
        default_factory=list,
        description="Models that grade every answer to a question. The scores of the first are metrics of the study; "
        "the table judge_agreement compares all.",
    )
    caption_encoder: str | None = Field(
        None,
        description="Folder of an encoder of sentences, all-MiniLM-L6-v2, relative to the project: captions then have "
        "the metric caption_similarity. docs/models.md says how to get it.",
    )
    ratings: list[str] = Field(
        default_factory=list,
        description="CSV files with what people said of answers, made with `medstress rating-sheet`, for the table "
        "judge_agreement; relative to the project.",
    )
    split: Split = Field("test", description="The split that is perturbed and scored.")
    limit: Limit = Limit()
    scoring: Scoring = Scoring()
    classification: ClassScoring = ClassScoring()
    statistics: Statistics = Statistics()
    claims: list[Name] | None = Field(
        None,
        description="Claims that the table `claims` tests: cards in config/claims, or in claims/ beside the study. "
        "Without this key, all that are of a task which the study has.",
    )
    tables: list[TableName] = Field(
        default_factory=list, description="Without this key, the main ones of the tasks that the study has."
    )
    figures: list[FigureName] = Field(
        default_factory=list, description="Without this key, all that have something to show in the study."
    )

    @model_validator(mode="after")
    def _no_duplicates(self) -> Self:
        lists: dict[str, list[Any]] = {
            "datasets": self.datasets,
            "runs": self.runs,
            "perturbations.types": self.perturbations.types,
            "perturbations, attacks and prompts": [
                "clean",
                *self.perturbations.types,
                *(attack.name for attack in self.attacks),
                *(prompt.name for prompt in self.prompts),
            ],
            "perturbations.levels": self.perturbations.levels,
            "prompt_sets": [one.name for one in self.prompt_sets],
            "judges": [judge.name for judge in self.judges],
            "ratings": self.ratings,
            "claims": self.claims or [],
            "scoring.metrics": self.scoring.metrics,
            "classification.metrics": self.classification.metrics,
            "tables": self.tables,
            "figures": self.figures,
        }
        for key, values in lists.items():
            if twice := sorted({str(value) for value in values if values.count(value) > 1}):
                raise ValueError(f"{key} names {', '.join(twice)} more than once")
        return self

    @model_validator(mode="after")
    def _transfer_has_images(self) -> Self:
        if self.transfer and not any(attack.keep_images for attack in self.attacks):
            raise ValueError("transfer needs an attack with keep_images: true")
        return self
