"""Writers: a folder tree, MedMNIST-C, MediMeta-C, CIFAR-C and Hugging Face Parquet."""

import csv
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from medstress.arrays import Array
from medstress.errors import MedstressError
from medstress.exports.arrays import write_npy, write_npz
from medstress.exports.source import Labels, Perturbed
from medstress.names import ScaleName
from medstress.perturb.scales.registry import SCALES
from medstress.pixels import encode_png
from medstress.records import PerturbedRow, atomic_path

CELLS = "cells.csv"
_CELL_COLUMNS = ("perturbation", "level", "image_id", "strength", "ssim", "status", "seed")


def original_name(name: str, scale: ScaleName) -> str:
    """What the files of a publication call a type; its own name where the publication does not have it."""
    types = [kinds[name] for kinds in SCALES[scale].variants.values() if name in kinds]
    return types[0].original if types else name


def _shape(source: Perturbed) -> tuple[int, ...]:
    if source.shape is None:
        raise MedstressError(
            f"{source.images}: images differ in size or channels, and this format is one array. "
            "Give the card `size: {mode: stretch, side: ...}`, or export a folder or Parquet."
        )
    return source.shape


def _needed(labels: Labels | None) -> Labels:
    if labels is None:
        raise MedstressError("this format holds labels: give --labels SHEET.csv with image_id and the class index")
    return labels


def _require_five_levels(source: Perturbed) -> None:
    # Readers tell levels by their place alone.
    if source.levels != (1, 2, 3, 4, 5):
        levels = ", ".join(map(str, source.levels))
        raise MedstressError(
            f"this format holds levels 1 to 5 one after another, and the study has {levels}: "
            "make all five, or export a folder, MediMeta-C or Parquet"
        )


def _severity_major(source: Perturbed, name: str) -> Iterator[Array]:
    for level in source.levels:
        yield from source.at_level(name, level)


def _label_rows(source: Perturbed, labels: Labels, times: int) -> Iterator[Array]:
    for _ in range(times):
        for name in source.ids:
            yield np.array(labels[name], dtype=np.int64)


def _write_cells(source: Perturbed, out: Path) -> None:
    """cells.csv: what the arrays cannot say, such as which images could not reach a level."""
    with atomic_path(out / CELLS) as staged, staged.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(_CELL_COLUMNS)
        for name in source.records:
            for level in source.levels:
                for row in source.rows(name, level, pixels=False):
                    writer.writerow([getattr(row, column) for column in _CELL_COLUMNS])


def write_folder(source: Perturbed, labels: Labels | None, out: Path) -> None:
    """out/clean/{image}.png and out/{type}/{level}/{image}.png."""
    for image_id, image in source.clean():
        with atomic_path(out / "clean" / f"{image_id}.png") as staged:
            staged.write_bytes(encode_png(image))
    for name in source.records:
        for level in source.levels:
            for row in source.rows(name, level):
                with atomic_path(out / name / str(level) / f"{row.image_id}.png") as staged:
                    staged.write_bytes(row.png)


def write_medmnist_c(source: Perturbed, labels: Labels | None, out: Path) -> None:
    """out/{type}.npz with test_images [levels * N, H, W(, 3)] uint8 and test_labels [levels * N, L], level by level."""
    _require_five_levels(source)
    given, shape = _needed(labels), _shape(source)
    count = len(source.levels) * len(source.ids)
    width = len(given[source.ids[0]])
    for name in source.records:
        write_npz(
            out / f"{original_name(name, 'medmnist_c')}.npz",
            [
                ("test_images", _severity_major(source, name), (count, *shape), np.uint8),
                ("test_labels", _label_rows(source, given, len(source.levels)), (count, width), np.int64),
            ],
        )


