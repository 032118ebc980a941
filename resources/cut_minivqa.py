"""Makes the embedded data set `minivqa`: questions, captions and boxes about images that are embedded already.

    python resources/cut_minivqa.py [--embedded resources/embedded]

Run after cut_embedded.py and cut_modality.py. It writes minivqa/vqa.csv, captioning.csv and grounding.csv, which name
the images where they lie, and parts of the tumour slices in minivqa/images: of each slice one part with the tumour and
one of the same size without, so that "is there a tumour" has both answers. Group and split are those of the source.
Images of `modality` whose patient lies in another split of another data set are left out, so that no patient's image
is asked on two sides that was not so in its own data set. The same images give the same bytes.
"""

import argparse
import csv
import shutil
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from cut_embedded import Array, sha256_of, write_png
from minivqa_facts import (
    ORGANS,
    PHRASES,
    SIZE_NAMES,
    Shown,
    caption,
    nuclei_between,
    questions,
    size_class,
    targets,
)

from medstress.errors import MedstressError
from medstress.names import Modality, Split
from medstress.pixels import Box, Mask, box_of
from medstress.seeds import generator, seed_of

MASKED: dict[str, Modality] = {
    "brain_mri_tumour": "mri",
    "lung_ct_tumour": "ct",
    "nuclei": "microscopy",
    "brain_anatomy": "mri",
}
TUMOURS = ("brain_mri_tumour", "lung_ct_tumour")
ELSEWHERE = ("ch2", "brain2", "lung1", "lung2")
"""Sources of `modality` whose patients lie in other splits of the masked data sets. brain1 is test in both."""
SPLITS = ("train", "val", "test")
MARGIN = 3
"""Pixels between a tumour and a part without it."""
LEAST_PART = 40
"""Pixels of the side of a part; a slice that has no room for one without the tumour gives none."""


@dataclass(frozen=True)
class Entry:
    """One image of the data set: its path and its mask's as the sheets write them, and what it shows."""

    image: str
    mask: str
    group: str
    split: Split
    shown: Shown


def read_rows(sheet: Path) -> list[dict[str, str]]:
    """The rows of a sheet."""
    with sheet.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def read_image(path: Path) -> Array:
    """uint8 [H, W], or RGB [H, W, 3]. Raises MedstressError."""
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise MedstressError(f"{path}: not there, or no image. Run cut_embedded.py and cut_modality.py again.")
    return np.asarray(pixels[..., ::-1] if pixels.ndim == 3 else pixels)


def masked_entries(embedded: Path, dataset: str, splits: Collection[str]) -> Iterator[Entry]:
    """The images of a data set with masks. Files of other splits are not opened."""
    for row in (row for row in read_rows(embedded / dataset / "sheet.csv") if row["split"] in splits):
        pixels, mask = (read_image(embedded / dataset / row[column]) for column in ("image", "mask"))
        source = row.get("patient", "ch2" if dataset == "brain_anatomy" else "")
        shown = Shown(pixels, MASKED[dataset], ORGANS.get(source, ""), axial=dataset != "nuclei")
        if dataset in TUMOURS:
            shown = replace(shown, tumour=mask > 0)
        elif dataset == "brain_anatomy":
            shown = replace(shown, labels=mask)
        else:
            shown = replace(shown, nuclei=nuclei_between(pixels, mask))
        yield Entry(f"../{dataset}/{row['image']}", f"../{dataset}/{row['mask']}", row["group"], row["split"], shown)  # type: ignore[arg-type]


def modality_entries(embedded: Path, splits: Collection[str]) -> Iterator[Entry]:
    """The images of `modality` that may be asked about beside the others."""
    for row in read_rows(embedded / "modality" / "sheet.csv"):
        if row["split"] in splits and row["group"] not in ELSEWHERE:
            shown = Shown(
                read_image(embedded / "modality" / row["image"]), row["modality"], ORGANS.get(row["group"], "")
            )  # type: ignore[arg-type]
            yield Entry(f"../modality/{row['image']}", "", row["group"], row["split"], shown)  # type: ignore[arg-type]


