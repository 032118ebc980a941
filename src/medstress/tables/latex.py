"""Frames of texts as LaTeX floats that fit the page."""

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from medstress.tables.latex_text import escaped

_LETTER, _GAP, _LINE = 5.0, 8.0, 12.6
"""Points: a letter of 10 pt text on average, what lies between two columns, and a line."""
_NARROWER = 0.86
"""Of the estimated width: what texts of narrow letters may have, and are scaled down less for."""
_SMALL_LINE = 9.8
_LONGEST_CELL, _LONGEST_HEADING = 34, 20
"""Letters; longer texts are broken into lines."""
_SMALLEST = 0.58
"""Of the size of the text. Where a table would have to be smaller still, its columns go to several."""
_MOST_REMARKS = 12


@dataclass(frozen=True)
class _Page:
    """Width and height of the text in points, on A4 or letter with usual margins; `turned` is landscape."""

    width: float
    height: float
    turned: bool


_PAGES = _Page(468.0, 640.0, turned=False), _Page(660.0, 460.0, turned=True)


@dataclass(frozen=True)
class _Column:
    """One column as it is set. `letters` are those of its longest line; `broken` cells may have several lines."""

    heading: tuple[str, ...]
    upright: bool
    cells: Sequence[str]
    letters: int
    broken: bool

    @property
    def width(self) -> float:
        return self.letters * _LETTER + _GAP

    @property
    def heading_lines(self) -> float:
        return max(map(len, self.heading)) * _LETTER / _LINE if self.upright else len(self.heading)

    def lines(self, row: int) -> int:
        return max(1, len(textwrap.wrap(self.cells[row], self.letters - 2))) if self.broken else 1


def _column(heading: str, cells: Sequence[str]) -> _Column:
    """A heading that is longer than its cells goes over several lines; one word that is, stands upright."""
    longest = max([1, *(len(cell.strip("*")) for cell in cells)])
    broken = longest > _LONGEST_CELL
    if broken:
        longest = max(_LONGEST_CELL, *(len(word) + 2 for cell in cells for word in cell.split()))
    lines = textwrap.wrap(heading, max(longest, 6), break_long_words=False) or [""]
    letters = max(map(len, lines))
    if letters > longest + 4:
        upright = textwrap.wrap(heading, _LONGEST_HEADING, break_long_words=False)
        return _Column(tuple(upright), True, cells, max(longest, 2 * len(upright)), broken)
    return _Column(tuple(lines), False, cells, max(longest, letters), broken)


_Part = tuple[Sequence[_Column], range]


def latex(title: str, caption: str, shown: pd.DataFrame, notes: Sequence[str], label: str) -> str:
    """One float or several, each no larger than a page, that need array, booktabs, graphicx and pdflscape.

    A wide table lies on a turned page; one that is wider still is given in blocks of columns, each with the columns
    that say what a row is, and a long one in blocks of rows.
    """
    columns = [_column(name, shown.iloc[:, place].tolist()) for place, name in enumerate(shown.columns)]
    remarks = "Notes: " + escaped(" ".join(notes)) if notes else ""
    letters = len(title) + len(caption)
    laid = [(page, _parts(columns, len(shown), page, letters, len(remarks))) for page in _PAGES]
    # Rows that go on elsewhere are worse than more pages.
    page, parts = min(laid, key=lambda one: (len({id(block) for block, _ in one[1]}), len(one[1])))
    floats = []
    for number, (block, rows) in enumerate(parts, start=1):
        if number == 1:
            name = rf"\caption[{{{escaped(title)}}}]{{{escaped(title)}. {escaped(caption)}}}"
            head = [name, rf"\label{{tab:{label}}}"]
        else:
            head = [r"\addtocounter{table}{-1}", rf"\caption[]{{{escaped(title)}, {number} of {len(parts)}.}}"]
        last = notes and _within(len(remarks), page) and number == len(parts)
        foot = [r"\par\smallskip\footnotesize " + remarks] if last else []
        body = [
            r"\begin{table}[!htbp]",
            r"\centering",
            *head,
            r"\par\smallskip",
            *_tabular(block, rows),
            *foot,
            r"\end{table}",
        ]
        floats.append("\n".join(body))
    if notes and not _within(len(remarks), page):
        floats.append(rf"\par\noindent{{\footnotesize {remarks}\par}}")
    text = "\n\\clearpage\n".join(floats)
    return f"\\begin{{landscape}}\n{text}\n\\end{{landscape}}\n" if page.turned else text + "\n"


