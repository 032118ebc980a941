"""The text that a model is asked with, made of a sample and the study's prompts.

Nothing here reads the answer, the caption or the box: the published SURE-VQA inference (commit 417e886) appends a hint
where the *true* answer is yes or no, which gives away that it is. Here the form of the question decides.
"""

from collections.abc import Mapping, Sequence
from string import ascii_uppercase

from medstress.cards.generation import BoxNumbers
from medstress.cards.question_prompts import PLACEHOLDER, QuestionPrompts
from medstress.datasets.question_form import offered
from medstress.errors import MedstressError
from medstress.rows import SampleRow

_YES_NO = ("yes", "no")


def prompt_of(sample: SampleRow, prompts: QuestionPrompts, boxes: BoxNumbers, shape: tuple[int, int]) -> str:
    """The final text about a sample whose image is of `shape` (height, width); `boxes` as the model writes them.

    Raises MedstressError where a question has more options than there are letters.
    """
    if sample.task == "captioning":
        return prompts.caption
    given = {"question": sample.question}
    if sample.task == "grounding":
        return _filled(prompts.box, given | {"numbers": numbers_in_words(boxes, shape)})
    if _offers_yes_and_no(sample):
        return _filled(prompts.yes_no, given)
    if sample.options:
        return _filled(prompts.closed, given | {"options": _lettered(sample.options, sample.sample_id)})
    return _filled(prompts.open, given)


def numbers_in_words(boxes: BoxNumbers, shape: tuple[int, int]) -> str:
    """How a box is to be written about an image of `shape` (height, width)."""
    order = "[y0, x0, y1, x1]" if boxes.y_first else "[x0, y0, x1, y1]"
    match boxes.scale:
        case "pixel":
            return f"{order} in pixels of the image, which is {shape[1]} wide and {shape[0]} high"
        case "0-1":
            return f"{order} as shares of the width and the height, from 0 to 1"
        case "0-100":
            return f"{order} in percent of the width and the height"
        case "0-1000":
            return f"{order} in thousandths of the width and the height, from 0 to 1000"


def _offers_yes_and_no(sample: SampleRow) -> bool:
    options = tuple(option.strip().casefold() for option in sample.options)
    return sorted(options) == sorted(_YES_NO) if options else offered(sample.question) == _YES_NO


def _lettered(options: Sequence[str], sample_id: str) -> str:
    if len(options) > len(ascii_uppercase):
        raise MedstressError(f"{sample_id}: {len(options)} options, but letters end at Z. Offer fewer.")
    return "\n".join(f"{letter}. {text}" for letter, text in zip(ascii_uppercase, options, strict=False))


def _filled(text: str, given: Mapping[str, str]) -> str:
    # In one pass, so that braces in a question stay what they are.
    return PLACEHOLDER.sub(lambda found: given[found[1]], text)
