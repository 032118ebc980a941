"""Frames of texts as Markdown."""

from collections.abc import Sequence

import pandas as pd


def markdown(title: str, caption: str, shown: pd.DataFrame, notes: Sequence[str]) -> str:
    """A heading, the caption, a table whose columns line up in plain text, and the notes as a list."""
    cells = [[text.replace("|", r"\|") for text in row] for row in [list(shown.columns), *shown.values.tolist()]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * width for width in widths])
    padded = [[text.ljust(width) for text, width in zip(row, widths, strict=True)] for row in cells]
    lines = [f"| {' | '.join(row)} |" for row in padded]
    remarks = ["Notes:", "", *(f"* {note}" for note in notes), ""] if notes else []
    return "\n".join([f"# {title}", "", caption, "", *lines, "", *remarks])
