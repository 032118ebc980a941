r"""The files of an answer journal.

A segment `NNNNNN.jsonl` is lines of JSON, one an event of an ask, each ending in the CRC-32 of what stands before it:

    {"key":"<32 hex digits>","event":"answer","text":"yes","tokens_in":310,"tokens_out":2,"finish":"stop","crc":"…"}\n

Events: `sent`, a request is about to leave; `error`, it came back with an error that is not charged for; `answer`.
Beside a segment that is complete lies `NNNNNN.index`: what it holds by key, so that nobody needs to read it to know.
"""

import json
import struct
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medstress.records import atomic_path

Event = Literal["sent", "error", "answer"]

ENTRY = np.dtype([("key", "V16"), ("offset", "<i8"), ("open", "<i4")])
"""What a segment says of a key: where its answer is, -1 for nowhere, and requests sent less those that came back."""

_CRC = b',"crc":"%08x"}\n'
_CRC_BYTES = len(_CRC % 0)
_HEADER = struct.Struct("<8sQII")
_MAGIC = b"answers1"


@dataclass(frozen=True)
class Contents:
    """What a segment holds, as an array of ENTRY, and the lines that were not whole."""

    entries: NDArray[np.void]
    torn: int = 0
    damaged: int = 0


def line_of(key: bytes, event: Event, facts: Mapping[str, Any]) -> bytes:
    """An event as one line. Text beyond ASCII is escaped, so a line break is always the end of a line."""
    body = json.dumps({"key": key.hex(), "event": event, **facts}, separators=(",", ":")).encode("ascii")[:-1]
    return body + _CRC % zlib.crc32(body)


def parsed(line: bytes) -> dict[str, Any] | None:
    """A line as its event, or None where it is not what was written."""
    body, end = line[:-_CRC_BYTES], line[-_CRC_BYTES:]
    if _CRC % zlib.crc32(body) != end:
        return None
    event: dict[str, Any] = json.loads(body + b"}")
    return event


def entries_of(offsets: Mapping[bytes, int], pending: Mapping[bytes, int]) -> NDArray[np.void]:
    """The entries of a segment, from the places of its answers and the balance of its requests."""
    keys = list(offsets) + [key for key, count in pending.items() if count and key not in offsets]
    entries = np.zeros(len(keys), dtype=ENTRY)
    entries["key"] = keys
    entries["offset"] = [offsets.get(key, -1) for key in keys]
    entries["open"] = [pending.get(key, 0) for key in keys]
    return entries


def scanned(data: bytes) -> Contents:
    """Read a segment line by line. A last line without its end is torn; any other that is not whole is damaged."""
    offsets: dict[bytes, int] = {}
    pending: Counter[bytes] = Counter()
    offset = damaged = 0
    *lines, rest = data.split(b"\n")
    for line in lines:
        event = parsed(line + b"\n")
        if event is None:
            damaged += 1
        else:
            key = bytes.fromhex(event["key"])
            pending[key] += 1 if event["event"] == "sent" else -1
            if event["event"] == "answer":
                offsets.setdefault(key, offset)
        offset += len(line) + 1
    return Contents(entries_of(offsets, pending), int(bool(rest)), damaged)


def write_index(path: Path, size: int, entries: NDArray[np.void]) -> None:
    """Write the index of a segment of `size` bytes, whole or not at all."""
    body = entries.tobytes()
    with atomic_path(path) as temporary:
        temporary.write_bytes(_HEADER.pack(_MAGIC, size, len(entries), zlib.crc32(body)) + body)


def read_index(path: Path, size: int) -> NDArray[np.void] | None:
    """The index of a segment of `size` bytes; None where there is none, or one of other bytes, or a damaged one."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(data) < _HEADER.size:
        return None
    magic, covered, count, crc = _HEADER.unpack_from(data)
    body = memoryview(data)[_HEADER.size :]
    fits = (magic, covered, count * ENTRY.itemsize, crc) == (_MAGIC, size, len(body), zlib.crc32(body))
    return np.frombuffer(body, dtype=ENTRY) if fits else None