def _remark_lines(letters: int, page: _Page) -> float:
    return 1 + letters * 4.2 // page.width if letters else 0


def _within(letters: int, page: _Page) -> bool:
    """Whether the notes stand below the table; long ones follow as text."""
    return _remark_lines(letters, page) <= _MOST_REMARKS


def _parts(columns: Sequence[_Column], count: int, page: _Page, caption: int, remarks: int) -> list[_Part]:
    height = page.height - (_remark_lines(remarks, page) + 1) * _SMALL_LINE * _within(remarks, page)
    first = (3 + caption * 4.8 // page.width) * _LINE
    parts: list[_Part] = []
    for block in _blocks(columns, page):
        above = 3 * _LINE if parts else first
        parts.extend((block, rows) for rows in _row_blocks(block, count, page, height, above))
    return parts


def _width(columns: Sequence[_Column]) -> float:
    return sum(column.width for column in columns)


def _is_key(column: _Column) -> bool:
    """Whether the column says what a row is: it has no numbers."""
    return not any(re.match(r"\W*\d", cell) or cell in ("", "\N{EN DASH}") for cell in column.cells)


def _blocks(columns: Sequence[_Column], page: _Page) -> Iterator[list[_Column]]:
    most = page.width / _SMALLEST
    count = next((place for place, column in enumerate(columns) if not _is_key(column)), len(columns))
    keys = list(columns[: min(count, len(columns) - 1)])
    while _width(keys) > most / 2:
        keys.pop()
    block = list(columns[: len(keys)])
    for column in columns[len(keys) :]:
        if len(block) > len(keys) and _width([*block, column]) > most:
            yield block
            block = list(keys)
        block.append(column)
    yield block


def _row_blocks(columns: Sequence[_Column], count: int, page: _Page, height: float, caption: float) -> Iterator[range]:
    scale = min(1.0, page.width / (_NARROWER * _width(columns)))
    heading = max(column.heading_lines for column in columns) + 2
    left = (height - caption) / scale / _LINE - heading
    first = 0
    for row in range(count):
        lines = max(column.lines(row) + 0.4 * column.broken for column in columns)
        if lines > left and row > first:
            yield range(first, row)
            first, left = row, (height - 3 * _LINE) / scale / _LINE - heading
        left -= lines
    yield range(first, count)


def _tabular(columns: Sequence[_Column], rows: range) -> list[str]:
    kinds = "".join(
        rf">{{\raggedright\arraybackslash}}p{{{column.letters * _LETTER:.0f}pt}}" if column.broken else "l"
        for column in columns
    )
    return [
        r"\setlength{\tabcolsep}{4pt}%",
        # As wide as it is, if that is no wider than the text.
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{kinds}}}",
        r"\toprule",
        " & ".join(map(_heading, columns)) + r" \\",
        r"\midrule",
        *_body([_row([column.cells[row] for column in columns]) for row in rows], spaced=any(map(_is_broken, columns))),
        r"\bottomrule",
        r"\end{tabular}}",
    ]


def _is_broken(column: _Column) -> bool:
    return column.broken


def _body(rows: Sequence[str], *, spaced: bool) -> list[str]:
    return [line for row in rows for line in (row, r"\addlinespace")][:-1] if spaced else list(rows)


def _heading(column: _Column) -> str:
    lines = [escaped(line) for line in column.heading]
    stacked = r"\\".join(lines)
    text = rf"\shortstack[l]{{{stacked}}}" if len(lines) > 1 else stacked
    return rf"\rotatebox{{90}}{{{text}}}" if column.upright else text


def _row(cells: Sequence[str]) -> str:
    text = " & ".join(map(escaped, cells)) + r" \\"
    # After the \\ of the row before, these two would be its arguments.
    return "{}" + text if text[0] in "[*" else text
