"""Cards of strategies: config/strategies/*.yaml. What each method trains is in docs/models.md."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from medstress.cards.strict import Name, Strict
from medstress.names import PerturbationName


class Augmentation(Strict):
    """Perturbations as augmentation: each training image of a step is perturbed with some probability."""

    types: list[PerturbationName] = Field(min_length=1, description="Perturbations, as `medstress list` prints them.")
    levels: list[Annotated[int, Field(ge=1, le=5)]] = Field(default=[1, 2, 3], min_length=1)
    probability: float = Field(0.5, gt=0, le=1, description="That an image of a step is perturbed.")


class FewShot(Strict):
    """A small part of a labelled split, the same share of each class and at least one image of it.

    Smaller parts lie in larger ones: images are ranked once, by a hash of their names and the seed.
    """

    source: Literal["train", "val"] = Field(
        "train",
        description="The split that the images come from. val: the published setting; what is left of val, without "
        "the groups of the chosen images, then chooses the weights.",
    )
    fraction: float | None = Field(None, gt=0, le=1, description="Share of each class.")
    shots: int | None = Field(None, ge=1, description="Images of each class, instead of a share.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.fraction is None) == (self.shots is None):
            raise ValueError("either `fraction` or `shots`")
        return self


class _Strategy(Strict):
    """What every way of adapting a model has."""

    freezes_encoder: ClassVar[bool] = False

    name: Name
    title: str
    train_on: list[Name] = Field(
        min_length=1, description="Data sets whose train splits are used, one run each; scored on that data set alone."
    )
    share: float = Field(1.0, gt=0, le=1, description="Share of the train split, by groups.")
    few_shot: FewShot | None = Field(None, description="Of classifiers: train on a few images of each class.")
    pooled: bool = Field(
        False,
        description="Of classifiers: one training on all data sets of `train_on` together, with the classes of all; "
        "scored on each with its own classes.",
    )
    learning_rate: float = Field(gt=0, description="Largest step size of AdamW, after a warm-up, before a cosine.")
    sweep: list[Annotated[float, Field(gt=0)]] = Field(
        default_factory=list,
        description="Learning rates that are tried in full besides `learning_rate`; the one with the best look at val "
        "is kept.",
    )
    steps: int = Field(ge=1, description="Optimiser steps; the same for every strategy that is compared.")
    batch: int = Field(4, ge=1, description="Images a step.")
    accumulate: int = Field(1, ge=1, description="Parts that a step's batch is cut into, to save memory.")
    warm_up: float = Field(0.1, ge=0, lt=1, description="Share of the steps with a rising learning rate.")
    weight_decay: float = Field(0.01, ge=0, description="Of matrices and kernels; biases and norms have none.")
    clip: float = Field(1.0, gt=0, description="Largest norm of the gradient.")
    check_every: int = Field(20, ge=1, description="Steps between looks at val; the best look is kept.")
    patience: int | None = Field(None, ge=1, description="Stop after this many looks without a better one.")
    seeds: list[int] = Field(default=[0], min_length=1, description="One run a seed; tables show mean and spread.")
    augmentation: Augmentation | None = None
    cached_views: int = Field(
        0,
        ge=0,
        description="With a frozen image encoder: how many fixed variations of each training image are encoded, once. "
        "0 varies and encodes anew at every step.",
    )

    @field_validator("accumulate")
    @classmethod
    def _part_for_every_image(cls, accumulate: int, info: ValidationInfo) -> int:
        if accumulate > info.data.get("batch", accumulate):
            raise ValueError(f"at most `batch`, {info.data['batch']}: a part has at least one image")
        return accumulate

    @field_validator("cached_views")
    @classmethod
    def _views_of_a_frozen_encoder(cls, cached_views: int) -> int:
        if cached_views and not cls.freezes_encoder:
            raise ValueError(
                "0, or a method that freezes the image encoder (decoder_only, decoder_prompt, lora_plus_decoder): "
                "embeddings change with every step where it is trained"
            )
        return cached_views


class Full(_Strategy):
    """Every weight is trained; of a classifier, those of the image encoder."""

    method: Literal["full"]


class DecoderOnly(_Strategy):
    """The mask decoder is trained."""

    freezes_encoder: ClassVar[bool] = True

    method: Literal["decoder_only"]


class DecoderPrompt(_Strategy):
    """The mask decoder and the prompt encoder are trained."""

    freezes_encoder: ClassVar[bool] = True

    method: Literal["decoder_prompt"]


class EncoderPartial(_Strategy):
    """The last blocks of the image encoder, the prompt encoder and the mask decoder are trained."""

    method: Literal["encoder_partial"]
    blocks: int = Field(2, ge=1, description="How many blocks, from the last.")


class AdapterOnly(_Strategy):
    """Adapters in the image encoder are trained: the model's own, or bottlenecks that start as the identity.

    Houlsby et al., "Parameter-efficient transfer learning for NLP", ICML 2019.
    """

    method: Literal["adapter_only"]
    width: int = Field(16, ge=1, description="Width of a bottleneck, where the model has no adapters of its own.")


class _LowRank(_Strategy):
    rank: int = Field(4, ge=1, description="Rank of the update.")
    alpha: int = Field(8, ge=1, description="The update is scaled by alpha / rank.")


class Lora(_LowRank):
    """Low-rank updates of the image encoder's qkv projections (Hu et al., "LoRA", ICLR 2022); all else is frozen."""

    method: Literal["lora"]


