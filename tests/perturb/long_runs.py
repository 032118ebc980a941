"""Many images to perturb, and how much memory a command takes for them."""

import subprocess
import sys
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import cv2
import numpy as np
import psutil

from medstress.pixels import Image, encode_png
from medstress.records import ImageRow, record_writer
from tests.conftest import images_of

_SECONDS_BETWEEN_LOOKS = 0.02
_DATASET = """
import json
import sys
from pathlib import Path
from medstress.perturb.build import perturb_dataset
from medstress.perturb.registry import PERTURBATIONS
from medstress.specs import PerturbSpec
images, output, name, levels, workers = sys.argv[1:]
spec = PerturbSpec(
    dataset="many",
    modality="pathology",
    perturbation=name,
    levels=json.loads(levels),
    split="test",
    background=0,
)
perturb_dataset(PERTURBATIONS[name], spec, Path(images), Path(output), workers=int(workers))
"""


def _pictures(side: int) -> list[Image]:
    """Tissue in colour, square."""
    found = images_of("pathology").values()
    return [np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)) for image in found]


def _many(count: int, side: int) -> Iterator[tuple[str, bytes]]:
    files = [encode_png(image) for image in _pictures(side)]
    for index, file in enumerate(islice(cycle(files), count)):
        yield f"{index:06d}", file


def write_record(path: Path, count: int, side: int = 256) -> Path:
    """An image record of `count` images."""
    with record_writer(path, ImageRow) as writer:
        for image_id, file in _many(count, side):
            writer.write([ImageRow(image_id, image_id, "test", "pathology", file, side, side)])
    return path


def write_folder(folder: Path, count: int, side: int = 256) -> Path:
    """A folder of `count` PNG files."""
    folder.mkdir()
    for image_id, file in _many(count, side):
        (folder / f"{image_id}.png").write_bytes(file)
    return folder


def dataset_command(record: Path, output: Path, name: str, levels: list[int], workers: int) -> list[str]:
    """`perturb_dataset` as a command of its own."""
    return [sys.executable, "-c", _DATASET, str(record), str(output), name, str(levels), str(workers)]


def folder_command(folder: Path, output: Path, name: str, levels: str, workers: int) -> list[str]:
    """`medstress perturb`."""
    command = [sys.executable, "-m", "medstress.cli", "perturb", str(folder), str(output), "--modality", "pathology"]
    return [*command, "--types", name, "--levels", levels, "--workers", str(workers)]


def peak_mib(command: list[str]) -> float:
    """The most memory that a command and its workers hold at one time: resident set sizes added up, in MiB."""
    peak = 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        watched = psutil.Process(process.pid)
        while True:
            peak = max(peak, sum(_resident(item) for item in _family(watched)))
            try:
                _, errors = process.communicate(timeout=_SECONDS_BETWEEN_LOOKS)
                break
            except subprocess.TimeoutExpired:
                continue
    assert process.returncode == 0, errors.decode()
    return peak / 2**20


def _family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
