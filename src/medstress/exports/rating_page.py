"""The page on which answers are rated: one file that asks no network for anything.

Everything that is shown comes from JSON in which `<`, `>` and `&` are escaped, and is put on the page as text. Beside
that, the page's own policy lets no script but its own run and nothing be loaded.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

_ESCAPES = {ord(mark): f"\\u{ord(mark):04x}" for mark in "<>&\N{LINE SEPARATOR}\N{PARAGRAPH SEPARATOR}"}
MEANINGS = {
    "open": {
        "1": "wrong, or no answer",
        "2": "some overlap, wrong in what matters",
        "3": "mostly right, with gaps",
        "4": "right, small deviation",
        "5": "fully right",
    },
    "closed": {"0": "wrong", "1": "right"},
}
"""What the grades mean, by the type of the question."""


@dataclass(frozen=True)
class Item:
    """One answer to rate."""

    sample_id: str
    answer_mark: str
    question: str
    options: tuple[str, ...]
    truth: str
    answer: str
    image_id: str


@dataclass(frozen=True)
class Page:
    """What is rated, in the order shown. images: PNG by image id. Whose answers they are is not on the page."""

    dataset: str
    answer_type: str
    grades: tuple[float, ...]
    items: tuple[Item, ...]
    images: Mapping[str, bytes]


def page_html(page: Page) -> str:
    """The page as one HTML file."""
    template = (files(__package__) / "rating_page.html").read_text(encoding="utf-8")
    for kind in ("style", "script"):
        template = template.replace(f"{{{kind}_hash}}", _hash(template, kind))
    # Last, so that nothing in the data is taken for a place to fill.
    before, _, after = template.partition("{data}")
    return before + _json(page) + after


def _hash(template: str, kind: str) -> str:
    """What a content security policy calls an inline style or script: the hash of what is between its tags."""
    found = re.search(rf"<{kind}>(.*?)</{kind}>", template, re.DOTALL)
    assert found is not None
    return base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode("ascii")


def _json(page: Page) -> str:
    meanings = MEANINGS[page.answer_type]
    data = {
        "dataset": page.dataset,
        "answer_type": page.answer_type,
        "grades": [{"grade": f"{grade:g}", "meaning": meanings[f"{grade:g}"]} for grade in page.grades],
        "items": [vars(item) for item in page.items],
        "images": {
            name: f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}" for name, png in page.images.items()
        },
    }
    return json.dumps(data, ensure_ascii=False).translate(_ESCAPES)
