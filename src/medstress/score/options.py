"""The options of a closed question, ready to be found in texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from string import ascii_lowercase

from medstress.answers.words import Token, words_of

# A study asks of the same options about every perturbed image, and draws them from the same few texts.
_CACHED = 1 << 14
_LETTERS = frozenset(ascii_lowercase)


@dataclass(frozen=True)
class Phrase:
    """The words of an option, and the numbers of the options that have them: several only where texts are alike."""

    words: tuple[str, ...]
    numbers: frozenset[int]


@dataclass(frozen=True)
class Options:
    """Options by letter, and by the first word of their texts, longest first."""

    letters: Mapping[str, int]
    phrases: Mapping[str, tuple[Phrase, ...]]


@lru_cache(maxsize=_CACHED)
def _words_of_option(text: str) -> tuple[str, ...]:
    return words_of(text)


@lru_cache(maxsize=_CACHED)
def options_of(texts: tuple[str, ...]) -> Options:
    """The options with these texts, in order; the first is A.

    Where an option's text is a letter itself, that letter means this option, and no other has a letter.
    """
    words = [_words_of_option(text) for text in texts]
    own = {one[0]: number for number, one in enumerate(words) if len(one) == 1 and one[0] in _LETTERS}
    letters = own or dict(zip(ascii_lowercase, range(len(texts)), strict=False))
    same: dict[tuple[str, ...], set[int]] = {}
    for number, one in enumerate(words):
        if one and not (len(one) == 1 and one[0] in own):
            same.setdefault(one, set()).add(number)
    phrases: dict[str, list[Phrase]] = {}
    for one in sorted(same, key=len, reverse=True):
        phrases.setdefault(one[0], []).append(Phrase(one, frozenset(same[one])))
    found = {first: tuple(several) for first, several in phrases.items()}
    return Options(letters, found)


def phrase_at(tokens: Sequence[Token], start: int, options: Options) -> tuple[Phrase, int] | None:
    """The longest option text that begins at a word, and the place after its end; articles make no difference."""
    for phrase in options.phrases.get(tokens[start].word, ()):
        end = _end_of(tokens, start, phrase.words)
        if end is not None:
            return phrase, end
    return None


def _end_of(tokens: Sequence[Token], start: int, words: Sequence[str]) -> int | None:
    place = start
    for word in words:
        while place < len(tokens) and tokens[place].word != word and tokens[place].is_article:
            place += 1
        if place == len(tokens) or tokens[place].word != word:
            return None
        place += 1
    return place
