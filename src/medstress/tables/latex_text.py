"""Texts as LaTeX takes them."""

import re
import unicodedata

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\N{MINUS SIGN}": "$-$",
    "\N{EN DASH}": "--",
    "\N{EM DASH}": "---",
    "\N{NO-BREAK SPACE}": "~",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{LEFT DOUBLE QUOTATION MARK}": "``",
    "\N{RIGHT DOUBLE QUOTATION MARK}": "''",
    "\N{HORIZONTAL ELLIPSIS}": r"\dots{}",
    "\N{MIDDLE DOT}": r"$\cdot$",
    "\N{DEGREE SIGN}": r"$^\circ$",
    "\N{MICRO SIGN}": r"$\mu$",
    "\N{SUPERSCRIPT TWO}": "$^2$",
    "\N{SUPERSCRIPT THREE}": "$^3$",
    "\N{INFINITY}": r"$\infty$",
    "\N{LESS-THAN OR EQUAL TO}": r"$\leq$",
    "\N{GREATER-THAN OR EQUAL TO}": r"$\geq$",
    "\N{ALMOST EQUAL TO}": r"$\approx$",
    "\N{RIGHTWARDS ARROW}": r"$\to$",
    "\N{UPWARDS ARROW}": r"$\uparrow$",
    "\N{DOWNWARDS ARROW}": r"$\downarrow$",
    "†": r"$^\dagger$",
    "‡": r"$^\ddagger$",
    "±": r"$\pm$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
}
_LIKE_LATIN = {"ALPHA": "A", "BETA": "B", "EPSILON": "E", "ZETA": "Z", "ETA": "H", "IOTA": "I", "KAPPA": "K", "MU": "M"}
_LIKE_LATIN |= {"NU": "N", "OMICRON": "O", "RHO": "P", "TAU": "T", "UPSILON": "Y", "CHI": "X"}
"""Greek capitals that TeX has no name for."""


def escaped(text: str) -> str:
    """The text with its own signs escaped, bold where it stands between two pairs of asterisks.

    The result is ASCII but for the letters of western and central Europe. Letters that pdflatex has no font for are
    given by their code point, as U+4E2D, so that a name in another script does not keep a document from compiling.
    """
    bold = text.startswith("**") and text.endswith("**") and len(text) > 4
    plain = "".join(map(_letter, text[2:-2] if bold else text))
    return rf"\textbf{{{plain}}}" if bold else plain


def _letter(letter: str) -> str:
    if letter in _ESCAPES:
        return _ESCAPES[letter]
    if letter.isascii():
        return letter if letter.isprintable() else " "
    if greek := re.fullmatch(r"GREEK (SMALL|CAPITAL) LETTER (?:FINAL )?([A-Z]+)", unicodedata.name(letter, "")):
        return _greek(greek[2], capital=greek[1] == "CAPITAL")
    if "\N{LATIN CAPITAL LETTER A WITH GRAVE}" <= letter <= "\N{LATIN SMALL LETTER Z WITH CARON}" and letter.isalpha():
        return letter
    return f"U+{ord(letter):04X}"


def _greek(name: str, *, capital: bool) -> str:
    name = "LAMBDA" if name == "LAMDA" else name
    if capital and name in _LIKE_LATIN:
        return _LIKE_LATIN[name]
    if name == "OMICRON":
        return "o"
    return rf"$\{name.capitalize() if capital else name.lower()}$"
