"""A LaTeX document of the tables of a study, that compiles as it is."""

from collections.abc import Sequence
from pathlib import Path

from medstress.errors import MedstressError
from medstress.records import atomic_path

_HEAD = r"""\documentclass[10pt]{article}
\usepackage{cmap}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\input{glyphtounicode}
\pdfgentounicode=1
\usepackage{array}
\usepackage{booktabs}
\usepackage{graphicx}
\usepackage{pdflscape}
\usepackage[a4paper, margin=2cm]{geometry}
\begin{document}
"""
_LONG = ("published_by_level",)
"""Tables of hundreds of rows, which are there to be looked up."""


def in_order(tables: Sequence[Path], names: Sequence[str]) -> list[Path]:
    """The files of tables in the order of `names`, and then those that it does not have."""
    places = {name: place for place, name in enumerate(names)}
    return sorted(tables, key=lambda table: places.get(table.stem, len(places)))


def write_latex_document(sources: Sequence[Path], out: Path) -> None:
    """Write a document with the `.tex` files of tables in it, one after another.

    A long one is left out with a sentence that says where it is. Raises MedstressError where there are none.
    """
    if not sources:
        raise MedstressError(f"{out}: no .tex files of tables to put into it. Run the study first.")
    parts = [_left_out(one) if one.stem in _LONG else one.read_text(encoding="utf-8") for one in sources]
    # A float each: without new pages LaTeX would hold too many of them back.
    body = "".join(f"{part}\\clearpage\n" for part in parts)
    with atomic_path(out) as staged:
        staged.write_text(f"{_HEAD}{body}\\end{{document}}\n", encoding="utf-8")


def _left_out(source: Path) -> str:
    place = f"{source.parent.name}/{source.name}".replace("_", r"\_")
    return f"Left out here for its hundreds of rows: \\texttt{{{place}}}, with its numbers beside it as CSV.\n"
