"""Tables of a study that are older than the records that they are made of."""

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import pyarrow.parquet as pq

from medstress.errors import MedstressError
from medstress.tables.registry import TABLES

_COPIED = 60.0
"""Seconds from the end of a job to the time of its file, from which on the file is a copy, or was touched."""
_PROVENANCE = ".provenance.json"


def outdated_tables(results: Path) -> list[str]:
    """The tables of results/{study}, by name, that were made before a record that they read.

    Ends of jobs, as provenance has them, are compared, and of tables that are no copies also the times of files.
    """
    return [path.stem for path in sorted((results / "tables").glob("*.parquet")) if _is_outdated(results, path)]


def _is_outdated(results: Path, table: Path) -> bool:
    records = list(_records(results, table))
    provenance = table.with_suffix(f".csv{_PROVENANCE}")
    ended, written = _ended(provenance), table.stat().st_mtime
    if ended is not None and any((_ended(_beside(one)) or ended) > ended for one in records):
        return True
    copied = ended is not None and abs(written - ended) > _COPIED
    return not copied and any(one.stat().st_mtime > written for one in records)


def _records(results: Path, table: Path) -> Iterable[Path]:
    """What a table reads, of the data sets in it."""
    kinds = TABLES[table.stem].reads if table.stem in TABLES else ("scores",)
    if kinds[0] == "training":
        return results.glob("checkpoints/*/training.json")
    if kinds[0] == "perturbed":
        return results.glob("perturbed/*/*.parquet")
    datasets = _datasets(table)
    return (one for one in results.glob("scores/*/*.parquet") if datasets is None or one.stem in datasets)


def _datasets(table: Path) -> set[str] | None:
    """The data sets that a table has rows of; None where it does not say."""
    try:
        if "dataset" not in pq.read_schema(table).names:
            return None
        found = pq.read_table(table, columns=["dataset"])["dataset"].unique().to_pylist()
    except (OSError, ValueError) as error:
        raise MedstressError(f"{table}: cannot be read ({type(error).__name__}). Delete it and run again.") from None
    # Rows over all data sets have none.
    return None if None in found else set(found)


def _beside(record: Path) -> Path:
    return record.with_name(record.name + _PROVENANCE)


def _ended(provenance: Path) -> float | None:
    """When the job ended, in seconds since 1970; None where that cannot be known."""
    try:
        return datetime.fromisoformat(json.loads(provenance.read_text(encoding="utf-8"))["finished"]).timestamp()
    except (OSError, ValueError, KeyError, TypeError):
        return None