def write_medimeta_c(source: Perturbed, labels: Labels | None, out: Path) -> None:
    """out/clean.npz and out/{type}_severity_{level}.npz with images [N, H, W(, 3)] uint8 and labels [N, L]."""
    given, shape = _needed(labels), _shape(source)
    size, width = len(source.ids), len(given[source.ids[0]])

    def write(stem: str, images: Iterator[Array]) -> None:
        write_npz(
            out / f"{stem}.npz",
            [
                ("images", images, (size, *shape), np.uint8),
                ("labels", _label_rows(source, given, 1), (size, width), np.int64),
            ],
        )

    write("clean", (image for _, image in source.clean()))
    for name in source.records:
        for level in source.levels:
            stem = f"{original_name(name, 'medimeta_c')}_severity_{level}"
            write(stem, source.at_level(name, level))


def write_cifar_c(source: Perturbed, labels: Labels | None, out: Path) -> None:
    """out/{type}.npy [levels * N, H, W(, 3)] uint8, level by level, and out/labels.npy [levels * N]."""
    _require_five_levels(source)
    given, shape = _needed(labels), _shape(source)
    count = len(source.levels) * len(source.ids)
    if any(len(values) != 1 for values in given.values()):
        raise MedstressError("CIFAR-C holds one label an image; use medmnist_c for several")
    rows = (row[0] for row in _label_rows(source, given, len(source.levels)))
    write_npy(out / "labels.npy", (np.asarray(row) for row in rows), (count,), np.int64)
    for name in source.records:
        path = out / f"{original_name(name, 'cifar_c')}.npy"
        write_npy(path, _severity_major(source, name), (count, *shape), np.uint8)


_HF_FIELDS = [
    pa.field("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    pa.field("image_id", pa.string()),
    pa.field("perturbation", pa.string()),
    pa.field("level", pa.int8()),
    pa.field("strength", pa.float64()),
    pa.field("ssim", pa.float64()),
    pa.field("status", pa.string()),
]
_HF_ROWS = 64
_HF_FEATURES = b'{"info": {"features": {"image": {"_type": "Image"}}}}'


def _hf_row(row: PerturbedRow, labels: Labels | None) -> dict[str, object]:
    values: dict[str, object] = {"image": {"bytes": row.png, "path": None}}
    values |= {field.name: getattr(row, field.name) for field in _HF_FIELDS[1:]}
    return values | ({"labels": list(labels[row.image_id])} if labels else {})


def write_hugging_face(source: Perturbed, labels: Labels | None, out: Path) -> None:
    """out/data/{type}.parquet, and a README.md whose header lets `datasets.load_dataset(out, type)` find each."""
    fields = [*_HF_FIELDS, *([pa.field("labels", pa.list_(pa.int64()))] if labels else [])]
    schema = pa.schema(fields, metadata={b"huggingface": _HF_FEATURES})
    for name in source.records:
        with atomic_path(out / "data" / f"{name}.parquet") as staged, pq.ParquetWriter(staged, schema) as sink:
            rows = (row for level in source.levels for row in source.rows(name, level))
            while chunk := list(islice(rows, _HF_ROWS)):
                sink.write_table(pa.Table.from_pylist([_hf_row(row, labels) for row in chunk], schema=schema))
    blocks = "".join(
        f"- config_name: {name}\n  data_files:\n  - split: test\n    path: data/{name}.parquet\n"
        for name in source.records
    )
    with atomic_path(out / "README.md") as staged:
        staged.write_text(f"---\nconfigs:\n{blocks}---\n\nPerturbed images, made by medstress.\n", encoding="utf-8")


EXPORTS: dict[str, Callable[[Perturbed, Labels | None, Path], None]] = {
    "folder": write_folder,
    "medmnist_c": write_medmnist_c,
    "medimeta_c": write_medimeta_c,
    "cifar_c": write_cifar_c,
    "hugging_face": write_hugging_face,
}


def export(source: Perturbed, labels: Labels | None, out: Path, form: str) -> None:
    """Write a data set in one of EXPORTS, with cells.csv beside it; memory does not grow with the number of images."""
    EXPORTS[form](source, labels, out)
    _write_cells(source, out)
