"""Attacks of a study: images changed on purpose, with the model's own gradients."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from medstress.cards.strict import Name, Strict

EPSILONS = (2.0, 4.0, 6.0, 8.0, 10.0)
"""Published radii of levels 1 to 5, in grey levels."""
STEPS = (3, 5, 7, 10, 15)
"""Published steps of PGD at levels 1 to 5."""
# No two images of 3 x 224 x 224 values are further apart than 98 938.
_LARGEST = {"linf": 255, "l2": 100_000}


class Attack(Strict):
    """FGSM (Goodfellow et al., ICLR 2015) or PGD (Madry et al., ICLR 2018) in a ball around the image; five levels."""

    name: Name = Field(description="Its name in records and tables, such as pgd or pgd_inside_box.")
    method: Literal["fgsm", "pgd"]
    norm: Literal["linf", "l2"] = Field(
        "linf",
        description="linf: no value changes by more than the radius. l2: the root of the summed squares of all changes "
        "of an image is at most the radius.",
    )
    epsilons: tuple[float, float, float, float, float] = Field(
        EPSILONS,
        description="Radius of the ball at each level, in grey levels of the stored 8-bit image. With norm: l2 it must "
        "be given, since it grows with the root of the number of values; 255 is a radius of 1 where values are 0 to 1.",
    )
    steps: tuple[int, int, int, int, int] = Field(STEPS, description="Steps of PGD at each level.")
    step_size: Literal["standard", "published"] = Field(
        "standard",
        description="standard: 2.5 epsilon / steps. published: epsilon / steps, which barely leaves the start.",
    )
    momentum: float = Field(0.0, ge=0, lt=2, description="Decay of the gradient's memory (Dong et al., CVPR 2018).")
    restarts: int = Field(1, ge=1, description="Random starts; the one with the highest loss is kept.")
    targeted: bool = Field(
        False,
        description="Towards a wrong answer, instead of away from the true one. Segmentation: an empty mask. "
        "Classification: the wrong class that the model finds least likely on the clean image (Kurakin et al., ICLR "
        "2017); with several labels an image, the opposite of every label.",
    )
    region: Literal["image", "inside_box", "outside_box"] = Field(
        "image", description="Where pixels may change. Classification has no boxes: image."
    )
    keep_images: bool = Field(False, description="Also write the adversarial images; needed for a transfer table.")

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.norm == "l2" and "epsilons" not in self.model_fields_set:
            raise ValueError(
                "epsilons with norm: l2: five radii in grey levels over the whole image, such as [64, 128, 255, 510, "
                "765]; 255 is a radius of 1 where values are 0 to 1. The default ones are those of linf"
            )
        largest = _LARGEST[self.norm]
        if not all(1 <= value <= largest for value in self.epsilons) or not all(value >= 1 for value in self.steps):
            raise ValueError(f"epsilons of 1 to {largest} grey levels and at least one step at every level")
        if self.method == "fgsm" and (self.momentum or self.restarts > 1):
            raise ValueError("method: pgd where there are momentum or restarts: fgsm is a single step without a start")
        return self


Shares = tuple[float, float, float, float, float]


class PromptJitter(Strict):
    """Boxes that are not quite right: how much of a score is the prompt's."""

    name: Name = Field(description="Its name in records and tables, such as prompt_grown.")
    kind: Literal["grow", "shrink", "shift"] = Field(description="A shift goes in a direction that is drawn.")
    shares: Annotated[Shares, Field(description="Of the box's sides, at levels 1 to 5.")] = (0.05, 0.1, 0.2, 0.3, 0.5)

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        most = 0.9 if self.kind == "shrink" else 2.0
        if not all(0 < share <= most for share in self.shares):
            raise ValueError(f"shares above 0 and at most {most:g}")
        return self
