"""One file at a URL, downloaded with resume.

The bytes go to `name.part`, and `name.part.json` beside it says which version of the file they belong to (RFC 9110:
ETag or Last-Modified). The next try asks for the rest of that version (Range with If-Range), so a file that changed on
the server is downloaded anew and never glued together.
"""

import http.client
import json
import logging
import os
import shutil
import time
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from medstress.errors import MedstressError
from medstress.fetch.checksum import digest_of
from medstress.fetch.request import BrokenError, Remote, broken_as_such, opened, shown
from medstress.records import atomic_path

log = logging.getLogger("medstress")

_BLOCK = 2**20
OFFLINE = "Without a network: `snakemake fetch` on a machine that has one, or MEDSTRESS_MIRROR (docs/datasets.md)."


@dataclass(frozen=True)
class Patience:
    """How long a server is given: tries in a row without a byte, seconds before the second, and of silence."""

    tries: int = 6
    first_wait: float = 1.0
    longest_wait: float = 120.0
    silence: float = 60.0

    def wait(self, failed: int, asked: float | None) -> float:
        """Seconds before the next try: doubled each time, or what the server asks for."""
        return min(self.first_wait * 2 ** (failed - 1) if asked is None else asked, self.longest_wait)


PATIENT = Patience()


def file_name(url: str) -> str:
    """The name of the file at a URL. Raises MedstressError where it has none."""
    name = unquote(urlsplit(url).path).rpartition("/")[2]
    if name in ("", ".", ".."):
        raise MedstressError(f"{shown(url)}: names no file. Give the address of one file.")
    return name


def download(remote: Remote, target: Path, patience: Patience = PATIENT) -> None:
    """Download a file to `target`, which appears when it is complete and its checksum right.

    Tries again after a cut, 408, 425, 429 and 5xx, with the pause that the server asks for. Raises NotThereError
    for 404 and 410, MedstressError for what a person has to do.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _Part(target, remote)
    log.info("fetching %s", shown(remote.url))
    asked, failed, fresh = remote.checksum, 0, False
    kind = asked.kind if asked else "sha256"
    while True:
        before = part.size
        try:
            total = _receive(remote, part, patience.silence)
        except BrokenError as error:
            failed = 1 if part.size > before else failed + 1
            if failed >= patience.tries:
                kept = f" {part.size} bytes are kept: run the same command again to go on." if part.size else ""
                raise MedstressError(
                    f"{shown(remote.url)}: {error}, {failed} times in a row.{kept} {OFFLINE}"
                ) from None
            pause = patience.wait(failed, error.wait)
            log.info("%s; trying again in %g s, from byte %d", error, pause, part.size)
            time.sleep(pause)
            continue
        found = digest_of(part.path, kind)
        if asked is None or asked.digits == found:
            break
        part.drop()
        if not part.resumed or fresh:
            raise MedstressError(
                f"{shown(remote.url)}: the file's {kind} is {found}, but the card says {asked.digits}. It was not "
                "kept. Either the file was changed there or the card is wrong: do not use it before you know which."
            )
        fresh = True  # a server that glues versions together gets one chance to send the file whole
    part.finish()
    log.info("fetched %s: %d bytes, %s %s", target.name, total, kind, found)


class _Part:
    """What there is of a file, and of which version."""

    def __init__(self, target: Path, remote: Remote) -> None:
        self.target, self.path = target, target.with_name(f"{target.name}.part")
        self._facts = target.with_name(f"{target.name}.part.json")
        self._url, self._checked = shown(remote.url), remote.checksum is not None
        self.resumed = False

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def range_headers(self) -> dict[str, str]:
        """What asks for the rest of this very version; nothing where that cannot be asked for."""
        if not self.size:
            return {}
        try:
            facts = json.loads(self._facts.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        if facts.get("url") != self._url or not (facts.get("version") or self._checked):
            return {}
        condition = {"If-Range": facts["version"]} if facts.get("version") else {}
        return {"Range": f"bytes={self.size}-", **condition}

    def start(self, headers: http.client.HTTPMessage, *, resumed: bool) -> None:
        """Note the version that comes now; unless it goes on, what was there is dropped."""
        self.resumed = resumed
        if resumed:
            return
        self.path.unlink(missing_ok=True)
        etag = headers.get("ETag", "")
        # A weak ETag does not promise equal bytes and may not stand in If-Range.
        version = etag if etag.startswith('"') else headers.get("Last-Modified", "")
        with atomic_path(self._facts) as temporary:
            temporary.write_text(json.dumps({"url": self._url, "version": version}), encoding="utf-8")

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)
        self._facts.unlink(missing_ok=True)

    def finish(self) -> None:
        with self.path.open("rb") as handle:
            os.fsync(handle.fileno())
        self.path.replace(self.target)
        self._facts.unlink(missing_ok=True)


def _receive(remote: Remote, part: _Part, silence: float) -> int:
    """One try: the file's size when all of it is there. Raises BrokenError where another try may help."""
    asked = part.range_headers()
    with opened(remote, asked, silence) as response:
        if response is None:  # 416: there is nothing after what we have
            part.drop()
            raise BrokenError("the server has no more bytes than were kept", 0.0)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise MedstressError(f"{shown(remote.url)}: the server changes the bytes on the way (Content-Encoding).")
        resumed = response.status == HTTPStatus.PARTIAL_CONTENT
        total = _total(response, part.size if resumed else 0)
        if total is None and resumed:
            part.drop()
            raise BrokenError("the server sent another part than was asked for", 0.0)
        part.start(response.headers, resumed=resumed)
        check_space(part.path.parent, (total or 0) - part.size, shown(remote.url))
        with part.path.open("ab") as handle, broken_as_such():
            while block := response.read1(_BLOCK):  # what has come is kept, however little
                handle.write(block)
    if total is not None and part.size != total:
        if part.size > total:
            part.drop()
        raise BrokenError(f"the connection was cut at {part.size} of {total} bytes")
    return part.size


def _total(response: Any, start: int) -> int | None:
    """The size of the whole file, if the server says it; None for a part that does not begin at `start`."""
    if response.status == HTTPStatus.PARTIAL_CONTENT:
        unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
        span, _, total = rest.partition("/")
        fits = unit == "bytes" and span.partition("-")[0] == str(start) and total.isdigit()
        return int(total) if fits else None
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def check_space(folder: Path, needed: int, what: str) -> None:
    """Raise MedstressError where the disk has less than `needed` bytes left."""
    left = shutil.disk_usage(folder).free
    if needed > left:
        raise MedstressError(
            f"{what}: needs {needed / 1e9:.2f} GB, but {left / 1e9:.2f} GB are free on the disk of {folder}. Free some "
            "space, or make downloads/ a link to a folder on another disk; what was fetched is kept."
        )
