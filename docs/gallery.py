"""Makes docs/gallery.md with its pictures, and docs/scales.md, from the registries.

    python docs/gallery.py            or: make gallery

Every registered type is shown at its five levels on an image of its modality from resources, with what its docstring
says. The text depends on the registries and the sheet of pictures alone.
"""

import csv
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import scales

from medstress.names import Modality
from medstress.perturb.levels import Level, make_levels
from medstress.perturb.protocol import Perturbation, Scene
from medstress.perturb.registry import PERTURBATIONS
from medstress.perturb.warp import warp_mask
from medstress.pixels import Image, Mask, decode_png
from medstress.seeds import seed_of
from medstress.specs import SeveritySpec

DOCS = Path(__file__).parent
RESOURCES = DOCS.parent / "resources"
STRIPS = DOCS / "images" / "gallery"
LEVELS = (1, 2, 3, 4, 5)

SHOWN_ON = {
    "gaussian_blur": "nuclei",
    "motion_blur": "nuclei",
    "defocus_blur": "nuclei",
    "glass_blur": "nuclei",
    "zoom_blur": "mri_1",
    "speckle": "mri_1",
    "jpeg": "pathology_3",
    "pixelate": "pathology_3",
    "saturate": "pathology_2",
    "fog": "pathology_1",
    "frost": "pathology_1",
    "snow": "pathology_1",
    "spatter": "pathology_1",
    "elastic": "mri_1",
    "rotation": "mri_1",
    "scaling": "mri_1",
    "translation": "mri_1",
}
"""Pictures of types that fit every modality; the others are shown on GENERAL."""
GENERAL = "xray_1"
SHOWN_FIRST: dict[Modality, str] = {"microscopy": "nuclei"}
"""Pictures of a modality, where it is not the first of the sheet."""

# Panels, in pixels. Images are reduced to fit, and enlarged only by whole factors.
PANEL_WIDTH, PANEL_HEIGHT = 264, 256
CAPTION, GAP = 20, 6
JPEG_QUALITY = 82
INK, ALARM, CONTOUR = (20, 20, 20), (190, 20, 20), (255, 214, 0)


@dataclass(frozen=True)
class Picture:
    """An image to show types on. `source` says in words what it is."""

    name: str
    synthetic: bool
    source: str
    scene: Scene
    file: Path


def _picture(row: dict[str, str]) -> Picture:
    file = RESOURCES / "gallery" / row["file"]
    raw, window = None, None
    if row["raw"]:
        stored = decode_png((file.parent / row["raw"]).read_bytes(), where=row["raw"])
        raw = stored * np.float32(row["slope"]) + np.float32(row["intercept"])
        window = (float(row["window_low"]), float(row["window_high"]))
    image = decode_png(file.read_bytes(), where=row["file"])
    scene = Scene(image, modality=_modality(row["modality"]), raw=raw, window=window)
    return Picture(file.stem, row["synthetic"] == "true", row["source"], scene, file)


def _modality(name: str) -> Modality:
    return next(modality for modality in get_args(Modality) if modality == name)


@cache
def pictures() -> dict[str, Picture]:
    """The pictures of the gallery's sheet, in its order, and a tile of the embedded nuclei."""
    with (RESOURCES / "gallery" / "sheet.csv").open(newline="", encoding="utf-8") as handle:
        found = [_picture(row) for row in csv.DictReader(handle)]
    tile = min((RESOURCES / "embedded" / "nuclei").glob("*.png"))
    nuclei = Scene(decode_png(tile.read_bytes(), where=tile.name), modality="microscopy")
    found.append(Picture("nuclei", False, "fluorescent nuclei", nuclei, tile))
    return {picture.name: picture for picture in found}


def home_of(kind: Perturbation) -> Modality | None:
    """The modality under which a type is shown: its first one in the order of the names; None for every modality."""
    return next((modality for modality in get_args(Modality) if modality in kind.modalities), None)


def picture_of(kind: Perturbation) -> Picture:
    """What a type is shown on."""
    modality = home_of(kind)
    if modality is None:
        return pictures()[SHOWN_ON.get(kind.name, GENERAL)]
    if modality in SHOWN_FIRST:
        return pictures()[SHOWN_FIRST[modality]]
    return next(picture for picture in pictures().values() if picture.scene.modality == modality)


def levels_of(kind: Perturbation) -> list[Level]:
    """The five levels of a type on its picture. The draw depends on the names of both alone."""
    picture = picture_of(kind)
    return make_levels(kind, picture.scene, LEVELS, seed_of("gallery", picture.name, kind.name), SeveritySpec())


def marks(height: int, width: int) -> Mask:
    """Nine discs, [H, W]: a mask to be moved along."""
    drawn = np.zeros((height, width), np.uint8)
    radius = round(min(height, width) * 0.09)
    for row in (0.25, 0.5, 0.75):
        for column in (0.25, 0.5, 0.75):
            cv2.circle(drawn, (round(column * width), round(row * height)), radius, 1, -1)
    return drawn.astype(bool)


