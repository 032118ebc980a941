"""Two workers beside one, on one data set.

    python -m benchmarks.workers

Starting the pool is measured on a record of one image and taken off: it does not grow with the data.
"""

import tempfile
import time
from pathlib import Path
from statistics import median

from medstress.perturb import PERTURBATIONS
from medstress.perturb.build import perturb_dataset
from medstress.specs import PerturbSpec
from tests.perturb.long_runs import write_record

IMAGES = 48
ROUNDS = 3
TYPES = ("motion_blur", "path_stain", "glass_blur")


def _seconds(name: str, record: Path, workers: int) -> float:
    spec = PerturbSpec(
        dataset="bench", modality="pathology", perturbation=name, levels=[1, 2, 3, 4, 5], split="test", background=0
    )
    start = time.perf_counter()
    perturb_dataset(PERTURBATIONS[name], spec, record, record.with_name("out.parquet"), workers=workers)
    return time.perf_counter() - start


def main() -> None:
    """Print one line for each type."""
    print(f"\n{IMAGES} images, 256x256 RGB {'1 worker, s':>12}{'2 workers, s':>14}{'ratio':>7}{'pool start, s':>15}")
    with tempfile.TemporaryDirectory() as folder:
        many = write_record(Path(folder) / "many.parquet", IMAGES)
        single = write_record(Path(folder) / "single.parquet", 1)
        for name in TYPES:
            turns = [
                (_seconds(name, many, 1), _seconds(name, many, 2), _seconds(name, single, 2) - _seconds(name, single, 1))
                for _ in range(ROUNDS)
            ]
            one, two, start = (median(column) for column in zip(*turns, strict=True))
            print(f"{name:26}{one:12.2f}{two:14.2f}{one / (two - start):7.2f}{start:15.2f}", flush=True)


if __name__ == "__main__":
    main()
