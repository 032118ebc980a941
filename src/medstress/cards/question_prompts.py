"""What models that answer in words are asked: the texts around a question."""

import re
from typing import Self

from pydantic import Field, model_validator

from medstress.cards.strict import Strict

PLACEHOLDER = re.compile(r"\{(\w*)\}")
"""What is filled in: {question}, {options} as lines `A. text`, and {numbers}, which says how to write a box."""

_FIELDS = {
    "closed": ({"question", "options"}, {"question", "options"}),
    "yes_no": ({"question"}, {"question"}),
    "open": ({"question"}, {"question"}),
    "caption": (set[str](), set[str]()),
    "box": ({"question"}, {"question", "numbers"}),
}
"""Of each text, what it must name and what it may."""


class QuestionPrompts(Strict):
    """What models that answer in words are asked, whatever the right answer is.

    Any other text in braces is a mistake. System prompts and templates belong to the model's card.
    """

    closed: str = Field(
        "{question}\n\nOptions:\n{options}\n\nSelect the correct answer.",
        description="A question with options; {options} are lines such as `A. lung`.",
    )
    yes_no: str = Field(
        "{question}\nAnswer with yes or no.",
        description="A question that offers yes and no, by its options or by the verb that it begins with.",
    )
    open: str = Field("{question}", description="Any other question.")
    caption: str = Field("Describe this medical image in detail.", description="For a caption.")
    box: str = Field(
        "{question}\nAnswer with the box {numbers}.",
        description="For a place; {numbers} says in which numbers, as the model's card has them in `boxes`.",
    )

    @model_validator(mode="after")
    def _says_what_is_asked(self) -> Self:
        problems = []
        for name, (needed, known) in _FIELDS.items():
            found = set(PLACEHOLDER.findall(getattr(self, name)))
            problems += [f"{name} lacks {{{field}}}" for field in sorted(needed - found)]
            problems += [f"{name} names {{{field}}}, which it cannot be given" for field in sorted(found - known)]
        if problems:
            raise ValueError("; ".join(problems))
        return self
