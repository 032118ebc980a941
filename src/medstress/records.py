"""The records that stages hand to each other: Parquet files with fixed schemas, read and written whole or not at all.

Each record has a frozen dataclass, whose fields are the columns, and a pyarrow schema. Files are written to a
temporary name beside their place, flushed to disk and renamed, so a file that exists is complete.
"""

import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic

import pyarrow as pa
import pyarrow.parquet as pq

from medstress.errors import MedstressError
from medstress.rows import (
    CLEAN,
    EMBEDDINGS,
    IMAGES,
    JUDGED,
    PERTURBED,
    PREDICTIONS,
    SAMPLES,
    SCORES,
    TEXTS,
    EmbeddingRow,
    ImageRow,
    JudgedRow,
    JudgedStatus,
    ObjectRow,
    PerturbedRow,
    PredictionRow,
    R,
    Row,
    SampleRow,
    ScoreRow,
    TextRow,
    WarpRow,
)

__all__ = [
    "CLEAN",
    "EMBEDDINGS",
    "IMAGES",
    "JUDGED",
    "PERTURBED",
    "PREDICTIONS",
    "SAMPLES",
    "SCORES",
    "TEXTS",
    "EmbeddingRow",
    "ImageRow",
    "JudgedRow",
    "JudgedStatus",
    "ObjectRow",
    "PerturbedRow",
    "PredictionRow",
    "RecordWriter",
    "Row",
    "SampleRow",
    "ScoreRow",
    "TextRow",
    "WarpRow",
    "atomic_path",
    "read_groups",
    "read_rows",
    "read_tables",
    "record_writer",
    "write_columns",
    "write_rows",
]

_SCHEMAS: dict[type, pa.Schema] = {
    ImageRow: IMAGES,
    SampleRow: SAMPLES,
    PerturbedRow: PERTURBED,
    PredictionRow: PREDICTIONS,
    EmbeddingRow: EMBEDDINGS,
    TextRow: TEXTS,
    JudgedRow: JUDGED,
    ScoreRow: SCORES,
}
# Rows of a Parquet row group. Small where a row carries pixels: a row group is what a reader holds in memory.
_GROUP_ROWS: dict[type, int] = {
    ImageRow: 32,
    SampleRow: 1024,
    PerturbedRow: 40,
    PredictionRow: 16384,
    EmbeddingRow: 4096,
    TextRow: 1024,
    JudgedRow: 16384,
    ScoreRow: 65536,
}
_PIXEL_COLUMNS = {"png": "image", "raw_png": "raw"}


def _to_columns(row: Row) -> dict[str, Any]:
    values = {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
    for ours, column in _PIXEL_COLUMNS.items():
        if ours in values:
            data = values.pop(ours)
            name = f"{values['image_id']}.png"
            values[column] = None if data is None else {"bytes": data, "path": name}
    if isinstance(row, SampleRow):
        values["objects"] = [dataclasses.asdict(item) for item in row.objects]
        values["attributes"] = [{"key": key, "value": value} for key, value in row.attributes]
    if isinstance(row, PerturbedRow) and row.warp is not None:
        values["warp"] = dataclasses.asdict(row.warp)
    return values


def _from_columns(kind: type[R], values: dict[str, Any]) -> R:
    for ours, column in _PIXEL_COLUMNS.items():
        if column in values:
            data = values.pop(column)
            values[ours] = None if data is None else data["bytes"]
    if kind is SampleRow:
        values["objects"] = tuple(ObjectRow(**(item | {"box": tuple(item["box"])})) for item in values["objects"])
        values["attributes"] = tuple((item["key"], item["value"]) for item in values["attributes"] or ())
        values["labels"] = tuple(values["labels"] or ())
        values["options"] = tuple(values["options"] or ())
    if kind is PredictionRow:
        for name in ("logits", "box"):
            values[name] = None if values[name] is None else tuple(values[name])
    if kind is PerturbedRow:
        values.setdefault("png", b"")
        warp = values["warp"]
        values["warp"] = None if warp is None else WarpRow(warp["kind"], tuple(warp["parameters"]))
    if kind is ImageRow:
        values.setdefault("png", b"")
    return kind(**values)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it when the block ends well and removed when it does not.

    What a killed process left there is overwritten by the next one: a file has one writer at a time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


class RecordWriter(Generic[R]):
    """Collects rows into canonical row groups, so that the same rows give the same bytes however they arrive."""

    def __init__(self, kind: type[R], sink: pq.ParquetWriter) -> None:
        self._kind: type[R] = kind
        self._sink = sink
        self._pending: list[R] = []

    def write(self, rows: Iterable[R]) -> None:
        """Append rows; a row group is written each time enough of them are together."""
        for row in rows:
            self._pending.append(row)
            if len(self._pending) == _GROUP_ROWS[self._kind]:
                self.flush()

    def flush(self) -> None:
        """Write the rows that wait."""
        if self._pending:
            columns = [_to_columns(row) for row in self._pending]
            self._sink.write_table(pa.Table.from_pylist(columns, schema=_SCHEMAS[self._kind]))
            self._pending.clear()


@contextmanager
def record_writer(path: Path, kind: type[R]) -> Iterator[RecordWriter[R]]:
    """A writer of rows of one kind; the file appears when the block ends well.

    >>> with record_writer(path, ScoreRow) as writer:
    ...     writer.write(rows)
    """
    with _parquet_writer(path, kind) as sink:
        writer = RecordWriter(kind, sink)
        yield writer
        writer.flush()


@contextmanager
def _parquet_writer(path: Path, kind: type[R]) -> Iterator[pq.ParquetWriter]:
    schema = _SCHEMAS[kind]
    pictures = [name for name in ("image", "raw") if name in schema.names]
    # PNG bytes do not shrink again, and a dictionary of them only costs memory.
    compression = {name: "zstd" for name in schema.names if name not in pictures}
    compression |= {f"{name}.bytes": "none" for name in pictures} | {f"{name}.path": "zstd" for name in pictures}
    dictionary = [name for name in schema.names if schema.field(name).type == pa.string()]
    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression=compression, use_dictionary=dictionary) as sink,
    ):
        yield sink


