"""Free text read as the answer to a closed question: one of its options, or why it is none.

What the text states ("the answer is B") goes before what it labels ("B) lung", "Yes, ..."), and that before what it
merely names ("I see a lung"). The plainest mentions decide: if they name one option, that is the answer; if several,
the text is unparsable. A denied option is not an answer, and what is left over is not guessed. A text that declines to
answer and says nothing else is refused.

The published SURE-VQA evaluation (commit 417e886) looks for options as whole words. Kept of it: case makes
no difference, and two options named are no answer. Corrected:

* "both edema and effusion" is the option "both", where there is one;
* options are compared as words, longest first: "left lung" no longer names "lung", and marks in options are harmless;
* denied options do not count: "not B";
* "no" before a noun inside a text is part of a finding ("there is no abnormality" says that all is normal) and answers
  nothing; at the start of the text it does;
* answers that fit no option are told apart (empty, refused, unparsable) where they all counted as wrong.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from medstress.answers.refusals import is_refusal, without_refusals
from medstress.answers.words import Token, plain_marks, tokens_of
from medstress.score.mentions import Mention, Rank, mentions_in
from medstress.score.options import Options, options_of

YES_NO = ("yes", "no")
"""The options of a question that has none of its own but is answered by yes or no."""

_MARKUP = re.compile(r"[*`$]+|</?[A-Za-z]+>")
_EMPHASIS = re.compile(r"(?<!\w)_+(?=\w)|(?<=[^\W_])_+(?!\w)")


@dataclass(frozen=True)
class ClosedAnswer:
    """What a text answers: `option` counts from 0 where the status is ok, and is None otherwise."""

    status: Literal["ok", "empty", "refused", "unparsable"]
    option: int | None = None


_EMPTY = ClosedAnswer("empty")
_REFUSED = ClosedAnswer("refused")
_UNPARSABLE = ClosedAnswer("unparsable")


def parse_closed(text: str, options: Sequence[str]) -> ClosedAnswer:
    """The option that a text gives as the answer; the first option is A. Use `YES_NO` where the answer is yes or no."""
    asked = options_of(tuple(options))
    bare = _MARKUP.sub("", text)
    plain = plain_marks(_EMPHASIS.sub("", bare) if "_" in bare else bare)
    kept = without_refusals(plain)
    if kept != plain and any(is_refusal(option) for option in options):
        kept = plain
    tokens = tokens_of(kept)
    if not tokens and kept == plain:
        return _EMPTY
    answer = _decided(mentions_in(tokens, asked), _both_of(tokens, asked)) if tokens else _UNPARSABLE
    return _REFUSED if answer is _UNPARSABLE and kept != plain else answer


def _both_of(tokens: Sequence[Token], asked: Options) -> int | None:
    """The option "both", where it may be said with what it means: "both edema and effusion", but no "or both"."""
    for phrase in asked.phrases.get("both", ()):
        if phrase.words == ("both",) and all(token.word not in ("or", "none") for token in tokens):
            return min(phrase.numbers)
    return None


def _decided(mentions: Sequence[Mention], both: int | None) -> ClosedAnswer:
    denied: set[int] = set()
    for rank in Rank:
        here = [mention for mention in mentions if mention.rank == rank]
        affirmed = {number for mention in here if not mention.denied for number in mention.numbers} - denied
        if len(affirmed) == 1:
            return ClosedAnswer("ok", affirmed.pop())
        if both in affirmed and len(affirmed) == 3:
            return ClosedAnswer("ok", both)
        if affirmed:
            return _UNPARSABLE
        denied.update(number for mention in here for number in mention.numbers)
    return _UNPARSABLE
