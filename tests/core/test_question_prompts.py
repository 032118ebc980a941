"""The text of a prompt, which never depends on the truth."""

from typing import Any

import pytest
from pydantic import ValidationError

from medstress.cards.generation import BoxNumbers
from medstress.cards.question_prompts import QuestionPrompts
from medstress.errors import MedstressError
from medstress.question_prompts import prompt_of
from medstress.rows import ObjectRow, SampleRow

SHAPE = (40, 60)


PIXELS = BoxNumbers()


def prompt(question: str = "Which organ?", *, task: str = "vqa", boxes: BoxNumbers = PIXELS, **facts: Any) -> str:
    return prompt_of(SampleRow("s", "i", task, question=question, **facts), QuestionPrompts(), boxes, SHAPE)


def test_options_are_listed_by_letter() -> None:
    assert prompt(options=("lung", "left kidney")) == (
        "Which organ?\n\nOptions:\nA. lung\nB. left kidney\n\nSelect the correct answer."
    )


def test_an_open_question_is_asked_as_it_is() -> None:
    assert prompt() == "Which organ?"


@pytest.mark.parametrize("answer", ["yes", "no", "left", ""])
@pytest.mark.parametrize("kind", ["open", "closed", ""])
def test_the_hint_comes_from_the_question_and_not_from_the_answer(answer: str, kind: Any) -> None:
    hint = "\nAnswer with yes or no."
    assert prompt("Is there a mass?", answer=answer, answer_type=kind) == f"Is there a mass?{hint}"
    assert prompt("What is shown?", answer=answer, answer_type=kind) == "What is shown?"
    assert prompt("Mass?", options=("No", "Yes"), answer=answer, answer_type=kind) == f"Mass?{hint}"


def test_a_caption_is_asked_for_in_one_way() -> None:
    assert prompt("", task="captioning", caption="A lung.") == "Describe this medical image in detail."
    sample = SampleRow("s", "i", "captioning", caption="A head.")
    assert prompt_of(sample, QuestionPrompts(caption="What?"), PIXELS, SHAPE) == "What?"


@pytest.mark.parametrize(
    ("boxes", "numbers"),
    [
        ({"scale": "pixel"}, "[x0, y0, x1, y1] in pixels of the image, which is 60 wide and 40 high"),
        ({"scale": "0-1"}, "[x0, y0, x1, y1] as shares of the width and the height, from 0 to 1"),
        ({"scale": "0-100"}, "[x0, y0, x1, y1] in percent of the width and the height"),
        (
            {"scale": "0-1000", "y_first": True},
            "[y0, x0, y1, x1] in thousandths of the width and the height, from 0 to 1000",
        ),
    ],
)
def test_a_box_is_asked_for_in_the_numbers_of_the_model(boxes: dict[str, Any], numbers: str) -> None:
    true = ObjectRow("0", "mass", (1, 2, 3, 4), b"")
    found = prompt("Where is the mass?", task="grounding", boxes=BoxNumbers(**boxes), objects=(true,))
    assert found == f"Where is the mass?\nAnswer with the box {numbers}."


def test_braces_in_a_question_stay_what_they_are() -> None:
    assert prompt("What is {options} or {this}?") == "What is {options} or {this}?"
    assert "{question}" in prompt("Which?", options=("{question}", "b"))


def test_more_options_than_letters_are_refused() -> None:
    assert "Z. 25" in prompt(options=tuple(map(str, range(26))))
    with pytest.raises(MedstressError, match="s: 27 options, but letters end at Z"):
        prompt(options=tuple(map(str, range(27))))


def test_a_prompt_that_leaves_the_question_out_is_a_mistake() -> None:
    with pytest.raises(ValidationError, match=r"closed lacks \{options\}; open names \{answer\}, which it cannot"):
        QuestionPrompts(closed="{question}", open="{question} {answer}")
