"""What an image-text model is asked: the texts that stand for classes."""

import re
from string import Formatter
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from medstress.cards.strict import Name, Strict

FIELDS = ("class", "modality", "dataset")
"""What a template may name, in braces."""


class PromptSet(Strict):
    """Templates, each of which makes one text a class; {class}, {modality} and {dataset} come from the card."""

    name: Name = Field(description="Its name in runs and tables, such as ensemble.")
    templates: list[str] = Field(min_length=1, description="Texts with {class} and, if wanted, {modality}, {dataset}.")
    combine: Literal["features", "mean_logits", "max_logits"] = Field(
        "features",
        description="What becomes of several templates. features: the mean of their unit features, made unit again. "
        "mean_logits, max_logits: the mean or largest logit.",
    )
    negatives: list[str] = Field(
        default=["a medical image without {class}"],
        min_length=1,
        description="With multi_label classes: texts for a label that is not there; its logit is the difference.",
    )

    @field_validator("name")
    @classmethod
    def _no_seed(cls, name: str) -> str:
        if re.fullmatch(r"seed\d+", name):
            raise ValueError("another name: in runs, this one means a seed")
        return name

    @model_validator(mode="after")
    def _known_fields(self) -> Self:
        for template in (*self.templates, *self.negatives):
            try:
                names = [name for _, name, _, _ in Formatter().parse(template) if name is not None]
            except ValueError as error:
                raise ValueError(f"{template!r} is no template: {error}") from None
            if unknown := [name for name in names if name not in FIELDS]:
                raise ValueError(
                    f"{template!r} names {{{unknown[0]}}}; known are {{class}}, {{modality}} and {{dataset}}"
                )
            if "class" not in names:
                raise ValueError(f"{template!r} does not name {{class}}, so all classes would have one text")
        return self


PUBLISHED = PromptSet(name="published", templates=["a medical image of a {class} belonging to {dataset}"])
"""The prompt that RobustMedCLIP is evaluated with (Imam et al., arXiv 2505.15425)."""
