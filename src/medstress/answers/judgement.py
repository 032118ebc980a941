"""What a judge's reply says about an answer. No model is here: the reply is text, from wherever it came.

A reply counts if it is one object whose `score` is on the scale, and nothing besides: a reply with prose around a
number has not followed its instruction, and which number was meant would be a guess. Forgiven is what cannot change the
meaning: a code fence, capital letters, a number in quotes, and single or no quotes around the one key.

The published SURE-VQA parser (commit 417e886) looks for the first `score` with digits after it. Of what it
reads hold here `{"score": 4}` and `{ score: 5}`. Corrected are:

* `score: 3`, `{ score: 4/5 }` and a bare `5` are no objects with a score: unparsable;
* `{ score: 7}` is not on the scale: unparsable, where it was 7;
* `{"score": "4"}` is 4 and `{'score': 3}` is 3, where they were dropped;
* replies without a score are counted as unparsable, where they left the mean unseen.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

Scale = Literal["open", "closed", "two_options"]
SCALES: dict[Scale, tuple[float, ...]] = {"open": (1, 2, 3, 4, 5), "closed": (0, 1), "two_options": (0, 0.5, 1)}
"""Scores that a judge may give: 1 (wrong) to 5 (perfect) to free answers, 0 or 1 to closed ones.

Where a closed question names two things that may both be true, or none, an answer may be half right.
"""

_FENCED = re.compile(r"```\w*\s*(.*?)\s*```", re.DOTALL)
_LOOSE = re.compile(
    r"\{\s*(?P<quote>['\"]?)score(?P=quote)\s*:\s*(?P<value>'[^']*'|\"[^\"]*\"|[-+.\d]+)\s*,?\s*\}", re.IGNORECASE
)
_NUMBER = re.compile(r"\d(?:\.\d{1,9})?")


@dataclass(frozen=True)
class Judgement:
    """What a judge found. `score` is on the asked scale where the status is ok, and None otherwise."""

    status: Literal["ok", "empty", "unparsable"]
    score: float | None = None


def parse_judgement(reply: str, scale: Scale) -> Judgement:
    """The score in a judge's reply."""
    text = reply.strip()
    if not text:
        return Judgement("empty")
    if fenced := _FENCED.fullmatch(text):
        text = fenced[1]
    score = _number(_score_in(text))
    return Judgement("ok", score) if score in SCALES[scale] else Judgement("unparsable")


def _score_in(text: str) -> Any:
    if loose := _LOOSE.fullmatch(text):
        return loose["value"].strip("'\"")
    try:
        pairs = json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return None
    if not isinstance(pairs, _Pairs):
        return None
    scores = [value for key, value in pairs if key.lower() == "score"]
    return scores[0] if len(scores) == 1 else None


class _Pairs(list[tuple[str, Any]]):
    """An object as JSON has it: a key may come twice, which a dict would hide."""


def _number(value: Any) -> float | None:
    written = value.strip() if isinstance(value, str) else repr(value)
    return float(written) if _NUMBER.fullmatch(written) else None
