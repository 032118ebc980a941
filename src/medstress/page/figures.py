"""Figures as the page shows them: beside it on disk, with their captions."""

import struct
from collections.abc import Mapping, Sequence
from os.path import relpath
from pathlib import Path
from typing import Any

from medstress.errors import MedstressError
from medstress.page.spec import PageSpec
from medstress.page.words import WORDS

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def figures_data(spec: PageSpec, paths: Sequence[Path], beside: Path) -> list[dict[str, Any]]:
    """All figures, in the study's order: title, caption, size in pixels, and where they are from the folder `beside`.

    `paths` are SVG files, each beside a PNG file of its name. Raises MedstressError where one is not there.
    """
    found: Mapping[str, Path] = {path.stem: path for path in paths}
    if missing := [name for name in spec.figures if name not in found]:
        raise MedstressError(f"page: figures {', '.join(missing)} are not there. Draw them first.")
    return [_figure(found[name], beside) | WORDS[name]._asdict() | {"name": name} for name in spec.figures]


def _figure(svg: Path, beside: Path) -> dict[str, Any]:
    png = svg.with_suffix(".png")
    try:
        with png.open("rb") as handle:
            head = handle.read(24)
    except OSError:
        head = b""
    if len(head) < 24 or not head.startswith(_SIGNATURE):
        raise MedstressError(f"{png}: is no PNG file. Delete the figure and run the same command again.")
    # The header comes first in every PNG file: length, name, width, height.
    width, height = struct.unpack(">II", head[16:24])
    return {"svg": _href(svg, beside), "png": _href(png, beside), "width": width, "height": height}


def _href(path: Path, beside: Path) -> str:
    return Path(relpath(path, beside)).as_posix()
