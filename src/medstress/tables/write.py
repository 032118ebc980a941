"""Makes one table and writes it as CSV, Markdown, LaTeX and Parquet."""

import json
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from medstress.errors import MedstressError
from medstress.names import TableName
from medstress.records import PerturbedRow, atomic_path, read_tables
from medstress.runs import POOLED, family_of
from medstress.score.judged import read_judged
from medstress.score.ratings import read_answer_marks, read_ratings
from medstress.score.robustness import of_perturbations, read_scores
from medstress.table_spec import TableSpec
from medstress.tables.latex import latex
from medstress.tables.markup import markdown
from medstress.tables.missing import EXPLAINED, STUDY_FILE, missing_of_tasks
from medstress.tables.registry import TABLES, TableEntry
from medstress.tables.trainable_parameters import VAL_SCORES

_TRAINING_COLUMNS = (
    "trained_parameters",
    "all_parameters",
    "train_images",
    "train_objects",
    "learning_rate",
    "batch",
    "planned_steps",
    "steps",
    "chosen_step",
)
_PERTURBED_COLUMNS = ["image_id", "perturbation", "level", "strength", "ssim", "band_low", "band_high", "status"]


def read_perturbed(paths: Sequence[Path]) -> pd.DataFrame:
    """Perturbed records without pixels; `dataset` is taken from the path perturbed/{dataset}/{perturbation}.parquet."""
    parts: list[pd.DataFrame] = []
    for path in paths:
        part = read_tables([path], PerturbedRow, _PERTURBED_COLUMNS).to_pandas()
        parts.append(part.assign(dataset=path.parent.name))
    return pd.concat(parts, ignore_index=True)


def read_training(paths: Sequence[Path]) -> pd.DataFrame:
    """Training records, checkpoints/{run}/training.json; `run` is the family, `dataset` what was trained on."""
    return pd.DataFrame([_training_row(path) for path in paths])


def _training_row(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        score = next(name for name in VAL_SCORES if f"val_{name}" in facts)
        looks = {look["step"]: look[score] for look in facts[f"val_{score}"]}
        row = {"run": family_of(path.parent.name), "dataset": facts["trainset"], "seed": facts["seed"]}
        row |= {name: facts[name] for name in _TRAINING_COLUMNS}
        return row | {"val_score": score, "val_before": looks[0], "val_kept": looks[facts["chosen_step"]]}
    except FileNotFoundError:
        raise MedstressError(f"{path}: no such record. Run the rule that makes it: snakemake {path}") from None
    except (OSError, ValueError, TypeError, KeyError, StopIteration) as error:
        raise MedstressError(
            f"{path}: truncated or not a training record ({type(error).__name__}: {error}). "
            "Delete it and run the same command again."
        ) from None


_READERS: dict[str, Callable[[Sequence[Path]], pd.DataFrame]] = {
    "perturbed": read_perturbed,
    "training": read_training,
    "judged": read_judged,
    "predictions": read_answer_marks,
    "ratings": read_ratings,
}
_OF_DATASET = ("scores", "judged", "predictions")
"""Kinds whose files are named after the data set."""


def _read(spec: TableSpec, entry: TableEntry, kind: str, paths: Sequence[Path]) -> pd.DataFrame:
    # Scores are millions of rows: those of another task are not even read.
    paths = [path for path in paths if kind not in _OF_DATASET or path.stem in spec.datasets]
    if kind != "scores":
        return _READERS[kind](paths)
    frame = read_scores(paths, sides=entry.sides)
    return of_perturbations(spec, frame) if entry.cells == "perturbations" else frame


def write_table(
    spec: TableSpec, name: TableName, sources: Mapping[str, Sequence[Path]], outputs: Mapping[str, Path]
) -> None:
    """Write the table `name` from `sources`, paths by kind of record, to outputs["csv"], ["md"], ["tex"], ["parquet"].

    CSV and Parquet hold all numbers, with 10 significant digits in the CSV; the others what people read.
    Raises MedstressError where no record is given, none holds a row of the study, or no data set is of the task.
    """
    entry = TABLES[name]
    module = import_module(entry.module)
    first = entry.reads[0]
    if not sources.get(first):
        raise MedstressError(f"table {name}: there are no {first} records to make it from. The study must name some.")
    spec = spec.of_task(entry.task)
    if not spec.datasets:
        raise MedstressError(f"table {name}: the study has no {entry.task} data set. Leave the table out.")
    frames = [_read(spec, entry, kind, sources.get(kind, ())) for kind in entry.reads]
    # Where nothing is of the study, a table of holes alone would say less than this error.
    foreign = not frames[0]["dataset"].isin([*spec.datasets, POOLED]).any()
    table = frames[0] if foreign else module.build(spec, *frames)
    if foreign or table.empty:
        where = ", ".join(str(path) for kind in entry.reads for path in sources.get(kind, ()))
        raise MedstressError(f"table {name}: none of the study's rows is in {where}. Delete these and run again.")
    remarks = module.remarks(spec, table) if hasattr(module, "remarks") else []
    shown, notes = module.display(spec, table), [*remarks, *module.notes(spec, *frames)]
    if entry.task is None and first == "scores":
        notes += missing_of_tasks(spec, frames[0])
    if any(STUDY_FILE in note for note in notes):
        notes.append(EXPLAINED)
    texts = {
        "csv": table.to_csv(index=False, float_format="%.10g", lineterminator="\n"),
        "md": markdown(module.TITLE, module.CAPTION, shown, notes),
        "tex": latex(module.TITLE, module.CAPTION, shown, notes, name),
    }
    for suffix, text in texts.items():
        with atomic_path(outputs[suffix]) as temporary:
            temporary.write_text(text, encoding="utf-8")
    with atomic_path(outputs["parquet"]) as temporary:
        pq.write_table(pa.Table.from_pandas(table, preserve_index=False), temporary, compression="zstd")