def _panel(image: Image, mask: Mask | None) -> PIL.Image.Image:
    """The image in the size of the gallery, RGB, with the mask's outline where there is one."""
    height, width = image.shape[:2]
    share = min(PANEL_WIDTH / width, PANEL_HEIGHT / height)
    share = float(int(share)) if share > 1 else share
    size = (round(width * share), round(height * share))
    colour = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
    shown = cv2.resize(colour, size, interpolation=cv2.INTER_NEAREST if share > 1 else cv2.INTER_AREA)
    if mask is not None:
        enlarged = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        outlines, _ = cv2.findContours(enlarged, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        shown = cv2.drawContours(np.ascontiguousarray(shown), outlines, -1, CONTOUR, 1)
    return PIL.Image.fromarray(shown)


def _caption(level: Level) -> tuple[str, tuple[int, int, int]]:
    cell = level.cell
    if cell.status == "unreachable":
        return f"{cell.level}: unreachable ({cell.strength:g}, SSIM {cell.ssim:.2f})", ALARM
    return f"{cell.level}: {cell.strength:g}, SSIM {cell.ssim:.2f}", INK


def strip(kind: Perturbation) -> PIL.Image.Image:
    """The clean image and the five levels, in two rows, each with its strength and SSIM."""
    clean = picture_of(kind).scene.image
    mask = marks(*clean.shape[:2]) if kind.moves_pixels else None
    shown = [(_panel(clean, mask), "clean", INK)]
    for level in levels_of(kind):
        moved = mask if mask is None or level.warp is None else warp_mask(mask, level.warp)
        shown.append((_panel(level.cell.image, moved), *_caption(level)))
    width, height = shown[0][0].size
    canvas = PIL.Image.new("RGB", (3 * (width + GAP) - GAP, 2 * (height + CAPTION + GAP) - GAP), "white")
    draw, font = PIL.ImageDraw.Draw(canvas), PIL.ImageFont.load_default(13)
    for index, (panel, words, ink) in enumerate(shown):
        left, top = index % 3 * (width + GAP), index // 3 * (height + CAPTION + GAP)
        draw.text((left, top + 2), words, fill=ink, font=font)
        canvas.paste(panel, (left, top + CAPTION))
    return canvas


def described(text: str) -> list[str]:
    """The paragraphs of a docstring, each on one line, for Markdown."""
    return [scales.escaped(paragraph) for paragraph in re.split(r"\n\s*\n", text.strip())]


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def section(kind: Perturbation) -> str:
    """The part of the page about one type."""
    picture = picture_of(kind)
    docstring = inspect.getdoc(kind.realise) or ""
    facts = [
        f"Strength: {kind.unit}, {kind.mildest:g} to {kind.strongest:g}" + (", whole numbers" if kind.whole else ""),
        f"Modalities: {', '.join(sorted(kind.modalities)) or 'all'}",
        "Masks, boxes and points: " + ("move along" if kind.moves_pixels else "stay"),
    ]
    if kind.table is not None:
        facts.append("Levels: " + ", ".join(f"{strength:g}" for strength in kind.table) + "; SSIM is recorded only")
    what = f"synthetic phantom {picture.name}" if picture.synthetic else f"{picture.name}: {picture.source}"
    file = picture.file.relative_to(DOCS.parent).as_posix()
    facts.append(f"Shown on: [{what}](../{file})")
    image = f"![{kind.name} at five levels on {picture.name}](images/gallery/{kind.name}.jpg)"
    paragraphs = [_wrapped(paragraph) for paragraph in described(docstring)]
    return "\n\n".join([f"### {kind.name}", *paragraphs, "\n".join(f"* {fact}" for fact in facts), image])


def _grouped() -> Iterator[tuple[str, list[Perturbation]]]:
    kinds = list(PERTURBATIONS.values())
    yield "Every modality", [kind for kind in kinds if home_of(kind) is None]
    for modality in get_args(Modality):
        yield modality, [kind for kind in kinds if home_of(kind) == modality]


def page() -> str:
    """The text of docs/gallery.md."""
    groups = [(title, kinds) for title, kinds in _grouped() if kinds]
    contents = [
        f"* {title}: " + ", ".join(f"[{kind.name}](#{kind.name.lower()})" for kind in kinds) for title, kinds in groups
    ]
    parts = [
        "# The perturbations",
        _wrapped(
            f"All {len(PERTURBATIONS)} types at their five levels, made by `make gallery`; do not edit. A level is a "
            "band of structural similarity: 1 is .90 to .98, 2 .80 to .89, 3 .70 to .79, 4 .60 to .69, 5 .50 to .59. "
            "The strength that reaches it is looked for on each image; each panel says which it was, and a level that "
            "no strength reaches on this image is marked unreachable. Yellow outlines are masks that move with the "
            "pixels."
        ),
        _wrapped(
            "Images come from [resources/gallery](../resources/gallery/PROVENANCE.md) and "
            "[resources/embedded](../resources/embedded/PROVENANCE.md). Where no real image of a modality can be "
            "shipped, a phantom stands in and is called synthetic. Fixed strengths of published benchmarks are in "
            "[scales.md](scales.md)."
        ),
        "\n".join(contents),
    ]
    for title, kinds in groups:
        parts += [f"## {title}", *(section(kind) for kind in kinds)]
    return "\n\n".join(parts) + "\n"


def main() -> int:
    """Write both pages and every picture; pictures of types that are gone are removed."""
    STRIPS.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    for file in STRIPS.glob("*.jpg"):
        if file.stem not in PERTURBATIONS:
            file.unlink()
    for kind in PERTURBATIONS.values():
        strip(kind).save(STRIPS / f"{kind.name}.jpg", quality=JPEG_QUALITY, optimize=True)
    (DOCS / "gallery.md").write_text(page(), encoding="utf-8")
    (DOCS / "scales.md").write_text(scales.page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
