"""Turn the brain tumour slices of figshare 1512427 into PNG files and a sheet with the patients.

    pip install h5py
    python resources/brain_tumour_sheet.py 1512427.zip downloads/datasets/brain_tumour

Takes the archive as downloaded, or a folder with the .mat files or the inner archives. Intensities of MRI have no unit,
so each slice is stretched from its lowest to its highest value; nothing else is changed.
"""

import argparse
import csv
import io
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

TUMOURS = {1: "meningioma", 2: "glioma", 3: "pituitary"}


@dataclass(frozen=True)
class Slice:
    """One slice: its number in the archive, the patient, the kind of tumour, image and mask [H, W]."""

    number: int
    patient: str
    tumour: str
    image: npt.NDArray[Any]
    mask: npt.NDArray[np.bool_]


def read_slice(number: int, content: bytes) -> Slice:
    """The slice in a MATLAB 7.3 file, which is HDF5 with axes in reverse."""
    import h5py

    with h5py.File(io.BytesIO(content)) as opened:
        data = opened["cjdata"]
        patient = "".join(chr(int(code)) for code in np.ravel(data["PID"][()]))
        tumour = TUMOURS[int(np.ravel(data["label"][()])[0])]
        return Slice(number, patient, tumour, data["image"][()].T, data["tumorMask"][()].T > 0)


def mat_files(source: Path) -> Iterator[tuple[int, bytes]]:
    """Number and content of every N.mat in a folder or an archive, also in archives inside it."""
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            if path.suffix == ".zip":
                yield from _inside(path.read_bytes())
            elif path.suffix == ".mat" and path.stem.isdigit():
                yield int(path.stem), path.read_bytes()
    else:
        yield from _inside(source.read_bytes())


def _inside(content: bytes) -> Iterator[tuple[int, bytes]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in archive.namelist():
            path = Path(name)
            if path.suffix == ".zip":
                yield from _inside(archive.read(name))
            elif path.suffix == ".mat" and path.stem.isdigit():
                yield int(path.stem), archive.read(name)


def write(slices: Iterator[Slice], out: Path) -> int:
    """Write images/, masks/ and sheet.csv; the number of slices. The sheet is written last, when all is there."""
    rows = []
    for name in ("images", "masks"):
        (out / name).mkdir(parents=True, exist_ok=True)
    for item in slices:
        low, high = float(item.image.min()), float(item.image.max())
        shares = (item.image.astype(np.float64) - low) / max(high - low, 1.0)
        name = f"{item.number:04d}.png"
        cv2.imwrite(str(out / "images" / name), np.rint(shares * 255).astype(np.uint8))
        cv2.imwrite(str(out / "masks" / name), item.mask.astype(np.uint8) * 255)
        rows.append((f"images/{name}", f"masks/{name}", item.patient, item.tumour))
    with (out / "sheet.csv").open("w", newline="", encoding="utf-8") as handle:
        sheet = csv.writer(handle)
        sheet.writerow(("image", "mask", "group", "tumour"))
        sheet.writerows(sorted(rows))
    return len(rows)


def main() -> None:
    """Convert, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    count = write((read_slice(number, content) for number, content in mat_files(arguments.source)), arguments.out)
    print(f"{arguments.out / 'sheet.csv'}: {count} slices", file=sys.stderr)


if __name__ == "__main__":
    main()
