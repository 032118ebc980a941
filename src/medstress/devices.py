"""Which GPU a job may use. To be decided before torch is imported: torch reads CUDA_VISIBLE_DEVICES once.

Slurm gives each job its devices. A plain machine with several GPUs gives none: `snakemake --resources gpu=N` limits how
many jobs run, and all of them would meet on device 0. So a job takes a slot, one a device: a lock on a file, which the
kernel frees when the process dies, however it dies.
"""

import fcntl
import logging
import os
import shutil
import stat
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from medstress.errors import MedstressError

log = logging.getLogger("medstress")

_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Claim:
    """The devices that this process sees, as in CUDA_VISIBLE_DEVICES (None: it is not set), and who chose them.

    `by` is `lock` (a slot taken here), `slurm` or `environment` (chosen before, left alone), or `nobody` (no GPU asked
    for, or none there).
    """

    devices: str | None
    by: Literal["lock", "slurm", "environment", "nobody"]

    def facts(self) -> dict[str, str | None]:
        """For the provenance."""
        return asdict(self)


def count_gpus() -> int:
    """How many NVIDIA GPUs `nvidia-smi -L` lists; 0 where there is no such program or it finds no driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return 0
    listing = subprocess.run([program, "-L"], capture_output=True, text=True, check=False)  # noqa: S603
    # Slices of a GPU (MIG) are listed indented, below their GPU.
    return sum(line.startswith("GPU ") for line in listing.stdout.splitlines()) if listing.returncode == 0 else 0


def slot_folder() -> Path:
    """The folder of this user's locks, on this machine: a lock on a shared file system would hold other machines up.

    Raises MedstressError where somebody else owns it or could write to it.
    """
    folder = Path(tempfile.gettempdir()) / f"medstress-gpus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise MedstressError(
            f"{folder} must be a folder that belongs to you and that nobody else can write to: GPUs are handed out by "
            "locks in it. Remove it, or name another folder for temporary files in TMPDIR."
        )
    return folder


def _lock(path: Path) -> int | None:
    """A descriptor that holds the lock, or None where another process holds it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def _take(count: int, slots: int, folder: Path) -> list[int]:
    """`count` free slots, or none: who waits holds nothing, so that two who need two never wait for each other."""
    held: dict[int, int] = {}
    for slot in range(slots):
        handle = _lock(folder / f"{slot}.lock")
        if handle is not None:
            held[slot] = handle
        if len(held) == count:
            # The descriptors are left open on purpose: they are the claim, and end with the process.
            return list(held)
    for handle in held.values():
        os.close(handle)
    return []


def claim_gpus(count: int) -> Claim:
    """Give this process `count` GPUs for as long as it lives, waiting until they are free, and hide the others.

    Nothing is changed where CUDA_VISIBLE_DEVICES is set or the process is part of a Slurm job. Where the machine has no
    GPU, models run on the CPU or say that they cannot. Raises MedstressError where the machine has some, but too few.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if "SLURM_JOB_ID" in os.environ:
        return Claim(visible, "slurm")
    if visible is not None:
        return Claim(visible, "environment")
    slots = count_gpus() if count > 0 else 0
    if slots == 0:
        return Claim(None, "nobody")
    if count > slots:
        raise MedstressError(
            f"the job asks for {count} GPUs and this machine has {slots} (nvidia-smi -L). Lower `gpu` in the model's "
            "card or in --set-resources."
        )
    folder = slot_folder()
    taken = _take(count, slots, folder)
    if not taken:
        log.info("waiting: other jobs use the GPUs of this machine (%d, locks in %s)", slots, folder)
    while not taken:
        time.sleep(_POLL_SECONDS)
        taken = _take(count, slots, folder)
    devices = ",".join(map(str, taken))
    os.environ["CUDA_VISIBLE_DEVICES"] = devices
    return Claim(devices, "lock")
