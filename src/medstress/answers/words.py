"""Words of a free text, so that spelling alone makes no difference.

Benchmarks of visual question answering (Goyal et al., "Making the V in VQA matter", CVPR 2017) lower the case, drop
punctuation and articles, and write small numbers as digits. Their published code is wrong where medicine cares. Here

* every mark is judged by its own neighbours: there, one comma between digits changes how all others are read;
* a number keeps its decimal point and its minus, and 1,000 is 1000: there, the point of 1.5 may go;
* "none" is a word and not the number 0;
* an article is dropped before another word only, so "vitamin a" and the option "a" keep their letter;
* `%`, `+`, `<`, `>`, `≤` and `≥` are words: "<5 mm" is not ">5 mm";
* an apostrophe joins what it stands in, so "don't" is "dont", and no table of contractions has to know it;
* a unit is a word of its own: "5mm" is "5 mm";
* "xray" is "x-ray".
"""

import re
import unicodedata
from typing import NamedTuple

_NUMBER = r"(?:(?<![\w)])-)?\d++(?:,\d{3}(?!\d))*+"
_WORD = re.compile(
    rf"{_NUMBER}(?:\.\d++)++"
    rf"|{_NUMBER}(?=[^\W\d_]{{2}}|(?!\w))"  # in 2d, t2 and l4 the digit belongs to the word
    r"|[^\W_]+(?:'[^\W_]+)*+"
    r"|[%+<>≤≥]"
)
_XRAY = re.compile(r"\bx(?=rays?\b)", re.IGNORECASE)
_NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_DIGITS = {word: str(number) for number, word in enumerate(_NUMBER_WORDS)}
_ARTICLES = frozenset({"a", "an", "the"})
_MARKS = str.maketrans(
    {
        "\N{LEFT SINGLE QUOTATION MARK}": "'",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "\N{MINUS SIGN}": "-",
        "\N{EN DASH}": " - ",
        "\N{EM DASH}": " - ",
    }
)


class Token(NamedTuple):
    """A word in its normal form, as it was written, and what stands between it and the next word."""

    word: str
    written: str
    gap: str

    @property
    def is_article(self) -> bool:
        """Whether it is dropped: "a", "an" or "the" with nothing but space before another word."""
        return self.word in _ARTICLES and self.gap.isspace()


def plain_marks(text: str) -> str:
    """The text with apostrophes, dashes and wide or raised characters as ASCII has them."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text).translate(_MARKS)


def tokens_of(text: str) -> list[Token]:
    """The words of a text in order, articles among them."""
    # The end is no space, so that a last "a" is no article.
    text = plain_marks(text).rstrip()
    if "xray" in text.lower():
        text = _XRAY.sub(r"\g<0>-", text)
    found = list(_WORD.finditer(text))
    starts = [match.start() for match in found[1:]] + [len(text)]
    return [_token(match[0], text[match.end() : start]) for match, start in zip(found, starts, strict=False)]


def _token(written: str, gap: str) -> Token:
    word = written.lower()
    if not word.isalpha():
        word = word.replace("'", "").replace(",", "")
    return Token(_DIGITS.get(word, word), written, gap)


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text that answers are compared by: in their normal forms, without articles."""
    return tuple(token.word for token in tokens_of(text) if not token.is_article)
