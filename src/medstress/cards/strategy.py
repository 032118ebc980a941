"""Cards of strategies: config/strategies/*.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from medstress.cards.strict import Name, Strict


class _Strategy(Strict):
    """What every way of adapting a model has."""

    name: Name
    title: str
    train_on: list[Name] = Field(
        min_length=1, description="Data sets whose train splits are used, one run each; scored on that data set alone."
    )
    share: float = Field(1.0, gt=0, le=1, description="Share of the train split, by groups.")
    learning_rate: float = Field(gt=0, description="Largest step size of AdamW, after a warm-up, before a cosine.")
    steps: int = Field(ge=1, description="Optimiser steps; the same for every strategy that is compared.")
    batch: int = Field(4, ge=1, description="Images a step.")
    check_every: int = Field(20, ge=1, description="Steps between looks at val; the best look is kept.")
    seeds: list[int] = Field(default=[0], min_length=1, description="One run a seed; tables show mean and spread.")


class Full(_Strategy):
    """Every weight is trained."""

    method: Literal["full"]


class DecoderOnly(_Strategy):
    """The mask decoder is trained, the encoders are frozen."""

    method: Literal["decoder_only"]


class Lora(_Strategy):
    """Low-rank updates of the image encoder's qkv projections (Hu et al., "LoRA", ICLR 2022); all else is frozen."""

    method: Literal["lora"]
    rank: int = Field(4, ge=1, description="Rank of the update.")
    alpha: int = Field(8, ge=1, description="The update is scaled by alpha / rank.")


Strategy = Annotated[Full | DecoderOnly | Lora, Field(discriminator="method")]