def write_rows(path: Path, kind: type[R], rows: Iterable[R]) -> None:
    """Write a whole record."""
    with record_writer(path, kind) as writer:
        writer.write(rows)


def write_columns(path: Path, kind: type[R], columns: Mapping[str, Any]) -> None:
    """Write a whole record of plain columns, arrays of one length: for millions of rows, where a row each is slow."""
    table = pa.table(dict(columns)).select(_SCHEMAS[kind].names).cast(_SCHEMAS[kind])
    with _parquet_writer(path, kind) as sink:
        for start in range(0, len(table), _GROUP_ROWS[kind]):
            sink.write_table(table.slice(start, _GROUP_ROWS[kind]).combine_chunks())


def _open(path: Path, schema: pa.Schema, coded: Sequence[str] = ()) -> pq.ParquetFile:
    try:
        opened = pq.ParquetFile(path, read_dictionary=list(coded))
    except FileNotFoundError:
        raise MedstressError(f"{path}: no such record. Run the rule that makes it: snakemake {path}") from None
    except pa.ArrowInvalid as error:
        raise MedstressError(
            f"{path}: truncated or not a Parquet file ({str(error).splitlines()[0]}). "
            "Delete it and run the same command again."
        ) from None
    except OSError as error:
        raise MedstressError(
            f"{path}: cannot be opened ({str(error).splitlines()[0]}). "
            "Check that it is a file you may read, or delete it and run the same command again."
        ) from None
    if missing := [name for name in schema.names if name not in opened.schema_arrow.names]:
        raise MedstressError(
            f"{path}: columns {', '.join(missing)} are missing, so another version wrote it. "
            "Delete it and run the same command again."
        )
    return opened


def _groups_of(path: Path, schema: pa.Schema, columns: list[str], coded: Sequence[str] = ()) -> Iterator[pa.Table]:
    opened = _open(path, schema, coded)
    for index in range(opened.num_row_groups):
        try:
            table = opened.read_row_group(index, columns=columns)
        except (pa.ArrowInvalid, OSError) as error:
            raise MedstressError(
                f"{path}: row group {index} cannot be read ({str(error).splitlines()[0]}). "
                "Delete the file and run the same command again."
            ) from None
        yield table.select(columns)


def read_groups(path: Path, kind: type[R], *, pixels: bool = True) -> Iterator[list[R]]:
    """The rows of a record, one Parquet row group at a time; without `pixels`, image bytes are not read.

    Raises MedstressError where the file is missing, truncated or has another schema.
    """
    schema = _SCHEMAS[kind]
    columns = [name for name in schema.names if pixels or name not in ("image", "raw")]
    for table in _groups_of(path, schema, columns):
        yield [_from_columns(kind, values) for values in table.to_pylist()]


def read_rows(path: Path, kind: type[R], *, pixels: bool = True) -> list[R]:
    """All rows of a record; see :func:`read_groups`."""
    return [row for group in read_groups(path, kind, pixels=pixels) for row in group]


def read_tables(
    paths: Sequence[Path], kind: type[Row], columns: list[str] | None = None, *, coded: bool = False
) -> pa.Table:
    """The records of one kind as one Arrow table, in the order given; for the tables and figures floor.

    With `coded`, texts are dictionaries and numbers into them, which millions of rows of a few names need.
    Raises MedstressError where a file is missing, damaged or has another schema.
    """
    schema = _SCHEMAS[kind]
    asked = columns or schema.names
    texts = [name for name in asked if coded and schema.field(name).type == pa.string()]
    parts = [table for path in paths for table in _groups_of(path, schema, asked, texts)]
    return pa.concat_tables(parts) if parts else _without_rows(schema, asked, texts)


def _without_rows(schema: pa.Schema, columns: list[str], coded: Sequence[str]) -> pa.Table:
    kinds = {
        name: pa.dictionary(pa.int32(), pa.string()) if name in coded else schema.field(name).type for name in columns
    }
    return pa.schema(list(kinds.items())).empty_table()
