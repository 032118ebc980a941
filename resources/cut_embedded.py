"""Cuts the embedded data sets out of published images.

    python resources/cut_embedded.py --raw DIR [--out resources/embedded]

DIR holds the files that resources/embedded/provenance.csv lists, under the names of its first column; their sha256s
are checked before anything is written. The same raw files give the same bytes, listed in SHA256SUMS. Every choice of
size and position is made on the training patient and then applied as it is to the test patient.
"""

import argparse
import csv
import hashlib
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import nibabel
import nrrd  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import tifffile

from medstress.errors import MedstressError
from medstress.pixels import Box, box_of
from medstress.seeds import generator, seed_of

Array = npt.NDArray[Any]

LUNG_WINDOW = (-1350.0, 150.0)
"""HU shown as black and white: the usual lung window, level -600 and width 1500."""
HU_OFFSET = -1024
"""HU = stored 16-bit value + HU_OFFSET."""
MRI_WHITE_PERCENTILE = 98.0
"""Percentile of a volume shown as white. At 98 brain tissue of the training patient lies at a third of the range."""
LESION_SHARE = 0.10
"""The median training lesion spans at least this share of the side of a crop."""
MIN_LESION_PIXELS = 20
MIN_NUCLEUS_PIXELS = 60
"""Pieces of nuclei at tile borders that are smaller are dropped. Whole nuclei of the training tiles have 85 or more."""
TILE = 128
TILE_SPLITS = ("train", "train", "train", "train"), ("train",) * 4, ("val", "val", "val", "test"), ("test",) * 4
"""Split of each tile, by row and column of tiles: contiguous, so that few nuclei lie on a border between splits."""
SLABS = (
    *((32, "train"), (43, "test"), (54, "val"), (65, "test"), (76, "train"), (87, "test")),
    *((98, "train"), (109, "test"), (120, "train"), (131, "test"), (142, "val")),
)
"""First axial slice of each slab of brain_anatomy, and its split."""
SLAB_SLICES = (0, 3)
"""Slices taken of each slab. The 7 slices up to the next slab are dropped, so that no split continues another."""
REGIONS = ("Frontal_Mid", "Precuneus", "Putamen", "Thalamus", "Temporal_Mid", "Cerebelum_Crus1")
"""AAL regions, left and right, that cover more than 300 pixels in the median training slice that shows them."""
MIN_REGION_PIXELS = 150


@dataclass(frozen=True)
class Cut:
    """One image to write. `image` uint8 [H, W]; `mask` uint8 label map [H, W]; `raw` HU, int16 [H, W]."""

    name: str
    image: Array
    mask: Array
    group: str
    split: str
    raw: Array | None = None
    facts: tuple[tuple[str, str], ...] = ()


def sha256_of(path: Path) -> str:
    """The hexadecimal sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_table(provenance: Path) -> list[dict[str, str]]:
    """The rows of a provenance.csv."""
    with provenance.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def check_raw(raw: Path, table: Sequence[dict[str, str]]) -> None:
    """Raise MedstressError naming every raw file that is missing or is not the one in the table."""
    problems = []
    for row in table:
        path = raw / row["raw_file"]
        source = f"{row['file_in_package']} of {row['package']} {row['version']}"
        if not path.is_file():
            problems.append(f"{path}: no such file. Put {source} there.")
        elif sha256_of(path) != row["sha256"]:
            problems.append(f"{path}: its sha256 is not {row['sha256']}. Put the unchanged {source} there.")
    if problems:
        raise MedstressError("\n".join(problems))


def to_display(intensities: Array, low: float, high: float) -> Array:
    """uint8 image of intensities: `low` and below is 0, `high` and above is 255."""
    shares = np.clip((intensities.astype(np.float64) - low) / (high - low), 0, 1)
    return np.rint(shares * 255).astype(np.uint8)


def read_patient(raw: Path, name: str) -> tuple[Array, Array]:
    """Image and tumour mask of a pyradiomics patient, both [Z, H, W], front up, the patient's right at the left."""
    volumes = []
    for kind in ("image", "label"):
        values, header = nrrd.read(str(raw / "pyradiomics" / f"{name}_{kind}.nrrd"))
        # Axes are x, y, z; x grows towards the patient's left. The y axis of some scans grows towards the front.
        upside_down = header["space directions"][1][1] < 0
        volumes.append(values.transpose(2, 1, 0)[:, ::-1] if upside_down else values.transpose(2, 1, 0))
    return volumes[0], volumes[1] > 0


def lesion_slices(masks: Array) -> list[int]:
    """Slices with a lesion large enough to be seen."""
    return [z for z in range(len(masks)) if masks[z].sum() >= MIN_LESION_PIXELS]


