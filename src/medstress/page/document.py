"""index.html from its template, style and script."""

import base64
import hashlib
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from typing import Any

from medstress.page.chunks import safe_json


def page_html(study: str, folder: str, data: Mapping[str, Any]) -> str:
    """The page as one HTML file, which loads libraries and chunks from `folder` beside it and nothing else."""
    here = files(__package__)
    style = (here / "page.css").read_text(encoding="utf-8")
    script = "".join((here / name).read_text(encoding="utf-8") for name in SCRIPTS)
    page = (here / "page.html").read_text(encoding="utf-8")
    filled = {
        "study": escape(study),
        "folder": escape(folder),
        "style_hash": _hash(style),
        "script_hash": _hash(script),
        "style": style,
        "script": script,
    }
    for name, text in filled.items():
        page = page.replace(f"{{{{{name}}}}}", text)
    # Last, so that nothing in the data is taken for a place to fill.
    before, _, after = page.partition("{{data}}")
    return before + safe_json(data) + after


SCRIPTS = (
    "page.js",
    "overview.js",
    "claims.js",
    "tables.js",
    "curves.js",
    "cells.js",
    "figures.js",
    "details.js",
    "provenance.js",
    "start.js",
)
"""In this order they are one script."""


def assets_fingerprint() -> str:
    """16 hexadecimal digits that change with the template, the style or the scripts, which are no Python code."""
    here = files(__package__)
    texts = [(here / name).read_text(encoding="utf-8") for name in ("page.html", "page.css", *SCRIPTS)]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def _hash(text: str) -> str:
    """What a content security policy calls an inline style or script: the hash of what is between its tags."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
