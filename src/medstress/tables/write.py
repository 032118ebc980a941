"""Makes one table and writes it as CSV, Markdown, LaTeX and Parquet."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from medstress.config import TableName, TableSpec
from medstress.errors import MedstressError
from medstress.records import PerturbedRow, atomic_path, read_tables
from medstress.score.robustness import read_scores
from medstress.tables.markup import latex, markdown
from medstress.tables.registry import TABLES

_PERTURBED_COLUMNS = ["image_id", "perturbation", "level", "strength", "ssim", "band_low", "band_high", "status"]


def read_perturbed(paths: Sequence[Path]) -> pd.DataFrame:
    """Perturbed records without pixels; `dataset` is taken from the path perturbed/{dataset}/{perturbation}.parquet."""
    parts: list[pd.DataFrame] = []
    for path in paths:
        part = read_tables([path], PerturbedRow, _PERTURBED_COLUMNS).to_pandas()
        parts.append(part.assign(dataset=path.parent.name))
    return pd.concat(parts, ignore_index=True)


_READERS: dict[str, Callable[[Sequence[Path]], pd.DataFrame]] = {"scores": read_scores, "perturbed": read_perturbed}


def write_table(
    spec: TableSpec, name: TableName, sources: Mapping[str, Sequence[Path]], outputs: Mapping[str, Path]
) -> None:
    """Write the table `name` from `sources`, paths by kind of record, to outputs["csv"], ["md"], ["tex"], ["parquet"].

    CSV and Parquet hold all numbers, with 10 significant digits in the CSV; the others what people read.
    Raises MedstressError where no record is given or none holds a row of the study.
    """
    module = import_module(TABLES[name].module)
    (kind,) = TABLES[name].reads
    if not sources.get(kind):
        raise MedstressError(f"table {name}: there are no {kind} to make it from. The study must name some.")
    frame = _READERS[kind](sources[kind])
    table = module.build(spec, frame)
    if table.empty:
        where = ", ".join(map(str, sources[kind]))
        raise MedstressError(f"table {name}: none of the study's rows is in {where}. Delete these and run again.")
    shown, notes = module.display(spec, table), module.notes(spec, frame)
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
