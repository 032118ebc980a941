"""Frames of texts as Markdown and as LaTeX."""

from collections.abc import Sequence

import pandas as pd

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
    "†": r"$^\dagger$",
    "±": r"$\pm$",
    "Δ": r"$\Delta$",
}


def markdown(title: str, caption: str, shown: pd.DataFrame, notes: Sequence[str]) -> str:
    """A heading, the caption, a table whose columns line up in plain text, and the notes as a list."""
    cells = [[text.replace("|", r"\|") for text in row] for row in [list(shown.columns), *shown.values.tolist()]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * width for width in widths])
    padded = [[text.ljust(width) for text, width in zip(row, widths, strict=True)] for row in cells]
    lines = [f"| {' | '.join(row)} |" for row in padded]
    missing = ["Missing:", "", *(f"* {note}" for note in notes), ""] if notes else []
    return "\n".join([f"# {title}", "", caption, "", *lines, "", *missing])


def latex(title: str, caption: str, shown: pd.DataFrame, notes: Sequence[str], label: str) -> str:
    """A table float that needs the packages booktabs and graphicx; it is scaled to the width of the text."""
    rows = [" & ".join(map(_escape, row)) + r" \\" for row in shown.values.tolist()]
    remarks = [r"\par\smallskip\footnotesize Missing: " + _escape(" ".join(notes))] if notes else []
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_escape(title)}. {_escape(caption)}}}",
            rf"\label{{tab:{label}}}",
            r"\resizebox{\linewidth}{!}{%",
            rf"\begin{{tabular}}{{{'l' * shown.shape[1]}}}",
            r"\toprule",
            " & ".join(map(_escape, shown.columns)) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}}",
            *remarks,
            r"\end{table}",
            "",
        ]
    )


def _escape(text: str) -> str:
    bold = text.startswith("**") and text.endswith("**") and len(text) > 4
    plain = "".join(_ESCAPES.get(letter, letter) for letter in (text[2:-2] if bold else text))
    return rf"\textbf{{{plain}}}" if bold else plain
