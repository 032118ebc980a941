"""Every answer is kept as it arrives: nothing is asked twice, nothing is lost.

Each writer appends to segments of its own (see :mod:`medstress.answers.segment`), one `write` an event, so a process
that is killed loses nothing that it had appended and can spoil nothing that others had. Errors are never kept as
answers. Requests are noted before they leave: what a killed process had in flight is known, and counted when it is
asked again.
"""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from medstress.answers.ask import Answer
from medstress.answers.lease import TERMS, Lease, Terms
from medstress.answers.segment import Event, entries_of, line_of, parsed, read_index, scanned, write_index
from medstress.errors import MedstressError

SEGMENT_BYTES = 8 * 2**20
_OFFSET_BITS = 40


class Journal:
    """A folder of answers with one writer, who is the process that opened it.

    torn, damaged: lines that an earlier process left unfinished, and lines or answers with a wrong checksum, as far as
    this process came upon them. repeated: requests sent although an earlier one for the same key may have been
    answered.
    """

    def __init__(self, folder: Path, terms: Terms = TERMS, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Open a folder, which is made if need be. Raises MedstressError where another process writes there."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._segment_bytes = folder, segment_bytes
        self._lease = Lease(folder, terms)
        self._segment: _Segment | None = None
        self._places: dict[bytes, int] = {}
        self._open: Counter[bytes] = Counter()
        self.torn = self.damaged = self.repeated = 0
        try:
            self._load()
        except BaseException:
            self._lease.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: bytes) -> bool:
        return key in self._places

    def answers(self, keys: Iterable[bytes]) -> dict[bytes, Answer]:
        """The answers that are there, of those asked for. One that is damaged counts as not there.

        The index that led to it is removed, so that the next writer reads the segment itself: it would otherwise find
        the place of the damaged answer again, before that of the one which was asked for instead.
        """
        places = sorted({(self._places[key], key) for key in keys if key in self._places})
        found: dict[bytes, Answer] = {}
        number, file = -1, None
        try:
            for place, key in places:
                if place >> _OFFSET_BITS != number:
                    if file is not None:
                        file.close()
                    number = place >> _OFFSET_BITS
                    file = self._path(number).open("rb")
                assert file is not None
                file.seek(place & ((1 << _OFFSET_BITS) - 1))
                event = parsed(file.readline())
                if event is None or (event["key"], event["event"]) != (key.hex(), "answer"):
                    self.damaged += 1
                    del self._places[key]
                    self._path(number).with_suffix(".index").unlink(missing_ok=True)
                    continue
                found[key] = Answer(event["text"], event["tokens_in"], event["tokens_out"], event["finish"])
        finally:
            if file is not None:
                file.close()
        return found

    def uncertain(self, key: bytes) -> int:
        """How many requests for a key were sent of which nobody knows whether they were answered, and paid."""
        return max(0, self._open.get(key, 0))

    def sent(self, key: bytes) -> None:
        """Note that a request is about to leave."""
        self.repeated += self.uncertain(key) > 0
        self._append(key, "sent", {})
        self._open[key] += 1

    def came_back(self, key: bytes) -> None:
        """Note that a request came back with an error."""
        self._append(key, "error", {})
        self._settle(key)

    def add(self, key: bytes, answer: Answer) -> None:
        """Keep an answer. When this returns it survives a kill of the process."""
        number, offset = self._append(key, "answer", vars(answer))
        self._settle(key)
        self._places.setdefault(key, number << _OFFSET_BITS | offset)

    def close(self) -> None:
        """Flush to disk, write the index, and let the next writer in."""
        try:
            self._end_segment()
        finally:
            self._lease.release()

    def _settle(self, key: bytes) -> None:
        if key in self._open:
            self._open[key] -= 1
            if self._open[key] <= 0:
                del self._open[key]

    def _append(self, key: bytes, event: Event, facts: dict[str, Any]) -> tuple[int, int]:
        if self._lease.lost:
            raise MedstressError(
                f"{self._folder}: another process took over, since this one had not shown life for long. Answers so "
                "far are kept: run again when the other has ended."
            )
        if self._segment is None:
            self._segment = _Segment(self._folder)
        try:
            offset = self._segment.append(key, event, line_of(key, event, facts))
        except OSError:
            self._segment = None  # what follows a torn line would be lost with it
            raise
        number = self._segment.number
        if self._segment.size >= self._segment_bytes:
            self._end_segment()
        return number, offset

    def _end_segment(self) -> None:
        segment, self._segment = self._segment, None
        if segment is not None:
            segment.close()

    def _load(self) -> None:
        numbers = sorted(int(path.stem) for path in self._folder.glob("*.jsonl") if path.stem.isdigit())
        spent: list[NDArray[np.void]] = []
        for number in reversed(numbers):  # so that of two answers to one ask the first is the one that counts
            entries = self._entries(number)
            answered = entries[entries["offset"] >= 0]
            places = answered["offset"] + (number << _OFFSET_BITS)
            self._places.update(zip(answered["key"].tolist(), places.tolist(), strict=True))
            spent.append(entries[entries["open"] != 0])
        for entries in spent:
            more = entries[entries["open"] > 0]
            for key, count in zip(more["key"].tolist(), more["open"].tolist(), strict=True):
                self._open[key] += count
        for entries in spent if self._open else ():
            less = entries[entries["open"] < 0]
            for key, count in zip(less["key"].tolist(), less["open"].tolist(), strict=True):
                if key in self._open:
                    self._open[key] += count

    def _entries(self, number: int) -> NDArray[np.void]:
        path = self._path(number)
        index = path.with_suffix(".index")
        entries = read_index(index, path.stat().st_size)
        if entries is None:
            data = path.read_bytes()
            contents = scanned(data)
            self.torn += contents.torn
            self.damaged += contents.damaged
            write_index(index, len(data), contents.entries)
            entries = contents.entries
        return entries

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06d}.jsonl"


class _Segment:
    """The segment that is being written: a new file, whatever other writers do."""

    def __init__(self, folder: Path) -> None:
        taken = [int(path.stem) for path in folder.glob("*.jsonl") if path.stem.isdigit()]
        self.number, self.size = max(taken, default=0) + 1, 0
        self._offsets: dict[bytes, int] = {}
        self._pending: Counter[bytes] = Counter()
        while True:
            self._path = folder / f"{self.number:06d}.jsonl"
            try:
                self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o644)
                return
            except FileExistsError:
                self.number += 1

    def append(self, key: bytes, event: Event, line: bytes) -> int:
        """Write a line and return where it begins."""
        offset = self.size
        left = memoryview(line)
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError:
            os.close(self._file)
            raise
        self.size += len(line)
        self._pending[key] += 1 if event == "sent" else -1
        if event == "answer":
            self._offsets.setdefault(key, offset)
        return offset

    def close(self) -> None:
        """Flush to disk and write the index."""
        try:
            os.fsync(self._file)
        finally:
            os.close(self._file)
        write_index(self._path.with_suffix(".index"), self.size, entries_of(self._offsets, self._pending))
