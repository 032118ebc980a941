"""Millions of score rows to a study's main tables: wall time and peak memory of each table, as its rule makes it.

    python -m benchmarks.aggregate [--rows 10000000]

Rows are random scores of ten runs on four data sets under forty perturbations at five levels, a record a run and data
set, as the study's workflow writes them. Each table is built and written in a process of its own, started afresh.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow as pa

from medstress.config import Statistics
from medstress.names import TypeName
from medstress.records import CLEAN, ScoreRow, write_columns
from medstress.table_spec import TableSpec
from medstress.tables.write import write_table

TABLES = ("segmentation_main", "segmentation_perturbations", "segmentation_levels", "comparisons")
DATASETS = ("brain", "lung", "nuclei", "skin")
RUNS = tuple(f"model_{number}" for number in range(10))
TYPES = tuple(islice(get_args(TypeName), 40))
LEVELS = (1, 2, 3, 4, 5)
METRICS = ("iou", "dice", "hd95", "nsd")
KINDS = ("csv", "md", "tex", "parquet")
OBJECTS_OF_GROUP = 3
STATUSES = np.array(["ok", "empty", "unreachable", "object_lost", "error"])
SHARES = (0.93, 0.01, 0.04, 0.01, 0.01)


def spec_of_rows() -> TableSpec:
    """The study that the rows are of."""
    return TableSpec(
        study="many",
        datasets={name: name.title() for name in DATASETS},
        split_units=dict.fromkeys(DATASETS, "patient"),
        runs={run: run.replace("_", " ") for run in RUNS},
        baselines=[],
        perturbations=list(TYPES),
        levels=list(LEVELS),
        metrics=list(METRICS),
        statistics=Statistics(),
    )


def write_scores(folder: Path, rows: int) -> int:
    """Write about so many rows, scores/{run}/{dataset}.parquet, one record at a time; how many they are."""
    cells = [(CLEAN, 0), *((kind, level) for kind in TYPES for level in LEVELS)]
    objects = -(-rows // (len(DATASETS) * len(RUNS) * len(METRICS) * len(cells)))
    for dataset in DATASETS:
        for run in RUNS:
            columns = _columns(run, dataset, objects, cells)
            write_columns(folder / "scores" / run / f"{dataset}.parquet", ScoreRow, columns)
    return len(DATASETS) * len(RUNS) * len(METRICS) * len(cells) * objects


def _columns(run: str, dataset: str, objects: int, cells: list[tuple[str, int]]) -> dict[str, pa.Array]:
    """A record of objects x cells x metrics in this order, as scores are written."""
    random = np.random.default_rng([RUNS.index(run), DATASETS.index(dataset)])
    count = objects * len(cells) * len(METRICS)
    item, cell, metric = np.unravel_index(np.arange(count), (objects, len(cells), len(METRICS)))
    levels = np.array([level for _, level in cells])[cell]
    status = np.where(levels > 0, random.choice(len(STATUSES), count, p=SHARES), 0)
    value = random.beta(8, 2 + levels) * np.where(metric == METRICS.index("hd95"), 100.0, 1.0)

    def texts(names: list[str], codes: np.ndarray) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), names).cast(pa.string())

    whole = np.zeros(count, np.int32)
    return {
        "task": texts(["segmentation"], whole),
        "run": texts([run], whole),
        "seed": pa.array(whole, pa.int64()),
        "dataset": texts([dataset], whole),
        "subset": texts(["iid"], whole),
        "sample_id": texts([f"{dataset}-{number:05}" for number in range(objects)], item),
        "group_id": texts([f"p{number:05}" for number in range(objects)], item // OBJECTS_OF_GROUP),
        "object_id": texts([f"{dataset}-{number:05}-o1" for number in range(objects)], item),
        "perturbation": texts([name for name, _ in cells], cell),
        "level": pa.array(levels, pa.int8()),
        "metric": texts(list(METRICS), metric),
        "value": pa.array(value, mask=np.isin(status, [3, 4])),
        "status": texts(list(STATUSES), status),
    }


def build(folder: Path, name: str) -> None:
    """Build one table and print how long it took and the most memory that was held, imports among both."""
    sources = {"scores": sorted(folder.glob("scores/*/*.parquet"))}
    write_table(spec_of_rows(), name, sources, {kind: folder / f"{name}.{kind}" for kind in KINDS})  # type: ignore[arg-type]
    # The kernel's mark of this process alone; `ru_maxrss` begins with that of its parent.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    print(next(int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmHWM:")))


def main() -> None:
    """Print one line a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--build", nargs=2, metavar=("FOLDER", "TABLE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.build:
        build(Path(arguments.build[0]), arguments.build[1])
        return
    with tempfile.TemporaryDirectory() as name:
        rows = write_scores(Path(name), arguments.rows)
        print(f"{rows} score rows (load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)")
        print(f"{'':30}{'wall, s':>9}{'CPU, s':>9}{'peak, MB':>10}")
        for table in TABLES:
            before, started = os.times(), time.perf_counter()
            command = [sys.executable, "-m", "benchmarks.aggregate", "--build", name, table]
            peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            wall, after = time.perf_counter() - started, os.times()
            busy = after.children_user + after.children_system - before.children_user - before.children_system
            print(f"{table:30}{wall:9.1f}{busy:9.1f}{int(peak):10}", flush=True)


if __name__ == "__main__":
    main()
