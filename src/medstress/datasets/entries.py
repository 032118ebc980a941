"""What readers of questions hand on: each question as its source has it, with nothing checked yet."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medstress.datasets.candidate import BadSampleError, Reject, no_such
from medstress.errors import MedstressError
from medstress.names import Split

_SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validate": "val",
    "validation": "val",
    "test": "test",
}


@dataclass(frozen=True)
class Entry:
    """One question, caption or box. `where` names it in messages; what is not said is "".

    sample_id: "" where the source has none; then questions of an image are numbered in the order of the source.
    box: four numbers as written. mask_value: the value of its pixels in `mask`, "" where all above half are meant.
    column and row: where in a Parquet file `image` the picture lies.
    """

    where: str
    image: Path
    image_id: str
    sample_id: str = ""
    question: str = ""
    options: tuple[str, ...] = ()
    answer: str = ""
    answer_type: str = ""
    caption: str = ""
    box: str = ""
    mask: Path | None = None
    mask_value: str = ""
    label: str = ""
    group: str = ""
    split: str = ""
    modality: str = ""
    attributes: tuple[tuple[str, str], ...] = ()
    column: str = ""
    row: int | None = None


@dataclass(frozen=True)
class Entries:
    """All that a source holds: its entries in its order, what cannot be one, and what was left out on purpose.

    grouped: whether the source says which images belong together.
    """

    entries: tuple[Entry, ...]
    rejects: tuple[Reject, ...] = ()
    notes: tuple[str, ...] = ()
    grouped: bool = False


Item = tuple[str, Mapping[str, Any]]
"""A JSON object, and how messages name it."""


def text_of(value: Any) -> str:
    """A value as text: "" for none, whole numbers without a point, lists with blanks between their members."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return " ".join(map(text_of, value)) if isinstance(value, list | tuple) else str(value).strip()


def attributes_of(item: Mapping[str, Any], names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """The named values of an entry that are not empty."""
    return tuple((name, text) for name in names if (text := text_of(item.get(name))))


def read_items(path: Path) -> list[Item]:
    """The objects of a JSON file: those of its list, or the only one. Raises MedstressError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise MedstressError(f"{path}: no such file. Check the paths in the card.") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise MedstressError(f"{path}: not JSON in UTF-8 ({error}). Copy it again.") from None
    items = content if isinstance(content, list) else [content]
    if not all(isinstance(item, dict) for item in items):
        raise MedstressError(f"{path}: expected a list of objects in braces, one a question.")
    return [(f"{path}, entry {number}", item) for number, item in enumerate(items, start=1)]


def required(item: Item, names: Sequence[str]) -> None:
    """Raises BadSampleError where an entry lacks a key."""
    where, content = item
    if missing := [name for name in names if name not in content]:
        raise BadSampleError(where, f"has no {', '.join(missing)}; it has {', '.join(content) or 'nothing'}.")


def split_files(folder: Path, root: Path) -> dict[Split, Path]:
    """The JSON file of each split, by the beginning of its name. Raises MedstressError.

    Copies named *_old.json, which others' cleaning scripts leave behind, do not count.
    """
    if not folder.is_dir():
        raise MedstressError(no_such("folder", folder, "source.folder", root))
    found: dict[Split, list[Path]] = {}
    for path in sorted(folder.glob("*.json")):
        split = next((name for name in ("train", "val", "test") if path.name.lower().startswith(name)), None)
        if split and not path.stem.endswith("_old"):
            found.setdefault(_SPLIT_NAMES[split], []).append(path)
    if not found:
        raise MedstressError(f"{folder}: no JSON file whose name begins with train, val or test.")
    if several := [paths for paths in found.values() if len(paths) > 1]:
        names = "; ".join(", ".join(path.name for path in paths) for paths in several)
        raise MedstressError(f"{folder}: several files of one split: {names}. Keep one of each.")
    return {split: paths[0] for split, paths in found.items()}


def split_named(name: str) -> Split | None:
    """The split that a source calls so, such as validate."""
    return _SPLIT_NAMES.get(name.lower())
