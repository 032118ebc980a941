"""What the form of a closed question offers as answers.

The truth is not asked: a choice shown only where the truth is yes or no would give it away.
"""

import re
from collections.abc import Iterable

_YES_NO = re.compile(r"\W*(is|are|was|were|do|does|did|has|have|had|can|could|will|would|should)\b", re.IGNORECASE)
_MODALITY = re.compile(r"\b(ct|mri?|x-?\s?rays?)\b", re.IGNORECASE)
_OR = re.compile(r"\bor\b", re.IGNORECASE)


def offered(question: str) -> tuple[str, ...]:
    """What the words offer: yes and no to a verb that comes first, two modalities where it says "or", or nothing."""
    if _OR.search(question):
        named = {plain(found[0]): found[0] for found in _MODALITY.finditer(question)}
        return tuple(named.values()) if len(named) == 2 else ()
    return ("yes", "no") if _YES_NO.match(question) else ()


def closed_options(question: str, answer: str, kind: str) -> tuple[str, ...]:
    """What a closed question offers by its form; nothing where the right answer is not among that."""
    options = offered(question) if kind.lower() == "closed" else ()
    return options if chosen(answer, options) else ()


def chosen(answer: str, options: Iterable[str]) -> str | None:
    """The option that an answer is: the same but for case and outer blanks, else the only one alike but for marks."""
    exact = [option for option in options if option.strip().casefold() == answer.strip().casefold()]
    alike = [option for option in options if plain(option) == plain(answer)]
    return exact[0] if exact else alike[0] if plain(answer) and len(alike) == 1 else None


def plain(text: str) -> str:
    """Letters and digits of a text, in lower case."""
    return "".join(letter for letter in text.casefold() if letter.isalnum())
