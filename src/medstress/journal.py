"""What a killed job had finished is never done twice.

A job cuts its work into units. Each finished unit is a file named by the hash of everything that determines it, so a
unit is found again after a crash, and after the study grew, and never confused with one that had other inputs.
Snakemake deletes a job's declared outputs before it starts; journals are not declared, so they stay.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medstress.errors import MedstressError
from medstress.records import PredictionRow, read_rows, write_rows
from medstress.rows import R


def content_key(*parts: str | bytes) -> str:
    """A hash of parts, each length-prefixed: the name of the unit that they determine."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()[:32]


def files_key(paths: Sequence[Path]) -> str:
    """A hash of the contents of files, in order."""
    digests = []
    for path in paths:
        with path.open("rb") as handle:
            digests.append(hashlib.file_digest(handle, "sha256").hexdigest())
    return content_key(*digests)


@dataclass
class Journal:
    """A folder of finished units; `reused` and `computed` count what this process found and did."""

    folder: Path
    reused: int = 0
    computed: int = 0
    damaged: list[str] = field(default_factory=list)

    def has(self, key: str) -> bool:
        """Whether an earlier process finished a unit."""
        return (self.folder / f"{key}.parquet").exists()

    def unit(self, key: str, compute: Callable[[], list[PredictionRow]]) -> list[PredictionRow]:
        """The answers of a unit: see :meth:`rows`."""
        return self.rows(PredictionRow, key, compute)

    def rows(self, kind: type[R], key: str, compute: Callable[[], list[R]]) -> list[R]:
        """The rows of a unit: read if an earlier process finished it, otherwise computed and stored.

        A unit that cannot be read (a damaged disk: units are written whole or not at all) is named in `damaged` and
        computed again.
        """
        path = self.folder / f"{key}.parquet"
        if path.exists():
            try:
                rows = read_rows(path, kind)
            except MedstressError as error:
                self.damaged.append(str(error))
            else:
                self.reused += 1
                return rows
        rows = compute()
        write_rows(path, kind, rows)
        self.computed += 1
        return rows