class LoraPlusEncoder(_LowRank):
    """LoRA on the image encoder's qkv and output projections, B learning faster; decoder and prompt encoder train too.

    Hayou et al., "LoRA+: efficient low rank adaptation of large models", ICML 2024.
    """

    method: Literal["lora_plus_encoder"]
    ratio: float = Field(16.0, gt=0, description="Learning rate of B over that of A.")


class LoraPlusDecoder(_LowRank):
    """LoRA on the mask decoder's attention projections, B learning faster; the prompt encoder trains too."""

    freezes_encoder: ClassVar[bool] = True

    method: Literal["lora_plus_decoder"]
    ratio: float = Field(16.0, gt=0, description="Learning rate of B over that of A.")


class ImageLora(_LowRank):
    """Low-rank updates in the image encoder of a classifier; the text encoder and all else are frozen."""

    method: Literal["image_lora"]
    targets: list[Literal["q", "k", "v", "out", "mlp", "conv"]] = Field(
        default=["q", "k", "v", "out", "mlp"],
        min_length=1,
        description="Which layers: projections of attention and the MLP's layers of a transformer, or the convolutions "
        "of a ResNet.",
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="Of the input of the update, while training.")
    temperature: float | None = Field(
        None, gt=0, description="Of the softmax over cosines; none means the model's own, 1 / its logit scale."
    )


class _Vlm(_Strategy):
    """What every way of adapting a vision-language model has: it learns the answers of the training questions."""

    steps: int = Field(0, ge=0, description="Optimiser steps; leave it out where `epochs` says how long.")
    epochs: float = Field(0, ge=0, description="Passes over the training questions, instead of `steps`.")
    batch: int = Field(4, ge=1, description="Questions a step.")
    schedule: Literal["cosine", "linear"] = Field(
        "cosine", description="How the learning rate falls after the warm-up."
    )
    images: bool = Field(
        True, description="false: questions are learnt without their images, which shows what the words alone teach."
    )
    shift: Name | None = Field(
        None,
        description="A shift of the training set: of train and val, only what is in distribution is used.",
    )
    projector: bool = Field(
        False, description="Train the layers between the image encoder and the language model, too."
    )
    projector_rate: float | None = Field(
        None, gt=0, description="Learning rate of these layers; `learning_rate`, or the sweep's, where it is left out."
    )
    gradient_checkpointing: bool = Field(
        False, description="Compute activations anew on the way back: less memory, more time, the same gradients."
    )

    @model_validator(mode="after")
    def _of_answers(self) -> Self:
        problems = []
        if bool(self.steps) == bool(self.epochs):
            problems.append("either `steps` or `epochs`")
        if unused := [name for name in ("few_shot", "pooled", "augmentation") if getattr(self, name)]:
            problems.append(f"{self.method} has no {' and no '.join(unused)}")  # type: ignore[attr-defined]
        if self.batch % self.accumulate:
            problems.append(f"batch {self.batch} is not a multiple of accumulate {self.accumulate}")
        if self.projector and not self.images:
            problems.append("`projector: true` needs images: without them nothing passes it")
        if self.projector_rate is not None and not self.projector:
            problems.append("`projector_rate` needs `projector: true`")
        if problems:
            raise ValueError("; ".join(problems))
        return self


class VlmLora(_Vlm, _LowRank):
    """Low-rank updates of linear layers of the language model of a vision-language model."""

    method: Literal["vlm_lora"]
    dropout: float = Field(0.0, ge=0, lt=1, description="Of the input of the update, while training.")
    targets: list[str] = Field(
        default_factory=list,
        description="Last parts of the layers' names, such as q_proj. None: every linear layer but the output layer.",
    )


class VlmIa3(_Vlm):
    """Factors for keys, values and hidden units of the language model of a vision-language model, which start as 1.

    (IA)^3: Liu et al., "Few-shot parameter-efficient fine-tuning is better and cheaper than in-context learning",
    NeurIPS 2022.
    """

    method: Literal["vlm_ia3"]
    targets: list[str] = Field(
        default=["k_proj", "v_proj"],
        min_length=1,
        description="Last parts of the names of layers whose outputs are multiplied.",
    )
    feed_forward: list[str] = Field(
        default=["down_proj"], min_length=1, description="The same of layers whose inputs are multiplied, in the MLPs."
    )


class VlmPrompt(_Vlm):
    """Virtual tokens before every prompt of a vision-language model, whose embeddings are trained.

    Lester et al., "The power of scale for parameter-efficient prompt tuning", EMNLP 2021. They start as embeddings of
    words that are drawn, so the model does not start with the answers that it had.
    """

    method: Literal["vlm_prompt"]
    tokens: int = Field(80, ge=1, description="How many.")


class VlmFull(_Vlm):
    """Every weight of the language model of a vision-language model is trained; the image encoder is frozen."""

    method: Literal["vlm_full"]


Vlm = VlmLora | VlmIa3 | VlmPrompt | VlmFull
"""The methods for vision-language models."""
Strategy = Annotated[
    Full
    | DecoderOnly
    | DecoderPrompt
    | EncoderPartial
    | AdapterOnly
    | Lora
    | LoraPlusEncoder
    | LoraPlusDecoder
    | ImageLora
    | VlmLora
    | VlmIa3
    | VlmPrompt
    | VlmFull,
    Field(discriminator="method"),
]
