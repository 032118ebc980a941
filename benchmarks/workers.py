"""Two workers beside one, on one data set.

    python -m benchmarks.workers

Starting the pool is measured on a record of one image for each worker and taken off: it does not grow with the data.
The figures mean something only where both cores are free, so the load of the machine is printed too.
"""

import os
import tempfile
import time
from pathlib import Path

from medstress.perturb import PERTURBATIONS
from medstress.perturb.build import perturb_dataset
from medstress.specs import PerturbSpec
from tests.perturb.long_runs import write_record

IMAGES = 64
ROUNDS = 2
TYPES = ("motion_blur", "glass_blur")


def _seconds(name: str, record: Path, workers: int) -> float:
    spec = PerturbSpec(
        dataset="bench", modality="pathology", perturbation=name, levels=[1, 2, 3, 4, 5], split="test", background=0
    )
    start = time.perf_counter()
    perturb_dataset(PERTURBATIONS[name], spec, record, record.with_name("out.parquet"), workers=workers)
    return time.perf_counter() - start


def main() -> None:
    """Print one line for each type, the fastest of some turns, and their total."""
    load, cores = os.getloadavg()[0], os.cpu_count()
    print(f"\ntwo workers (load before: {load:.1f} on {cores} cores)")
    title = f"{IMAGES} images, 256x256 RGB"
    print(f"{title:26}{'1 worker, s':>12}{'2 workers, s':>14}{'ratio':>7}{'pool start, s':>15}")
    total = [0.0, 0.0]
    with tempfile.TemporaryDirectory() as folder:
        many = write_record(Path(folder) / "many.parquet", IMAGES)
        few = write_record(Path(folder) / "few.parquet", 2)
        for name in TYPES:
            turns = [
                (_seconds(name, many, 1), _seconds(name, many, 2), _seconds(name, few, 1), _seconds(name, few, 2))
                for _ in range(ROUNDS)
            ]
            one, two, few_one, few_two = map(min, zip(*turns, strict=True))
            start = few_two - few_one
            total[0] += one
            total[1] += two - start
            print(f"{name:26}{one:12.2f}{two:14.2f}{one / (two - start):7.2f}{start:15.2f}", flush=True)
    print(f"{'total, without the start':26}{total[0]:12.2f}{total[1]:14.2f}{total[0] / total[1]:7.2f}")


if __name__ == "__main__":
    main()
