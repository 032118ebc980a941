"""Writes the page: index.html with the tables, and beside it a folder with libraries and chunks."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from medstress.errors import MedstressError
from medstress.page.cells import cells_data
from medstress.page.chunks import Chunks, safe_json
from medstress.page.conditions import Condition, conditions_on, runs_under
from medstress.page.document import page_html
from medstress.page.figures import figures_data
from medstress.page.gallery import Records, galleries
from medstress.page.holes import holes_of
from medstress.page.libraries import write_libraries
from medstress.page.overview import overview_data
from medstress.page.provenance import provenance_data
from medstress.page.spec import PageSpec
from medstress.page.tables import tables_data
from medstress.records import CLEAN, atomic_path
from medstress.score.metrics import METRICS, primary_metric
from medstress.score.robustness import paired_drops, read_scores
from medstress.score.titles import dataset_titles, run_titles
from medstress.table_spec import TableSpec

# Some 10 kB each, so that a study's page stays near 50 MB however large the study is.
MOST_PICTURES = 3000
_MOST_SAMPLES = 4
# A larger table comes as a chunk when it is asked for: the page opens at once however many rows there are.
_LARGEST_INSIDE = 256 * 1024

Sources = Mapping[str, Sequence[Path]]


def write_page(spec: PageSpec, sources: Sources, index: Path, folder: Path) -> None:
    """Write `index` and everything that it loads into `folder`, which is beside it and is made anew.

    `sources`: paths by kind of record: tables (Parquet), figures (SVG beside PNG), scores, images, samples, perturbed,
    predictions, training, and where there are attacks attacked and adversarial (their images, where they are kept).
    All but the chunk `provenance` depends on the records alone.
    Raises MedstressError where a record is missing or damaged.
    """
    shutil.rmtree(folder, ignore_errors=True)
    libraries = write_libraries(folder / "libraries")
    chunks = Chunks(folder / "chunks")
    tables = [_inside_or_chunk(chunks, table) for table in tables_data(spec, sources["tables"], index.parent)]
    figures = figures_data(spec, sources.get("figures", ()), index.parent)
    datasets = [_write_dataset(spec, sources, dataset, chunks) for dataset in spec.tables.datasets]
    records = [path for kind in sources for path in sources[kind]]
    weights = [run.weights for run in spec.runs.values() if run.weights]
    chunks.write("provenance", provenance_data(index.parent, records, weights))
    data = _study_data(spec) | {
        "libraries": libraries,
        "tables": tables,
        "figures": figures,
        "datasets": datasets,
        "chunks": chunks.files,
        "folder": folder.name,
    }
    with atomic_path(index) as temporary:
        temporary.write_text(page_html(spec.tables.study, folder.name, data), encoding="utf-8")


def _inside_or_chunk(chunks: Chunks, table: dict[str, Any]) -> dict[str, Any]:
    rows = table["rows"]
    if len(safe_json(rows)) <= _LARGEST_INSIDE:
        return table
    key = f"table.{table['name']}"
    chunks.write(key, rows)
    return table | {"rows": None, "chunk": key, "count": len(rows)}


def _write_dataset(spec: PageSpec, sources: Sources, dataset: str, chunks: Chunks) -> dict[str, Any]:
    """Write the chunks of one data set; returns what the page has to know of it before it loads them."""
    task = spec.tables.tasks.get(dataset, "segmentation")
    own, conditions = spec.tables.of_task(task), conditions_on(spec.tables, dataset)
    paths = [path for path in sources["scores"] if path.stem == dataset]
    frame, pairs = _scores(own, paths, [CLEAN, *(one.name for one in conditions)])
    cells = cells_data(own, dataset, frame, pairs)
    chunks.write(f"cells.{dataset}", cells)
    perturbed = {path.stem: path for path in sources["perturbed"] if path.parent.name == dataset}
    records = Records(
        images=_of_dataset(sources["images"], dataset),
        samples=_of_dataset(sources["samples"], dataset),
        perturbed=perturbed,
        predictions=[path for path in sources["predictions"] if path.stem == dataset],
        attacked=[path for path in sources.get("attacked", ()) if path.stem == dataset],
        adversarial=[path for path in sources.get("adversarial", ()) if path.name == f"{dataset}.images.parquet"],
    )
    most = {name: n for (one, name), n in samples_of_cells(spec.tables).items() if one == dataset}
    moved = {jitter.name: jitter for jitter in spec.prompts}
    shown = {one: most[one.name] for one in conditions if one.kind != "perturbation" or one.name in perturbed}
    for name, data in galleries(task, records, frame, pairs, spec.classes.get(dataset), shown, moved):
        chunks.write(f"pictures.{dataset}.{name}", data)
    return {
        "name": dataset,
        "title": dataset_titles(spec.tables)[dataset],
        "task": task,
        "unit": spec.tables.split_units[dataset],
        "metric": primary_metric(own),
        "stand_in": dataset in spec.tables.stand_ins,
        "perturbations": spec.tables.perturbations_on(dataset),
        "attacks": [one.name for one in conditions if one.kind == "attack"],
        "prompts": [one.name for one in conditions if one.kind == "prompt"],
        "overview": overview_data(own, dataset, cells, pairs),
        "holes": holes_of(spec, dataset, frame),
    }


def _scores(spec: TableSpec, paths: Sequence[Path], names: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    frame = read_scores(paths)
    frame = frame[frame["metric"].isin(spec.metrics) & frame["perturbation"].isin(names)]
    return frame, paired_drops(frame)


def _of_dataset(paths: Sequence[Path], dataset: str) -> Path:
    found = next((path for path in paths if path.parent.name == dataset), None)
    if found is None:
        raise MedstressError(f"page: the records of {dataset} are not there. Make them first.")
    return found


def samples_of_cells(spec: TableSpec) -> dict[tuple[str, str], int]:
    """How many samples are shown of each data set and condition; none beyond the limit."""
    costs = {
        (dataset, one.name): _pictures(spec, dataset, one)
        for dataset in spec.datasets
        for one in conditions_on(spec, dataset)
    }
    each = min(_MOST_SAMPLES, max(1, MOST_PICTURES // max(1, sum(costs.values()))))
    shown, left = {}, MOST_PICTURES
    for pair, cost in costs.items():
        shown[pair] = each if each * cost <= left else 0
        left -= shown[pair] * cost
    return shown


def _pictures(spec: TableSpec, dataset: str, condition: Condition) -> int:
    """The pictures of one sample: clean, and at each level, of adversarial ones for each run."""
    if condition.kind == "perturbation":
        return 1 + len(spec.levels)
    if condition.kind == "attack" and condition.name in spec.kept:
        return 1 + len(spec.levels) * len(runs_under(spec, dataset, condition))
    return 1


def _study_data(spec: PageSpec) -> dict[str, Any]:
    """What the page says of the study whatever is looked at."""
    study = spec.tables
    titles = run_titles(study)
    return {
        "study": study.study,
        "levels": study.levels,
        "runs": [
            {
                "name": run,
                "title": titles[run],
                "baseline": run in study.baselines,
                "stand_in": run in study.stand_ins,
                "attacked": run in study.attacked,
                "on": _scored_on(study, run),
            }
            for run in study.runs
        ],
        "perturbations": [
            {"name": name, "fixed": name in study.fixed, "medical": name in study.medical}
            for name in study.perturbations
        ],
        "metrics": {
            name: {
                "title": metric.title,
                "digits": metric.digits,
                "unit": metric.unit,
                "smaller": metric.smaller_is_better,
                "of_pair": metric.of_pair,
            }
            for name, metric in METRICS.items()
        },
        "origins": {name: origin.model_dump() for name, origin in spec.runs.items()},
        "attacks": [
            {"name": name, "radii": radii, "kept": name in study.kept} for name, radii in study.attacks.items()
        ],
        "prompts": [{"name": one.name, "kind": one.kind, "shares": one.shares} for one in spec.prompts],
        "confidence": study.statistics.confidence,
        "resamples": study.statistics.resamples,
    }


def _scored_on(study: TableSpec, run: str) -> list[str]:
    return [dataset for dataset in study.datasets if run in study.runs_on(dataset)]
