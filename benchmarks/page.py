"""How long a page with a million score rows behind it takes to write, to open and to show a cell.

    python benchmarks/page.py [rows]        needs Playwright and a Chromium on the path

Scores are generated: 2 seeds of one strategy, 40 images with as many objects as it takes.
"""

import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))

from medstress.page.spec import RunOrigin
from medstress.page.write import write_page
from medstress.records import ScoreRow, write_columns
from tests.page import conftest
from tests.page.conftest import ATTACKS, LEVELS, MOVED, TYPES, Study, make_study

ROWS = 1_000_000
IMAGES, SEEDS = 40, 2
FAMILY = "cutter+full"


def write_scores(root: Path, rows: int) -> list[Path]:
    """Score files of the strategy's seeds with at least this many rows together."""
    random = np.random.default_rng(0)
    names = (*TYPES, *ATTACKS, MOVED)
    cells = [("clean", 0), *((name, level) for name in names for level in LEVELS)]
    each = -(-rows // (SEEDS * len(cells) * IMAGES))
    samples = np.repeat(np.arange(IMAGES), each)
    size = len(cells) * len(samples)
    constant = {"task": "segmentation", "dataset": "seg", "subset": "", "metric": "iou", "status": "ok"}
    paths = []
    for seed in range(SEEDS):
        run = f"{FAMILY}@seg~seed{seed}"
        columns = {name: pa.array(np.full(size, text)) for name, text in (constant | {"run": run}).items()}
        columns |= {
            "seed": pa.array(np.full(size, seed, np.int64)),
            "sample_id": pa.array(np.char.add("s_seg", np.tile(samples, len(cells)).astype(str))),
            "group_id": pa.array(np.char.add("p", np.tile(samples, len(cells)).astype(str))),
            "object_id": pa.array(np.tile(np.arange(len(samples)), len(cells)).astype(str)),
            "perturbation": pa.array(np.repeat([name for name, _ in cells], len(samples))),
            "level": pa.array(np.repeat([level for _, level in cells], len(samples)).astype(np.int8)),
            "value": pa.array(random.random(size)),
        }
        path = root / f"scores/{run}/seg.parquet"
        path.parent.mkdir(parents=True)
        write_columns(path, ScoreRow, columns)
        paths.append(path)
    print(f"{SEEDS * size} score rows")
    return paths


def large_study(root: Path, rows: int) -> tuple[Study, dict[str, list[Path]]]:
    """The study of the tests with a strategy of many scores, and its records."""
    conftest.IMAGES = IMAGES
    study = make_study(root)
    paths = write_scores(root, rows)
    tables = study.spec.tables
    spec = study.spec.model_copy(
        update={
            "tables": tables.model_copy(
                update={
                    "runs": {FAMILY: "Cutter + Full", **tables.runs},
                    "scored_on": {FAMILY: ["seg"], **tables.scored_on},
                    "attacked": [FAMILY, *tables.attacked],
                }
            ),
            "runs": {path.parent.name: RunOrigin(model="cutter", strategy="full") for path in paths} | study.spec.runs,
        }
    )
    sources = {kind: list(given) for kind, given in study.sources.items()}
    sources["scores"] += paths
    return Study(root, spec, sources), sources


def main(rows: int) -> None:
    """Print the seconds of writing, opening and of a click, and the memory of writing."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        study, sources = large_study(Path(folder), rows)
        started = time.perf_counter()
        write_page(study.spec, sources, study.index, study.folder)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(f"written in {time.perf_counter() - started:.1f} s, {peak} MB at most")
        browser_path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = play.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page()
        started = time.perf_counter()
        page.goto(study.index.as_uri())
        page.wait_for_selector("#overview[data-ready] .card")
        print(f"opened in {time.perf_counter() - started:.2f} s")
        started = time.perf_counter()
        page.click("#tab-cells")
        page.wait_for_selector("#cells[data-ready] .heat")
        page.click(".heat tbody td >> nth=0")
        page.wait_for_selector("dialog[open] img")
        print(f"heat map and a cell's images in {time.perf_counter() - started:.2f} s")
        browser.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
