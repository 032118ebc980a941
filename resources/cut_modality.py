"""Cuts the embedded data set `modality`, images of six modalities to be told apart.

    python resources/cut_modality.py --raw DIR [--out resources/embedded]

Run after cut_embedded.py with the same DIR: the two share provenance.csv, the licences and SHA256SUMS. Six classes with
two to six sources (a patient, a film, a slide) each; a source lies in one split only. No image holds burned-in text,
none is enlarged, none is synthetic. The same raw files give the same bytes.
"""

import argparse
import csv
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from cut_embedded import check_raw, read_table, write_embedded_papers, write_png
from cut_gallery import as_shown, crop
from modality_sources import CLASSES, SOURCES, Source

from medstress.errors import MedstressError

SIDE = 112
"""Cuts with a longer shorter side are reduced to this one."""


def write_source(folder: Path, source: Source, raw: Path) -> Iterator[dict[str, str]]:
    """Write the images of one source; the rows of the sheet."""
    modality = CLASSES[source.label]
    for view in source.views(raw):
        for number, box in enumerate(view.boxes, start=1):
            suffix = f"_{number}" if len(view.boxes) > 1 else ""
            name = f"{modality}_{source.group}_{view.name}{suffix}.png"
            write_png(folder / name, as_shown(crop(view.pixels, *box, side=SIDE)))
            facts = {"group": source.group, "split": source.split, "modality": modality}
            yield {"image": name, "label": source.label} | facts


def cut_all(raw: Path, provenance: Path, out: Path) -> None:
    """Check the raw files against `provenance` and write the data set, in place of what was there, into `out`.

    Raises MedstressError naming every raw file that is missing or is another one.
    """
    check_raw(raw, read_table(provenance))
    folder = out / "modality"
    shutil.rmtree(folder, ignore_errors=True)
    rows = [row for source in SOURCES for row in write_source(folder, source, raw)]
    with (folder / "sheet.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    write_embedded_papers(raw, provenance, out)


def main() -> int:
    """Entry point. Prints one message and returns 1 where a raw file is missing or another one."""
    parser = argparse.ArgumentParser(description="Cut the embedded data set `modality` out of published images.")
    home = Path(__file__).parent / "embedded"
    parser.add_argument("--raw", type=Path, required=True, help="folder with the raw files of provenance.csv")
    parser.add_argument("--out", type=Path, default=home, help="where to write (default: %(default)s)")
    arguments = parser.parse_args()
    try:
        cut_all(arguments.raw, home / "provenance.csv", arguments.out)
    except MedstressError as error:
        print(f"cut_modality: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
