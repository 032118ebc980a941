"""Write the sheets of the optic disc and the optic cup for the glaucoma collection SMDG.

    python resources/glaucoma_sheet.py downloads/datasets/smdg

The sheets go to glaucoma_disc/ and glaucoma_cup/ beside that folder. A person is the collection with its `patient_id`,
or what an original name has before the mark of an eye (left, right, OD, OS); an image without either is a person of its
own.
"""

import argparse
import csv
import re
import sys
from collections.abc import Mapping
from pathlib import Path

MASKS = {"glaucoma_disc": "fundus_od_seg", "glaucoma_cup": "fundus_oc_seg"}
NO_MASK = ("", "nan", "not visible")
EYE = re.compile(r"^(.*\d)[ _-]?(?:left|right|od|os|l|r)$", re.IGNORECASE)


def collection_of(name: str) -> str:
    """The collection that a name like REFUGE1-TRAIN-12 begins with."""
    return name.rpartition("-")[0] or name


def person_of(row: Mapping[str, str]) -> str:
    """Who an image shows, as far as the row says it."""
    name = row["names"].strip()
    patient = (row.get("patient_id") or "").strip()
    if patient.lower() not in NO_MASK:
        return f"{collection_of(name)}/{patient.removesuffix('.0')}"
    eye = EYE.match(Path((row.get("original_name") or "").strip()).stem)
    return f"{collection_of(name)}/{eye[1]}" if eye else name


def place_of(root: Path, written: str) -> Path:
    """The file behind a path of the metadata; the archive has each folder inside one of the same name."""
    path = Path(written.strip().lstrip("/"))
    nested = root / path.parent / path.parent.name / path.name
    return nested if nested.is_file() else root / path


def main() -> None:
    """Write both sheets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="the unpacked collection, with `metadata - standardized.csv`")
    root: Path = parser.parse_args().root
    with (root / "metadata - standardized.csv").open(newline="", encoding="utf-8-sig") as handle:
        rows = list(csv.DictReader(handle))
    for card, column in MASKS.items():
        sheet = root.parent / card / "sheet.csv"
        sheet.parent.mkdir(parents=True, exist_ok=True)
        with sheet.open("w", newline="", encoding="utf-8") as out:
            writer = csv.writer(out)
            writer.writerow(("image", "mask", "group", "collection"))
            found = [row for row in rows if (row[column] or "").strip().lower() not in NO_MASK]
            for row in found:
                paths = (place_of(root, row[key]) for key in ("fundus", column))
                inside = [f"../{root.name}/{path.relative_to(root).as_posix()}" for path in paths]
                writer.writerow((*inside, person_of(row), collection_of(row["names"].strip())))
        people = len({person_of(row) for row in found})
        print(f"{sheet}: {len(found)} images, {people} people as far as is known", file=sys.stderr)


if __name__ == "__main__":
    main()
