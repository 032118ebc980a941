"""One writer for a folder, also where several machines share it.

Locks of the kernel (flock) are not passed on by every network file system. A lease is a file `NNNNNN.lease` that is
created exclusively, and whose time its holder renews. The newest number holds. A lease is stale when its holder gave it
up, when the process is dead and was on this machine, or when the time stood still for long enough; then whoever creates
the next number holds. The newest file is never removed, so a number is never held twice.
"""

import contextlib
import json
import os
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from medstress.errors import MedstressError

_SUFFIX = ".lease"


@dataclass(frozen=True)
class Terms:
    """Seconds between renewals, after which a lease that was not renewed is stale, and between looks at another's."""

    renewal: float = 10.0
    expiry: float = 60.0
    look: float = 0.5


TERMS = Terms()


@dataclass(frozen=True)
class _Holder:
    host: str
    pid: int
    machine: str


class Lease:
    """The right to write to a folder, renewed by a thread until it is given up or lost."""

    def __init__(self, folder: Path, terms: Terms = TERMS) -> None:
        """Wait for a stale lease to run out. Raises MedstressError where another writer is alive."""
        self._terms, self._ended, self.lost = terms, threading.Event(), False
        self._path = _acquired(folder, terms)
        self._thread = threading.Thread(target=self._renew, name=f"lease of {folder}", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Give the lease up, so that the next writer need not wait."""
        self._ended.set()
        self._thread.join()
        with contextlib.suppress(FileNotFoundError):
            os.utime(self._path, (0, 0))

    def _renew(self) -> None:
        while not self._ended.wait(self._terms.renewal):
            try:
                os.utime(self._path)
            except FileNotFoundError:  # another writer took this one for dead
                self.lost = True
                return
            except OSError:  # the file system is away for a moment
                continue


def _acquired(folder: Path, terms: Terms) -> Path:
    while True:
        newest = _newest(folder)
        if newest:
            try:
                _wait_until_stale(_path(folder, newest), terms)
            except FileNotFoundError:
                continue  # replaced meanwhile
        path = _path(folder, newest + 1)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            continue
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(vars(_myself()), file)
        if _newest(folder) > newest + 1:  # what was looked at had been replaced long ago
            path.unlink()
            continue
        for older in folder.glob(f"*{_SUFFIX}"):
            if _number(older) <= newest:
                older.unlink(missing_ok=True)
        return path


def _wait_until_stale(path: Path, terms: Terms) -> None:
    """Return when a lease is stale; raise MedstressError as soon as its holder shows life.

    The time of the file is only compared with itself: clocks of two machines need not agree.
    """
    holder, renewed = _look(path)
    if renewed == 0:
        return
    if holder is not None and holder.machine == _myself().machine and not _runs(holder.pid):
        return
    deadline = time.monotonic() + terms.expiry
    while time.monotonic() < deadline:
        time.sleep(terms.look)
        now = _look(path)[1]
        if now == 0:
            return
        if now != renewed:
            who = "another process" if holder is None else f"process {holder.pid} on {holder.host}"
            raise MedstressError(
                f"{path.parent}: {who} is writing answers here. Wait until it ends, or end it, and run again."
            )


def _look(path: Path) -> tuple[_Holder | None, int]:
    """Who holds a lease, None where that was not written in time, and when it was renewed."""
    with path.open("rb") as file:  # opening makes a network file system ask the server again
        renewed, text = os.fstat(file.fileno()).st_mtime_ns, file.read()
    try:
        return _Holder(**json.loads(text)), renewed
    except (ValueError, TypeError):
        return None, renewed


def _newest(folder: Path) -> int:
    return max(map(_number, folder.glob(f"*{_SUFFIX}")), default=0)


def _number(path: Path) -> int:
    return int(path.stem) if path.stem.isdigit() else 0


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}{_SUFFIX}"


def _myself() -> _Holder:
    host = socket.gethostname()
    # A process number means nothing after a reboot, nor in another container of the same machine.
    parts = [host]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
        parts.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    return _Holder(host, os.getpid(), " ".join(parts))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    # One that was killed keeps its number until its parent asks after it; in many containers nobody ever does.
    with contextlib.suppress(OSError):
        return (
            Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0] != "Z"
        )
    return True
