"""The tables of a study that were made, read back from its results."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from medstress.errors import MedstressError


@dataclass(frozen=True)
class MadeTable:
    """One table: all its numbers, and what its Markdown says for people."""

    name: str
    title: str
    caption: str
    text: str
    numbers: pd.DataFrame


def read_made_tables(results: Path) -> list[MadeTable]:
    """Every table of results/{study}/tables, by name: its Parquet, or its CSV where there is no Parquet.

    Raises MedstressError where there is none, or one cannot be read; all that is wrong at once.
    """
    folder, found, problems = results / "tables", [], []
    paths = {path.stem: path for kind in ("csv", "parquet") for path in folder.glob(f"*.{kind}")}
    for name, path in sorted(paths.items()):
        try:
            text = path.with_suffix(".md").read_text(encoding="utf-8")
            lines = [line for line in text.splitlines() if line]
            numbers = pd.read_parquet(path) if path.suffix == ".parquet" else _read_csv(path)
            found.append(MadeTable(name, lines[0].removeprefix("# "), lines[1], text, numbers))
        except (OSError, ValueError, IndexError) as error:
            problems.append(f"{path}: cannot be read with its .md ({type(error).__name__}). Delete it and run again.")
    if not found and not problems:
        problems.append(
            f"{folder}: no tables, neither .parquet nor .csv with their .md. Run the study first, or name another "
            "folder below results/."
        )
    if problems:
        raise MedstressError("\n".join(problems))
    return found


def _read_csv(path: Path) -> pd.DataFrame:
    # Runs may be called as what stands for nothing elsewhere, such as "none".
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


def edited_tables(results: Path) -> list[str]:
    """The tables, by name, whose CSV is not what their Parquet says, number by number as it is written."""
    return [
        path.stem
        for path in sorted((results / "tables").glob("*.parquet"))
        if path.with_suffix(".csv").is_file() and _lines(path) != path.with_suffix(".csv").read_bytes().splitlines()
    ]


def _lines(path: Path) -> list[bytes]:
    try:
        return pd.read_parquet(path).to_csv(index=False, float_format="%.10g").encode().splitlines()
    except (OSError, ValueError) as error:
        raise MedstressError(f"{path}: cannot be read ({type(error).__name__}). Delete it and run again.") from None
