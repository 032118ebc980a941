"""Scores every answer of one segmentation run on one data set.

Only pixels that still show the scene count: truth and prediction are both cut by the perturbed image's `valid`. Where a
mask reaches over that edge, the cut is part of both outlines. Distances are in pixels of the clean image.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from medstress.errors import MedstressError
from medstress.perturb.warp import scale_of, warp_mask
from medstress.pixels import Mask, decode_mask
from medstress.records import (
    ImageRow,
    PerturbedRow,
    PredictionRow,
    SampleRow,
    ScoreRow,
    WarpRow,
    read_rows,
    read_tables,
    write_rows,
)
from medstress.score.cells import UNMOVED, cells_of
from medstress.score.masks import Truth, compare, truth_of
from medstress.specs import ScoreSpec

_ANSWERED = ("ok", "empty")


class _Object(NamedTuple):
    sample_id: str
    object_id: str
    image_id: str
    group_id: str
    height: int
    width: int
    mask: bytes


class _Cell(NamedTuple):
    """One object in one cell: row numbers of the object, of the perturbed image and of the answer."""

    object: int
    perturbed: int
    answer: int
    perturbation: str
    level: int


def _objects_of(spec: ScoreSpec, images: Path, samples: Path) -> list[_Object]:
    inside = {row.image_id: row for row in read_rows(images, ImageRow, pixels=False) if row.split == spec.split}
    objects = [
        _Object(sample.sample_id, item.object_id, image.image_id, image.group_id, image.height, image.width, item.mask)
        for sample in read_rows(samples, SampleRow)
        if (image := inside.get(sample.image_id)) is not None
        for item in sample.objects
    ]
    if not objects:
        raise MedstressError(
            f"{samples}: the {spec.split} split has no object to score. Check the card's split and limit."
        )
    return objects


def _warp_of(image: dict[str, Any]) -> WarpRow | None:
    warp = image["warp"]
    return None if warp is None else WarpRow(warp["kind"], tuple(warp["parameters"]))


def _truth_in(clean: Truth, warp: WarpRow | None, valid: Mask | None) -> Truth:
    """The truth as far as the perturbed image shows it."""
    if warp is None and valid is None:
        return clean
    moved = clean.mask if warp is None else warp_mask(clean.mask, warp)
    return truth_of(moved if valid is None else moved & valid)


def _scale_of(warp: WarpRow | None) -> float:
    """How wide a pixel of the clean image is in the perturbed one: the root of the map's change of area."""
    if warp is None:
        return 1.0
    # Rounded, so that a rotation has exactly 1 and a distance equal to the tolerance still counts.
    return round(scale_of(warp), 9)


def _answer_of(row: dict[str, Any], item: _Object) -> Mask:
    if row["mask"] is not None:
        return decode_mask(row["mask"], item.height, item.width)
    if row["status"] == "empty":
        return np.zeros((item.height, item.width), bool)
    raise MedstressError(
        f"{item.sample_id}/{item.object_id}: an answer with status ok has no mask. "
        "Delete the predictions of this run and run the same command again."
    )


def _outcome(
    spec: ScoreSpec, item: _Object, clean: Truth, image: dict[str, Any], answer: dict[str, Any]
) -> tuple[str, dict[Any, float]]:
    """Status and values of one object in one cell; no values where there is nothing to compare."""
    if answer["status"] not in _ANSWERED:
        return answer["status"], {}
    valid = None if image["valid"] is None else decode_mask(image["valid"], item.height, item.width)
    warp = _warp_of(image)
    truth = _truth_in(clean, warp, valid)
    if truth.outline is None:
        return "object_lost", {}
    prediction = _answer_of(answer, item)
    if valid is not None:
        prediction &= valid
    values = compare(truth, prediction, spec.scoring.metrics, spec.scoring.nsd_tolerance, _scale_of(warp))
    if image["status"] == "unreachable":
        return "unreachable", dict(values)
    return ("ok" if prediction.any() else "empty"), dict(values)


def _scores_of(
    spec: ScoreSpec, objects: Sequence[_Object], cells: Sequence[_Cell], perturbed: pa.Table, answers: pa.Table
) -> Iterator[ScoreRow]:
    images = perturbed.select(["valid", "warp", "status"])
    given = answers.select(["mask", "status"])
    unperturbed = {"valid": None, "warp": None, "status": "in_band"}
    current, clean = -1, None
    for cell in cells:
        item = objects[cell.object]
        if clean is None or cell.object != current:
            current, clean = cell.object, truth_of(decode_mask(item.mask, item.height, item.width))
        image = unperturbed if cell.perturbed == UNMOVED else _row(images, cell.perturbed)
        status, values = _outcome(spec, item, clean, image, _row(given, cell.answer))
        for metric in spec.scoring.metrics:
            yield ScoreRow(
                task="segmentation",
                run=spec.run,
                seed=spec.seed,
                dataset=spec.dataset,
                subset="iid",
                sample_id=item.sample_id,
                group_id=item.group_id,
                object_id=item.object_id,
                perturbation=cell.perturbation,
                level=cell.level,
                metric=metric,
                value=values.get(metric),
                status=status,
            )


def _row(table: pa.Table, index: int) -> dict[str, Any]:
    return {name: table[name][index].as_py() for name in table.column_names}


def score_predictions(
    spec: ScoreSpec,
    images: Path,
    samples: Path,
    perturbed: Sequence[Path],
    predictions: Path,
    output: Path,
    attacked: Sequence[Path] = (),
) -> None:
    """Write one score an object, cell and metric of a run on one data set.

    `attacked` are the run's answers to its own adversarial images. They and the answers to moved prompts have no
    perturbed record: neither moves the truth.

    Status of a score: ok; empty (the prediction has no valid pixel; scored like any other); unreachable (the image is
    not in its SSIM band: the value is stored, means leave it out); object_lost (carried over, or no valid pixel of the
    truth is left; no value); any other status of the answer is carried over without a value.
    Raises MedstressError where answers or perturbed images are missing, doubled or foreign.
    """
    objects = _objects_of(spec, images, samples)
    columns = ["image_id", "perturbation", "level", "valid", "warp", "status"]
    images_table = read_tables(perturbed, PerturbedRow, columns)
    answers = read_tables([predictions, *attacked], PredictionRow)
    names = [item[:3] for item in objects]
    frame = cells_of(spec, names, images_table, answers, predictions)
    cells = [_Cell(*row) for row in frame.itertuples(index=False, name=None)]
    write_rows(output, ScoreRow, _scores_of(spec, objects, cells, images_table, answers))
