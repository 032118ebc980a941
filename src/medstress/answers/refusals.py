"""Sentences in which a model declines to answer.

A model that sees nothing answers the question ("I cannot see a fracture"); one that may not or could not look refuses
("I cannot provide a diagnosis", "I can't see any image"). Only verbs that make the difference clear are listed.
"""

import re

from medstress.answers.words import plain_marks, words_of

# Most texts have none of these, and looking for them is quicker than matching.
_CUES = (
    "canno",
    "can no",
    "can't",
    "cant",
    "could",
    "able to",
    "sorry",
    "apolog",
    "declin",
    "refus",
    "not qualified",
    "not comfortable",
    "will not",
    "won't",
    "wont",
    "not possible",
    "impossible",
    "no image",
    "no picture",
    "no scan",
    "n't see",
    "not see",
    "n't have",
    "not have",
)
# What a model wraps a refusal in: "I'm sorry, but", "As an AI language model,", "There is".
_WRAPPING = frozenset(
    words_of(
        "as ai large language model assistant based on image i im am is be it this that there to but and so however "
        "unfortunately please therefore with medical just only"
    )
)
_PICTURE = r"(?:image|picture|photo|scan|attachment)s?"
_UNABLE = (
    r"(?:can\s?not|can'?t|could\s?not|couldn'?t|will\s+not|won'?t"
    r"|not\s+able\s+to|unable\s+to|not\s+qualified\s+to|not\s+comfortable|(?:not\s+|im)possible\s+to)"
)
_ACT = (
    r"(?:(?:answer|determine|provid|assist|help|diagnos|interpret|tell|giv|say|analy[sz]|access|mak|offer|assess|evaluat"
    r"|comply|comment|decide|process|respond)(?:e|ing)?"
    rf"|(?:see|view|open|find|read|display)\s+(?:(?:an?|any|the|this|that|your)\s+(?:\w+\s+)?)?{_PICTURE})"
)
_REFUSAL = re.compile(
    rf"(?:\bno\W+)?(?:\b(?:i|we)\b'?\s*)?(?:\b(?:am|are|m)\s+)?\b"
    rf"(?:{_UNABLE}\s+(?:\w+ly\s+|be\s+able\s+to\s+|to\s+)?{_ACT}\b"
    r"|(?:can\s?not|can'?t|could\s?not)\s+be\s+(?:determined|answered|assessed|evaluated)\b"
    r"|(?:decline|refuse)\s+to\b"
    rf"|(?:do\s+not|don'?t)\s+(?:see|have)\s+(?:access\s+to\s+)?(?:an?|any|the|your)\s+(?:\w+\s+)?{_PICTURE}\b"
    rf"|no\s+{_PICTURE}\s+(?:(?:is|was|were|has\s+been|have\s+been)\s+)?"
    r"(?:provided|attached|uploaded|given|shown|included)\b)"
    r".*?(?=[.;!?\n]|\b(?:but|however|most\s+likely|probably|best\s+guess|the\s+answer)\b|$)"
    r"|\b(?:sorry|i\s+apologi[sz]e)\b.*?(?=[,.;!?\n]|\bbut\b|$)",
    re.IGNORECASE,
)


def without_refusals(text: str) -> str:
    """The text without the sentences that decline to answer, its marks plain as `plain_marks` leaves them."""
    plain = plain_marks(text)
    lowered = plain.lower()
    return _REFUSAL.sub(" ", plain) if any(cue in lowered for cue in _CUES) else plain


def is_refusal(text: str) -> bool:
    """Whether a sentence of the text declines to answer."""
    return without_refusals(text) != plain_marks(text)


def declines(text: str) -> bool:
    """Whether a text declines to answer and says nothing else."""
    kept = without_refusals(text)
    return kept != plain_marks(text) and _WRAPPING.issuperset(words_of(kept))
