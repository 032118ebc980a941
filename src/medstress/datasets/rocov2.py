"""ROCOv2: captions of radiology images, in Parquet files with the images inside or in CSV files beside folders."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from medstress.cards.generation import RocoV2
from medstress.datasets.candidate import Reject, no_such
from medstress.datasets.entries import Entries, Entry, split_named, text_of
from medstress.datasets.folder import pictures_below
from medstress.datasets.sheet_rows import read_sheet
from medstress.errors import MedstressError
from medstress.names import Modality

_IMAGE = "image"
# The concepts of the UMLS that ROCOv2 marks imaging modalities with; PET, alone or with CT, is none of ours.
_MODALITIES: dict[str, Modality] = {
    "C0040405": "ct",
    "C0024485": "mri",
    "C1306645": "xray",
    "C0041618": "ultrasound",
    "C0002978": "angiography",
}
_PET = {"C0032743", "C1699633"}


def find_in_rocov2(source: RocoV2, root: Path) -> Entries:
    """Every caption, from Parquet files where there are any. Raises MedstressError where there are none at all."""
    folder = root / source.folder
    if not folder.is_dir():
        raise MedstressError(no_such("folder", folder, "source.folder", root))
    tables = [path for path in sorted(folder.rglob("*.parquet")) if split_named(path.name.partition("-")[0])]
    if tables:
        return Entries(tuple(entry for path in tables for entry in _in_table(path)))
    sheets = [path for path in sorted(folder.rglob("*_captions.csv")) if split_named(path.name.partition("_")[0])]
    if not sheets:
        raise MedstressError(f"{folder}: neither {{split}}-*.parquet nor {{split}}_captions.csv lies there.")
    images = {Path(key).name: paths[0] for key, paths in pictures_below(folder).items()}
    found = [_in_sheet(path, images) for path in sheets]
    entries = tuple(entry for one in found for entry in one.entries)
    return Entries(entries, tuple(reject for one in found for reject in one.rejects))


def _in_table(path: Path) -> list[Entry]:
    try:
        names = pq.read_schema(path).names
        if missing := [name for name in (_IMAGE, "image_id", "caption") if name not in names]:
            raise MedstressError(f"{path}: no column {', '.join(missing)}; it has {', '.join(names)}.")
        table = pq.read_table(path, columns=[name for name in ("image_id", "caption", "cui") if name in names])
    except pa.ArrowInvalid as error:
        raise MedstressError(f"{path}: cannot be read ({str(error).splitlines()[0]}). Copy it again.") from None
    entries = []
    for row, cells in enumerate(table.to_pylist()):
        image_id, cui = text_of(cells["image_id"]), text_of(cells.get("cui"))
        entries.append(
            Entry(
                where=f"{path}, row {row + 1}",
                image=path,
                image_id=image_id,
                sample_id=image_id,
                caption=text_of(cells["caption"]),
                split=_split_of(path, "-"),
                modality=_modality_of(cui),
                attributes=(("cui", cui),) if cui else (),
                column=_IMAGE,
                row=row,
            )
        )
    return entries


def _modality_of(concepts: str) -> str:
    """The modality that is among an image's concepts, "" where none or several are."""
    named = set(concepts.split())
    found = [modality for concept, modality in _MODALITIES.items() if concept in named]
    return found[0] if len(found) == 1 and not named & _PET else ""


def _in_sheet(path: Path, images: dict[str, Path]) -> Entries:
    columns, rows = read_sheet(path)
    if missing := [name for name in ("ID", "Caption") if name not in columns]:
        raise MedstressError(f"{path}: no column {', '.join(missing)}; it has {', '.join(columns) or 'none'}.")
    entries: list[Entry] = []
    rejects: list[Reject] = []
    for row in rows:
        image_id = row.cells["ID"]
        if row.surplus:
            rejects.append(Reject(row.where, f"has {row.surplus} cells more than the header."))
        elif image_id not in images:
            rejects.append(Reject(row.where, f"no image {image_id}.* lies below {path.parent}."))
        else:
            entries.append(
                Entry(
                    where=row.where,
                    image=images[image_id],
                    image_id=image_id,
                    sample_id=image_id,
                    caption=row.cells["Caption"],
                    split=_split_of(path, "_"),
                )
            )
    return Entries(tuple(entries), tuple(rejects))


def _split_of(path: Path, mark: str) -> str:
    return split_named(path.name.partition(mark)[0]) or ""