def crop_side(train_masks: Array) -> int:
    """The largest multiple of 32 of which the median training lesion spans at least LESION_SHARE."""
    extents = []
    for z in lesion_slices(train_masks):
        x0, y0, x1, y1 = box_of(train_masks[z])
        extents.append(max(x1 - x0, y1 - y0))
    return int(np.median(extents) / LESION_SHARE) // 32 * 32


def crop_corner(box: Box, side: int, shape: tuple[int, ...], *names: str) -> tuple[int, int]:
    """The top left x and y of a crop that holds the box with its centre in the middle half, drawn from the names.

    A lesion in the very centre of each image would give its position away.
    """
    rng = generator(seed_of("cut", *names))
    corner = []
    for start, end, length in ((box[0], box[2], shape[1]), (box[1], box[3], shape[0])):
        place = rng.uniform(0.25, 0.75) * side
        inside = min(max((start + end) / 2 - place, end - side), start)
        corner.append(int(min(max(inside, 0), length - side)))
    return corner[0], corner[1]


def cut_tumours(raw: Path, dataset: str, train: str, test: str) -> Iterator[Cut]:
    """Crops around the tumours of two patients; val is the lowest tumour slice of the training patient."""
    ct = dataset == "lung_ct_tumour"
    _, train_masks = read_patient(raw, train)
    side = crop_side(train_masks)
    for patient in (train, test):
        volume, masks = read_patient(raw, patient)
        low, high = LUNG_WINDOW if ct else (0.0, float(np.percentile(volume, MRI_WHITE_PERCENTILE)))
        for index, z in enumerate(lesion_slices(masks)):
            x, y = crop_corner(box_of(masks[z]), side, masks[z].shape, dataset, patient, str(z))
            crop, mask = (values[z, y : y + side, x : x + side] for values in (volume, masks))
            split = "test" if patient == test else "val" if index == 0 else "train"
            group = {"train": f"{patient}_upper_slab", "val": f"{patient}_lowest_slab", "test": patient}[split]
            facts = (("patient", patient), ("slice", str(z)), ("black", f"{low:g}"), ("white", f"{high:g}"))
            cut = Cut(f"{patient}_z{z:02d}", to_display(crop, low, high), mask.astype(np.uint8) * 255, group, split)
            yield replace(cut, raw=crop if ct else None, facts=facts)


def cut_nuclei(raw: Path) -> Iterator[Cut]:
    """Tiles of one fluorescence image. A nucleus that reaches into a tile of another split is no object in any."""
    image = tifffile.imread(raw / "stardist" / "img2d.tif")
    labels = tifffile.imread(raw / "stardist" / "mask2d.tif")
    splits = np.repeat(np.repeat(np.array(TILE_SPLITS), TILE, axis=0), TILE, axis=1)
    shared = {value for value in np.unique(labels) if np.unique(splits[labels == value]).size > 1}
    for row, names in enumerate(TILE_SPLITS):
        for column, split in enumerate(names):
            area = np.s_[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]
            mask = labels[area].copy()
            for value in np.unique(mask):
                if value in shared or (mask == value).sum() < MIN_NUCLEUS_PIXELS:
                    mask[mask == value] = 0
            name = f"tile_r{row}c{column}"
            # The image holds 0..235: it is stored as it is, with no stretch.
            yield Cut(name, image[area].astype(np.uint8), mask.astype(np.uint8), name, split)


def cut_anatomy(raw: Path) -> Iterator[Cut]:
    """Axial slices of one head with atlas regions, nose up, the patient's right at the left."""
    folder = raw / "mricron-data"
    # Both volumes have the axes right, front, up.
    head = np.asanyarray(nibabel.load(folder / "ch2.nii.gz").dataobj)[::-1, ::-1].transpose(2, 1, 0)  # type: ignore[attr-defined]
    atlas = np.asanyarray(nibabel.load(folder / "aal.nii.gz").dataobj)[::-1, ::-1].transpose(2, 1, 0)  # type: ignore[attr-defined]
    lines = [line.split() for line in (folder / "aal.nii.txt").read_text().splitlines() if line.strip()]
    values = [int(value) for value, name, *_ in lines if name[:-2] in REGIONS]
    for first, split in SLABS:
        for z in (first + step for step in SLAB_SLICES):
            mask = np.where(np.isin(atlas[z], values), atlas[z], 0)
            for value in values:
                if (mask == value).sum() < MIN_REGION_PIXELS:
                    mask[mask == value] = 0
            yield Cut(f"ch2_z{z:03d}", head[z], mask, f"ch2_slab_z{first:03d}", split, facts=(("slice", str(z)),))


