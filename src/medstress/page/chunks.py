"""Data as scripts: a page from disk may not read other files, but it may load scripts.

A chunk is one call, `window.medstress.chunk(key, data)`. Inside, `<`, `>` and `&` are escaped, so that no text of a
model can end a script; and everything is put on the page as text.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from medstress.records import atomic_path

_ESCAPES = {ord(mark): f"\\u{ord(mark):04x}" for mark in "<>&\N{LINE SEPARATOR}\N{PARAGRAPH SEPARATOR}"}
_DIGITS = 10
_SAFE = re.compile(r"[^A-Za-z0-9_.-]")


def safe_json(data: Any) -> str:
    """JSON that can stand inside a script element; what is no finite number is null."""
    return json.dumps(_plain(data), ensure_ascii=False, separators=(",", ":"), allow_nan=False).translate(_ESCAPES)


def _plain(value: Any) -> Any:
    """A value of NumPy or pandas as JSON has it; floats with ten significant digits, as in the CSV of tables."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.bool_ | np.integer):
        value = value.item()
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float | np.floating):
        return float(f"{float(value):.{_DIGITS}g}") if math.isfinite(value) else None
    return None  # pandas' NA and NaT


def chunk_file(key: str) -> str:
    """The file of a chunk. Letters that no file system likes give way, and a hash keeps such names apart."""
    plain = _SAFE.sub("-", key)
    return f"{plain}.js" if plain == key else f"{plain}-{hashlib.sha256(key.encode()).hexdigest()[:8]}.js"


@dataclass
class Chunks:
    """The chunks that are written to a folder, and which key is in which file."""

    folder: Path
    files: dict[str, str] = field(default_factory=dict)

    def write(self, key: str, data: Any) -> None:
        """Write one chunk."""
        name = chunk_file(key)
        with atomic_path(self.folder / name) as temporary:
            temporary.write_text(f"window.medstress.chunk({safe_json(key)},{safe_json(data)});\n", encoding="utf-8")
        self.files[key] = name
