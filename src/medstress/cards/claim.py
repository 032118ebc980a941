"""Claims of publications as tests on a study's scores: config/claims/*.yaml."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from medstress.cards.strict import Name, Strict
from medstress.names import (
    CaptionMetricName,
    ClassMetricName,
    GroundingMetricName,
    JudgeMetricName,
    MetricName,
    SimilarityMetricName,
    Task,
    VqaMetricName,
)

Patterns = Annotated[list[str], Field(min_length=1)]
ClaimMetric = Literal[
    MetricName,
    ClassMetricName,
    VqaMetricName,
    JudgeMetricName,
    CaptionMetricName,
    SimilarityMetricName,
    GroundingMetricName,
]


class Published(Strict):
    """What the publication found, for people to compare with."""

    value: float | None = Field(None, description="The published effect, in the unit of the test's effect.")
    bound: Literal["more than", "less than"] | None = Field(
        None, description="Where the value is a bound of the effect and not the effect."
    )
    text: str = Field(description="The published numbers in words.")
    where: str = Field(description="Table, figure or page.")
    models: list[Name] = Field(default_factory=list, description="Cards of the models that it was found on.")
    strategies: list[Name] = Field(
        default_factory=list, description="Cards of the strategies that it was found with; none: models as they are."
    )
    datasets: list[Name] = Field(default_factory=list, description="Cards of the data sets that it was found on.")
    differs: str | None = Field(
        None, description="What is never the same here, so that no effect is of the published setting."
    )


class ClaimTest(Strict):
    """A claim as an effect and the range in which it holds.

    Runs are chosen by patterns on their families, such as tiny_sam+lora: * stands for anything and a pattern that
    starts with ! takes out again. Sides are compared on the models and data sets that all of them have, and there on
    the cells that all of them have scores of.
    """

    task: Task
    metric: ClaimMetric | None = Field(None, description="What is measured; none of mce, whose metric is the study's.")
    measure: Literal["clean", "perturbed", "drop", "relative_drop", "mce", "shift_robustness", "top_share"] = Field(
        description="clean, perturbed: mean scores. drop: paired. relative_drop: as a share of the clean mean. mce: "
        "mean corruption error against the study's normaliser. shift_robustness: the score kept out of distribution, "
        "of each shift. top_share: the share of medical types among those with the largest drops, less that in all; "
        "drops are less the data set's mean over the types that all data sets have."
    )
    of: Patterns = Field(default=["*"], description="The runs that the claim is about.")
    called: str = Field("the models", description="What people call the runs that the claim is about.")
    against: dict[str, Patterns] = Field(
        default_factory=dict, description="The runs that they are compared with: what people call them, and patterns."
    )
    compare: Literal["value", "ratio", "difference", "best", "wins"] = Field(
        "value",
        description="value: `of` alone. ratio, difference: `of` over or less the one in `against`. best: by how much "
        "`of` is better than the best in `against`. wins: by how much a side is better than all others where it does "
        "worst, over all shifts, of the side for which this is largest; above 0 it wins everywhere.",
    )
    aggregate: Literal["mean", "largest"] = Field(
        "mean", description="Over the models and data sets, with compare: value; otherwise means are compared."
    )
    top: int = Field(15, ge=1, description="With top_share: how many types are the top.")
    at_least: float | None = Field(None, description="The claim holds where the effect is at least this.")
    above: float | None = Field(None, description="The claim holds where the effect is above this.")
    at_most: float | None = Field(None, description="The claim holds where the effect is at most this.")
    below: float | None = Field(None, description="The claim holds where the effect is below this.")

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if problems := [*self._ends_problems(), *self._sides_problems()]:
            raise ValueError("; ".join(problems))
        return self

    def _ends_problems(self) -> Iterator[str]:
        lower = [end for end in (self.at_least, self.above) if end is not None]
        upper = [end for end in (self.at_most, self.below) if end is not None]
        if not lower and not upper:
            yield "give at_least, above, at_most or below: where the claim holds"
        if len(lower) == 2:
            yield "give at_least or above, not both"
        if len(upper) == 2:
            yield "give at_most or below, not both"
        if lower and upper and lower[0] > upper[0]:
            yield f"the lower end ({lower[0]:g}) must not be above the upper one ({upper[0]:g})"

    def _sides_problems(self) -> Iterator[str]:
        if (self.metric is None) != (self.measure == "mce"):
            yield "give `metric`, or leave it out with measure: mce"
        if self.compare in ("ratio", "difference") and len(self.against) != 1:
            yield f"compare: {self.compare} needs one side in `against`, not {len(self.against)}"
        if self.compare in ("best", "wins") and not self.against:
            yield f"compare: {self.compare} needs sides in `against`"
        if self.compare == "value" and self.against:
            yield "compare: value has no `against`"
        if self.called in self.against:
            yield f"`called` ({self.called}) must not be the name of a side in `against`"
        if (self.measure == "shift_robustness") != (self.compare == "wins"):
            yield "measure: shift_robustness and compare: wins go together"
        if self.measure == "top_share" and self.compare != "value":
            yield "measure: top_share goes with compare: value"
        if self.aggregate != "mean" and self.compare != "value":
            yield f"aggregate: {self.aggregate} goes with compare: value"
        if self.measure == "mce" and self.task != "classification":
            yield "measure: mce goes with task: classification"


class Claim(Strict):
    """A claim, who made it, and how it is tested."""

    name: Name
    text: str = Field(description="The claim in one sentence.")
    source: str = Field(description="The publication.")
    published: Published
    test: ClaimTest