def part_corners(pixels: Array, tumour: Mask) -> tuple[int, tuple[int, int], tuple[int, int]] | None:
    """Side of two parts of a slice, and left and top of the one with the tumour and of the one without.

    The side is the largest for which a part without the tumour fits; of those the brightest is taken, since air shows
    nothing. None where there is no room.
    """
    x0, y0, x1, y1 = (round(value) for value in box_of(tumour))
    height, width = tumour.shape
    side = max(x0, y0, width - x1, height - y1) - MARGIN
    if side < LEAST_PART:
        return None
    # Both parts show more than the tumour, and a large part without is not to be told by its size from one with.
    side = min(side, min(height, width) // 2)
    near = cv2.dilate(tumour.astype(np.uint8), np.ones((2 * MARGIN + 1, 2 * MARGIN + 1), np.uint8))
    sums, taken = (cv2.integral(values.astype(np.float64)) for values in (pixels, near))

    def window(integral: Array) -> Array:
        return np.asarray(
            integral[side:, side:] - integral[:-side, side:] - integral[side:, :-side] + integral[:-side, :-side]
        )

    brightness = np.where(window(taken) == 0, window(sums), -1)
    top, left = np.unravel_index(int(brightness.argmax()), brightness.shape)
    with_x = min(max(round((x0 + x1 - side) / 2), 0), width - side)
    with_y = min(max(round((y0 + y1 - side) / 2), 0), height - side)
    return side, (with_x, with_y), (int(left), int(top))


def tumour_parts(entries: Sequence[Entry]) -> Iterator[Entry]:
    """Of each tumour slice, a part with the tumour and one without."""
    for entry in entries:
        tumour = entry.shown.tumour
        found = None if tumour is None else part_corners(entry.shown.pixels, tumour)
        if tumour is None or found is None:
            continue
        side, *corners = found
        for suffix, (x, y) in zip(("with", "without"), corners, strict=True):
            area = np.s_[y : y + side, x : x + side]
            shown = replace(entry.shown, pixels=entry.shown.pixels[area], tumour=tumour[area], whole=False)
            yield replace(entry, image=f"images/{Path(entry.image).stem}_{suffix}.png", mask="", shown=shown)


def entries_of(embedded: Path, splits: Collection[str] = SPLITS) -> list[Entry]:
    """All images of some splits, in the order of the sheets. Raises MedstressError where one is missing."""
    masked = [entry for dataset in MASKED for entry in masked_entries(embedded, dataset, splits)]
    return [*masked, *modality_entries(embedded, splits), *tumour_parts(masked)]


def size_of(shown: Shown) -> str:
    """What the attribute `size` says; "" without a tumour, or near a limit."""
    size = size_class(shown.tumour) if shown.tumour is not None and shown.tumour.any() and shown.whole else None
    return "" if size is None else SIZE_NAMES[size]


def _facts(entry: Entry) -> dict[str, str]:
    shown = entry.shown
    where = {"image": entry.image, "group": entry.group, "split": entry.split, "modality": shown.modality}
    return where | {"organ": shown.organ, "size": size_of(shown)}


def vqa_rows(entries: Sequence[Entry]) -> Iterator[dict[str, str]]:
    """One row a question. Options have `;` between them; there are none where the question is open."""
    for entry in entries:
        rng = generator(seed_of("minivqa", "vqa", entry.image))
        for number, question in enumerate(questions(entry.shown, rng)):
            yield {
                "question_id": f"{Path(entry.image).stem}_{number}",
                **_facts(entry),
                "question": question.text,
                "options": ";".join(question.options),
                "answer": question.answer,
                "answer_type": question.answer_type,
                "content_type": question.content_type,
            }


def captioning_rows(entries: Sequence[Entry]) -> Iterator[dict[str, str]]:
    """One row a whole image."""
    for entry in entries:
        if entry.shown.whole:
            yield {"question_id": Path(entry.image).stem, **_facts(entry), "caption": caption(entry.shown)}


def grounding_rows(entries: Sequence[Entry]) -> Iterator[dict[str, str]]:
    """One row an object: its box in pixels, half-open, and its value in the mask."""
    for entry in entries:
        for target in targets(entry.shown) if entry.shown.whole else ():
            yield {
                "question_id": f"{Path(entry.image).stem}_{target.name.replace(' ', '_')}",
                **_facts(entry),
                "question": PHRASES["where"][0].format(target.name),
                "label": target.name,
                "box": _written(target.box),
                "mask": entry.mask,
                "mask_value": str(target.value),
            }


def _written(box: Box) -> str:
    return " ".join(f"{value:g}" for value in box)


def write_rows(sheet: Path, rows: Sequence[dict[str, str]]) -> None:
    """Write a sheet."""
    with sheet.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_all(embedded: Path) -> None:
    """Write the data set in place of what was there, and the sums of all embedded files."""
    folder = embedded / "minivqa"
    entries = entries_of(embedded)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for entry in entries:
        if not entry.shown.whole:
            write_png(folder / entry.image, entry.shown.pixels)
    write_rows(folder / "vqa.csv", list(vqa_rows(entries)))
    write_rows(folder / "captioning.csv", list(captioning_rows(entries)))
    write_rows(folder / "grounding.csv", list(grounding_rows(entries)))
    sums = embedded / "SHA256SUMS"
    files = sorted(path for path in embedded.rglob("*") if path.is_file() and path != sums)
    sums.write_text("".join(f"{sha256_of(path)}  {path.relative_to(embedded).as_posix()}\n" for path in files))


def main() -> int:
    """Entry point. Prints one message and returns 1 where an image is missing."""
    parser = argparse.ArgumentParser(description="Make the embedded data set `minivqa` out of the embedded images.")
    parser.add_argument("--embedded", type=Path, default=Path(__file__).parent / "embedded")
    try:
        write_all(parser.parse_args().embedded)
    except MedstressError as error:
        print(f"cut_minivqa: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
