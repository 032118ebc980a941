"""Peak memory on more and more images, two workers and their parent together.

python -m benchmarks.memory
"""

import tempfile
from pathlib import Path

from tests.perturb.long_runs import dataset_command, folder_command, peak_mib, write_folder, write_record

FEW = 40
TIMES = (1, 4, 16)
WORKERS = 2
TYPE = "translation"


def main() -> None:
    """Print one line for a record and one for a folder."""
    print(f"\npeak memory, MiB, {WORKERS} workers" + "".join(f"{FEW * times:8}" for times in TIMES) + "  images")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        peaks: dict[str, list[float]] = {"data set": [], "folder": []}
        for count in (FEW * times for times in TIMES):
            record = write_record(folder / f"{count}.parquet", count)
            peaks["data set"].append(peak_mib(dataset_command(record, folder / f"{count}.out", TYPE, [1, 5], WORKERS)))
            files = write_folder(folder / str(count), count)
            peaks["folder"].append(peak_mib(folder_command(files, folder / f"{count}.files", TYPE, "1,5", WORKERS)))
    for kind, values in peaks.items():
        print(f"{kind:29}" + "".join(f"{value:8.0f}" for value in values), flush=True)


if __name__ == "__main__":
    main()
