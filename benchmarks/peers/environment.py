"""Builds the environment of imagecorruptions and medmnistc, which cannot share ours.

Both need an older NumPy; one imports `pkg_resources`, which newer setuptools do not have. What they declare would also
bring a second OpenCV and packages that no corruption uses, so they are installed without their dependencies.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

import torch

FOLDER = Path(".benchmarks/peers")
_NEEDED = (
    "numpy==1.26.4",
    "scipy==1.14.1",
    "scikit-image==0.23.2",
    "opencv-python-headless==4.10.0.84",
    "setuptools<80",
    "pillow",
    "wand==0.7.2",
)
_PEERS = ("imagecorruptions==1.1.2", "medmnistc==0.1.0")
# medmnistc blurs and changes gamma with torchvision, whose release has to match torch.
_TORCHVISION_OF = {"2.13": "0.28.0"}
_SECONDS = 300


class NoPeersError(Exception):
    """The environment cannot be built here; the message says why."""


def peer_python() -> Path:
    """The interpreter of the peers' environment, which is built first where it is missing. Raises NoPeersError."""
    python = FOLDER / "bin" / "python"
    stamp = FOLDER / "installed"
    wanted = "\n".join((*_NEEDED, *_PEERS, torch.__version__, sys.version))
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    stamp.unlink(missing_ok=True)
    venv.create(FOLDER, with_pip=True, clear=True)
    _pip(python, *_NEEDED)
    _pip(python, "--no-deps", *_PEERS)
    if release := _TORCHVISION_OF.get(".".join(torch.__version__.split(".")[:2])):
        _pip(python, "--no-deps", f"torchvision=={release}")
    # torch is large: ours is borrowed, after everything of the peers' own.
    packages = next((FOLDER / "lib").glob("python3*/site-packages"))
    (packages / "borrowed.pth").write_text(str(Path(torch.__file__).parents[1]), encoding="utf-8")
    stamp.write_text(wanted, encoding="utf-8")
    return python


def _pip(python: Path, *arguments: str) -> None:
    command = [python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", *arguments]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_SECONDS, env=os.environ)
    except subprocess.TimeoutExpired:
        raise NoPeersError(f"installing {' '.join(arguments)} took longer than {_SECONDS} s") from None
    except subprocess.CalledProcessError as error:
        raise NoPeersError(error.stderr.strip().splitlines()[-1] if error.stderr.strip() else str(error)) from None
