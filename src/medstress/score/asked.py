"""Samples that are asked about in words, their answers in every cell, and the scores of these as a record."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from medstress.errors import MedstressError
from medstress.records import (
    ImageRow,
    PerturbedRow,
    PredictionRow,
    SampleRow,
    ScoreRow,
    read_rows,
    read_tables,
    write_columns,
)
from medstress.score.cells import UNMOVED, cells_of
from medstress.shifts import WHOLE, members_of, subsets
from medstress.specs import ScoreSpec

_EXAMPLES = 5
_ANSWERED = ("ok", "empty", "refused", "unparsable")
T = TypeVar("T")


class Asked(NamedTuple):
    """A sample with its image, without pixels, and the subsets that it is in: see :func:`medstress.shifts.subsets`."""

    sample: SampleRow
    image: ImageRow
    subsets: tuple[str, ...]


class Cell(NamedTuple, Generic[T]):
    """One sample in one cell: its number among those asked, the row of its perturbed image or UNMOVED, the answer."""

    asked: int
    perturbed: int
    perturbation: str
    level: int
    status: str
    answer: T | None


@dataclass(frozen=True)
class Answers(Generic[T]):
    """All that is scored: cells by sample, clean first; `shown` are the perturbed images without pixels."""

    asked: list[Asked]
    cells: list[Cell[T]]
    shown: pa.Table


class Outcome(NamedTuple):
    """Status of a sample in a cell, and its values by metric; a metric without a value has None."""

    status: str
    values: Mapping[str, float | None]


def read_asked(spec: ScoreSpec, images: Path, samples: Path) -> list[Asked]:
    """The samples of the split, and those that other splits lend to a shift.

    Raises MedstressError where there are none, where a shift has an empty side, and where one would leak.
    """
    shown = {row.image_id: row for row in read_rows(images, ImageRow, pixels=False)}
    rows = {row.sample_id: row for row in read_rows(samples, SampleRow)}
    found = subsets(members_of(shown.values(), rows.values()), spec.shifts, spec.split)
    if not any(WHOLE in names for names in found.values()):
        raise MedstressError(
            f"{samples}: the {spec.split} split has no sample to score. Check the card's split and limit."
        )
    return [Asked(rows[name], shown[rows[name].image_id], names) for name, names in found.items()]


def read_answers(
    spec: ScoreSpec, records: tuple[Path, Path], perturbed: Sequence[Path], answers: Sequence[Path], column: str
) -> Answers[Any]:
    """Every sample in every cell with the `column` of its answer. `records`: images and samples of the data set.

    Raises MedstressError where answers or perturbed images are missing, doubled or foreign, and where an answer with
    status ok has nothing in the column.
    """
    asked = read_asked(spec, *records)
    shown = read_tables(perturbed, PerturbedRow, ["image_id", "perturbation", "level", "warp", "status"])
    key = ["sample_id", "object_id", "perturbation", "level"]
    given = read_tables(answers, PredictionRow, [*key, "status", column])
    names = [(one.sample.sample_id, "", one.image.image_id) for one in asked]
    lent = {one.sample.sample_id for one in asked if WHOLE not in one.subsets}
    frame = cells_of(spec, names, shown, given, answers[0], clean_only=lent)
    chosen = given.take(pa.array(frame["answer"].to_numpy()))
    _check(chosen, column, answers[0])
    columns = (frame[name].tolist() for name in ("object", "perturbed", "perturbation", "level"))
    cells = [Cell(*row) for row in zip(*columns, chosen["status"].to_pylist(), chosen[column].to_pylist(), strict=True)]
    return Answers(asked, cells, shown)


def _check(chosen: pa.Table, column: str, where: Path) -> None:
    lacking = chosen.filter(pa.array((chosen["status"].to_numpy() == "ok") & chosen[column].is_null().to_numpy()))
    if lacking.num_rows:
        keys = lacking.select(["sample_id", "perturbation", "level"]).slice(0, _EXAMPLES).to_pylist()
        shown = ", ".join("/".join(map(str, row.values())) for row in keys)
        raise MedstressError(
            f"{where}: {lacking.num_rows} answers with status ok have no {column}, such as {shown}. "
            "Delete this record and run the same command again."
        )


def is_answer(status: str) -> bool:
    """Whether an answer came, be it none that can be read."""
    return status in _ANSWERED


def beyond_band(answers: Answers[Any]) -> npt.NDArray[np.bool_]:
    """Of every cell, whether its image could not reach its band of SSIM."""
    seen = np.array([cell.perturbed for cell in answers.cells], dtype=np.int64)
    if not answers.shown.num_rows:
        return np.zeros(len(seen), bool)
    return np.asarray((answers.shown["status"].to_numpy() == "unreachable")[seen] & (seen != UNMOVED))


def write_scores(
    spec: ScoreSpec, answers: Answers[Any], outcomes: Sequence[Sequence[Outcome]], metrics: Sequence[str], output: Path
) -> None:
    """Write outcomes, [kinds] of one a cell, as scores: all of the split, then those of the clean image by subset.

    A sample that is on sides of shifts has its clean scores once more for each of them.
    """
    beyond = beyond_band(answers)
    number = {metric: place for place, metric in enumerate(metrics)}
    rows = [
        (index, number[metric], value, outcome.status)
        for index, kinds in enumerate(zip(*outcomes, strict=True))
        for outcome in kinds
        for metric, value in outcome.values.items()
    ]
    frame = pd.DataFrame(rows, columns=["cell", "metric", "value", "status"]).astype({"value": np.float64})
    cell = frame["cell"].to_numpy()
    frame["status"] = frame["status"].mask(beyond[cell] & frame["status"].isin(_ANSWERED), "unreachable")
    place = np.array([one.asked for one in answers.cells])
    level = np.array([one.level for one in answers.cells])
    order, names = _by_subset(answers.asked, place[cell], level[cell])
    cell, frame = cell[order], frame.iloc[order]
    value = frame["value"].to_numpy()

    def same(value: object, kind: pa.DataType) -> pa.Array:
        return pa.repeat(pa.scalar(value, kind), len(cell))

    columns = {
        "task": same(spec.task, pa.string()),
        "run": same(spec.run, pa.string()),
        "seed": same(spec.seed, pa.int64()),
        "dataset": same(spec.dataset, pa.string()),
        "subset": names,
        "sample_id": pa.array([one.sample.sample_id for one in answers.asked]).take(pa.array(place[cell])),
        "group_id": pa.array([one.image.group_id for one in answers.asked]).take(pa.array(place[cell])),
        "object_id": same("", pa.string()),
        "perturbation": pa.array([one.perturbation for one in answers.cells]).take(pa.array(cell)),
        "level": pa.array(level[cell], pa.int64()),
        "metric": pa.array(metrics).take(pa.array(frame["metric"].to_numpy())),
        "value": pa.array(value, mask=np.isnan(value)),
        "status": pa.array(frame["status"], pa.string()),
    }
    write_columns(output, ScoreRow, columns)


def _by_subset(
    asked: Sequence[Asked], place: npt.NDArray[np.int64], level: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.intp], pa.Array]:
    """Numbers of the rows of each subset, one after the other, and its name for each; `place` and `level` of rows."""
    order, names = [], []
    for subset in dict.fromkeys(name for one in asked for name in (WHOLE, *one.subsets)):
        inside = np.array([subset in one.subsets for one in asked])[place]
        order.append(np.flatnonzero(inside if subset == WHOLE else inside & (level == 0)))
        names.append(pa.repeat(subset, len(order[-1])))
    return np.concatenate(order), pa.concat_arrays(names)
