"""The frame around every job: a log, one clear message when something is wrong, and provenance beside the record."""

import errno
import json
import logging
import os
import platform
import resource
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import distributions
from pathlib import Path
from types import FrameType

from medstress.environment import check_environment, pins_of
from medstress.errors import MedstressError
from medstress.records import atomic_path

log = logging.getLogger("medstress")

_VERSIONS_THAT_MATTER = {"medstress", "numpy", "scipy", "opencv-python-headless", "pyarrow", "torch", "transformers"}

_ADVICE = {
    errno.ENOSPC: "the disk is full. Free some space and run the same command again; finished work is kept.",
    errno.EDQUOT: "your disk quota is used up. Free some space and run the same command again; finished work is kept.",
    errno.EROFS: "the file system is read-only. Use a folder that can be written (see `snakemake --directory`).",
    errno.EACCES: "permission denied. Give this user the right to it, or run in a folder of your own.",
    errno.EPERM: "permission denied. Give this user the right to it, or run in a folder of your own.",
    errno.ENOENT: "no such file or folder.",
}


def message_for(error: Exception) -> str:
    """What to tell a person about an error: the thing and the fix, without a traceback."""
    if isinstance(error, MedstressError):
        return str(error)
    if isinstance(error, OSError) and error.errno is not None:
        where = error.filename or "writing"
        return f"{where}: {_ADVICE.get(error.errno, os.strerror(error.errno))}"
    return (
        f"a defect in medstress: {type(error).__name__}: {error}. "
        "Run the same command with MEDSTRESS_DEBUG=1 for the traceback, and please report it."
    )


def check_writable(folder: Path, *parts: str) -> None:
    """Raise MedstressError where results could not be written to `folder` or a part of it, before any work is done."""
    for part in parts:
        check_writable(folder / part)
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        raise MedstressError(f"{existing} is in the way: results are written to the folder {folder}. Move it away.")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise MedstressError(
            f"{existing} cannot be written, so {folder} cannot be made. Give this user the right to write there, or "
            "run in a folder of your own (snakemake --directory)."
        )


def _peak_memory_mb() -> int:
    """The most memory that this process has held."""
    # Linux counts the parent's size at the fork into ru_maxrss; the kernel's own mark is of this process alone.
    status = Path("/proc/self/status")
    if status.exists():
        marks = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        if marks:
            return int(marks[0]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _write_provenance(stage: str, record: Path, started: float, facts: dict[str, object]) -> None:
    # Everything that differs from run to run lives here, so that the record itself need not.
    facts = {
        "stage": stage,
        **facts,
        "seconds": round(time.monotonic() - started, 3),
        "peak_memory_mb": _peak_memory_mb(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "host": platform.node(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "versions": dict(
            sorted((item.name, item.version) for item in distributions() if item.name in _VERSIONS_THAT_MATTER)
        ),
    }
    with atomic_path(record.with_name(f"{record.name}.provenance.json")) as temporary:
        temporary.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def _on_sigterm(number: int, frame: FrameType | None) -> None:
    raise MedstressError(
        "stopped by a signal: its time limit was reached, or it was cancelled. What it had finished is kept: run the "
        "same command again, with more time for the rule (resources: runtime) if it was the limit."
    )


@contextmanager
def stage(
    name: str, *, log_file: str, record: str, code: str | None = None, environment: str = ""
) -> Iterator[dict[str, object]]:
    """Run a job: log to `log_file`, write provenance beside `record`, turn errors into a message and exit code 1.

    What the block puts into the dictionary that it gets becomes part of the provenance, as does `code`, the fingerprint
    of the code that makes the record. `environment` is the file of the environment that the job has to run in; none
    means any.
    """
    facts: dict[str, object] = {} if code is None else {"code": code}
    started = time.monotonic()
    signal.signal(signal.SIGTERM, _on_sigterm)
    try:
        Path(log_file).parent.mkdir(parents=True, exist_ok=True)
        logging.basicConfig(
            level=logging.INFO, format="%(message)s", handlers=[logging.FileHandler(log_file, mode="w")], force=True
        )
        if environment:
            check_environment(environment)
            facts["environment"] = {"file": environment, "pins": pins_of(Path(environment))}
        yield facts
        _write_provenance(name, Path(record), started, facts)
    except Exception as error:
        text = f"{name}: {message_for(error)}"
        print(text, file=sys.stderr)
        if os.environ.get("MEDSTRESS_DEBUG"):
            traceback.print_exc()
        # Where the disk that holds the log is the one that failed, the message is on stderr already.
        with suppress(OSError):
            log.error(text)
        sys.exit(1)
