"""Texts that decline to answer, and texts that only look so."""

import pytest

from medstress.answers.refusals import declines
from medstress.rows import SampleRow
from medstress.score.vqa import read_open


@pytest.mark.parametrize(
    "text",
    [
        "I cannot answer that.", "I'm sorry, but I can't help with that.", "Sorry, I can't help.",
        "As an AI, I can't provide medical advice.", "As an AI language model, I cannot interpret medical images.",
        "Unfortunately, I cannot view the image.", "There is no image attached.", "I don't see any image attached.",
        "I do not have access to the medical image.", "It is impossible to determine the modality.",
        "Based on this image, it is not possible to determine the diagnosis.",
        "I\N{RIGHT SINGLE QUOTATION MARK}m unable to view images",
    ],
)  # fmt: skip
def test_a_text_declines_in_whatever_it_is_wrapped(text: str) -> None:
    assert declines(text)
    sample = SampleRow("s", "i", "vqa", question="Which model?", answer="a model with an image", answer_type="open")
    found = read_open(sample, text)
    assert found.status == "refused"
    assert set(found.values.values()) == {0.0}


@pytest.mark.parametrize(
    "text",
    [
        "I cannot see a fracture.", "Sorry, lung", "No image abnormality.", "I do not see a mass.", "Possible effusion",
        "The lung cannot be evaluated.", "I don't see any fracture in the image", "There is no effusion", "lung", "",
        "The patient could not provide a history.", "I'm sorry, but it is the lung.", "Image of a language model",
    ],
)  # fmt: skip
def test_what_says_something_does_not_decline(text: str) -> None:
    assert not declines(text)
