"""What a perturbed folder holds: a small database that survives kills, and the manifest that people read."""

import csv
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from medstress.errors import MedstressError
from medstress.rows import WarpRow

MANIFEST = "manifest.csv"
_DATABASE = ".medstress.sqlite"
_COLUMNS = (
    "image_id",
    "perturbation",
    "level",
    "file",
    "strength",
    "ssim",
    "band_low",
    "band_high",
    "seed",
    "status",
    "valid",
    "warp",
)


@dataclass(frozen=True)
class StoredCell:
    """One file of the folder: the perturbed record without its pixels, and `file`, relative to the folder."""

    image_id: str
    perturbation: str
    level: int
    file: str
    strength: float
    ssim: float
    band_low: float | None
    band_high: float | None
    seed: int
    status: str
    valid: bytes | None
    warp: WarpRow | None


class Ledger:
    """The cells of a folder, one writer. A unit is one image and one type, at some levels, with one key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            self._connection = sqlite3.connect(folder / _DATABASE, timeout=5)
            self._connection.execute("BEGIN EXCLUSIVE")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS units (perturbation TEXT, image_id TEXT, key TEXT, "
                "PRIMARY KEY (perturbation, image_id)) WITHOUT ROWID"
            )
            self._connection.execute(
                f"CREATE TABLE IF NOT EXISTS cells ({', '.join(_COLUMNS)}, "
                "PRIMARY KEY (perturbation, level, image_id)) WITHOUT ROWID"
            )
            self._connection.commit()
            # Held for as long as the process lives, so that two commands cannot write to one folder.
            self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.commit()
        except sqlite3.OperationalError as error:
            raise MedstressError(
                f"{folder / _DATABASE}: {error}. Is another medstress perturb at work in this folder? Wait for it."
            ) from None
        except sqlite3.DatabaseError as error:
            raise MedstressError(
                f"{folder / _DATABASE}: {error}. Delete the file; the images are then made again."
            ) from None

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()

    def begin(self, perturbation: str, image_id: str, key: str) -> set[int]:
        """The levels of a unit that are done: made from the same image with the same settings, and still there.

        What was made with other settings is removed, files and all, before anything is written in its place.
        """
        files = list(
            self._connection.execute(
                "SELECT level, file FROM cells WHERE perturbation = ? AND image_id = ?", (perturbation, image_id)
            )
        )
        unit = (perturbation, image_id)
        known = self._connection.execute(
            "SELECT key FROM units WHERE perturbation = ? AND image_id = ?", unit
        ).fetchone()
        if known == (key,):
            return {level for level, file in files if (self._folder / file).is_file()}
        if known:
            with self._connection:
                self._connection.execute("DELETE FROM cells WHERE perturbation = ? AND image_id = ?", unit)
                self._connection.execute("DELETE FROM units WHERE perturbation = ? AND image_id = ?", unit)
        for _, file in files:
            (self._folder / file).unlink(missing_ok=True)
        return set()

    def add(self, perturbation: str, image_id: str, key: str, cells: Sequence[StoredCell]) -> None:
        """Take finished levels of a unit in; their files are on disk already."""
        with self._connection:
            self._connection.executemany(
                f"REPLACE INTO cells VALUES ({', '.join('?' * len(_COLUMNS))})",  # noqa: S608  (fixed names)
                [_values(cell) for cell in cells],
            )
            self._connection.execute("REPLACE INTO units VALUES (?, ?, ?)", (perturbation, image_id, key))

    def counts(self) -> dict[str, int]:
        """The number of files of each status."""
        return dict(self._connection.execute("SELECT status, COUNT(*) FROM cells GROUP BY status ORDER BY status"))

    def write_manifest(self) -> Path:
        """manifest.csv of everything in the folder, by type, level and image, whole or not at all."""
        target = self._folder / MANIFEST
        staged = self._folder / f".{MANIFEST}.tmp"
        with staged.open("w", encoding="utf-8", newline="") as handle:
            writer = csv.writer(handle, lineterminator="\n")
            writer.writerow(_COLUMNS)
            writer.writerows(self._rows())
            handle.flush()
            os.fsync(handle.fileno())
        staged.replace(target)
        return target

    def _rows(self) -> Iterator[tuple[object, ...]]:
        yield from self._connection.execute(
            f"SELECT {', '.join(_COLUMNS)} FROM cells ORDER BY perturbation, level, image_id"  # noqa: S608
        )


def _values(cell: StoredCell) -> tuple[object, ...]:
    warp = None if cell.warp is None else json.dumps({"kind": cell.warp.kind, "parameters": cell.warp.parameters})
    valid = None if cell.valid is None else cell.valid.decode("ascii")
    return (
        cell.image_id,
        cell.perturbation,
        cell.level,
        cell.file,
        cell.strength,
        cell.ssim,
        cell.band_low,
        cell.band_high,
        # As text: more than 15 digits would not survive a spreadsheet.
        str(cell.seed),
        cell.status,
        valid,
        warp,
    )