def write_png(path: Path, values: Array) -> None:
    """Write a PNG packed as small as zlib can: grey [H, W], 8 or 16 bits, or uint8 RGB [H, W, 3]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = values[..., ::-1] if values.ndim == 3 else values
    if not cv2.imwrite(str(path), np.ascontiguousarray(stored), (cv2.IMWRITE_PNG_COMPRESSION, 9)):
        raise MedstressError(f"{path}: could not be written")


def write_set(folder: Path, cuts: Sequence[Cut]) -> None:
    """Write the images of one data set, with their masks, CT numbers and sheet, in place of what the folder held."""
    shutil.rmtree(folder, ignore_errors=True)
    rows = []
    for cut in cuts:
        row = {"image": f"{cut.name}.png", "mask": f"masks/{cut.name}.png", "group": cut.group, "split": cut.split}
        write_png(folder / row["image"], cut.image)
        write_png(folder / row["mask"], cut.mask)
        if cut.raw is not None:
            row |= {"raw": f"raw/{cut.name}.png", "slope": "1", "intercept": str(HU_OFFSET), "unit": "HU"}
            write_png(folder / row["raw"], (cut.raw.astype(np.int32) - HU_OFFSET).astype(np.uint16))
        rows.append(row | dict(cut.facts))
    with (folder / "sheet.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def provenance_page(table: Sequence[dict[str, str]], what: str, changes: str, *scripts: str) -> str:
    """The provenance table for people, in Markdown. `what` names the images, `changes` what the scripts did to them."""
    commands = " and ".join(f"`python resources/{script} --raw DIR`" for script in scripts)
    lines = [
        f"# Where the {what} images come from",
        "",
        f"Made by {commands} from provenance.csv; do not edit. `DIR` holds the raw",
        "files under the names of the first column. The licence texts are in [licences](licences). What was changed on",
        f"the way: {changes}",
        "SHA256SUMS lists every file that was made.",
        "",
        "| raw file | package | version | file in the package | licence | saved otherwise | used in | sha256 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in table:
        licence = f"[{row['licence']}](licences/{row['licence_file']})" if row["licence_file"] else row["licence"]
        cells = [row["raw_file"], row["package"], row["version"], row["file_in_package"], licence]
        lines.append("| " + " | ".join([*cells, row["changed"] or "no", row["used_in"], f"`{row['sha256']}`"]) + " |")
    return "\n".join(lines) + "\n"


def write_papers(raw: Path, provenance: Path, out: Path, page: str) -> None:
    """Write what goes with the images: licences, the provenance as a table and as a page, and the sha256 of all."""
    for row in read_table(provenance):
        if row["used_in"] == "licences":
            (out / "licences").mkdir(exist_ok=True)
            shutil.copyfile(raw / row["raw_file"], out / "licences" / row["licence_file"])
    (out / "PROVENANCE.md").write_text(page, encoding="utf-8")
    if provenance.resolve() != (out / "provenance.csv").resolve():
        shutil.copyfile(provenance, out / "provenance.csv")
    sums = out / "SHA256SUMS"
    files = sorted(path for path in out.rglob("*") if path.is_file() and path != sums)
    sums.write_text("".join(f"{sha256_of(path)}  {path.relative_to(out).as_posix()}\n" for path in files))


def write_embedded_papers(raw: Path, provenance: Path, out: Path) -> None:
    """Write what goes with all embedded data sets, those of cut_modality.py too. SHA256SUMS lists what is there."""
    changes = (
        "slices, crops and tiles were cut and, in modality, reduced, all clear of text; intensities mapped\n"
        "to 8 bits (films inverted, the chest film on a logarithmic scale as film is); the abdomen turned front up;\n"
        "labels that are not used removed. minivqa, made by `python resources/cut_minivqa.py`, asks about these\n"
        "images and holds parts of the tumour slices."
    )
    scripts = ("cut_embedded.py", "cut_modality.py")
    write_papers(raw, provenance, out, provenance_page(read_table(provenance), "embedded", changes, *scripts))


def cut_all(raw: Path, provenance: Path, out: Path) -> None:
    """Check the raw files against `provenance` and write everything into `out`."""
    table = read_table(provenance)
    check_raw(raw, table)
    write_set(out / "brain_mri_tumour", list(cut_tumours(raw, "brain_mri_tumour", train="brain2", test="brain1")))
    write_set(out / "lung_ct_tumour", list(cut_tumours(raw, "lung_ct_tumour", train="lung1", test="lung2")))
    write_set(out / "nuclei", list(cut_nuclei(raw)))
    write_set(out / "brain_anatomy", list(cut_anatomy(raw)))
    write_embedded_papers(raw, provenance, out)


def main() -> int:
    """Entry point. Prints one message and returns 1 where a raw file is missing or another one."""
    parser = argparse.ArgumentParser(description="Cut the embedded data sets out of published images.")
    home = Path(__file__).parent / "embedded"
    parser.add_argument("--raw", type=Path, required=True, help="folder with the raw files of provenance.csv")
    parser.add_argument("--out", type=Path, default=home, help="where to write (default: %(default)s)")
    arguments = parser.parse_args()
    try:
        cut_all(arguments.raw, home / "provenance.csv", arguments.out)
    except MedstressError as error:
        print(f"cut_embedded: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
