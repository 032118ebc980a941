"""Scores every answer of one segmentation run on one data set.

Only pixels that still show the scene count: truth and prediction are both cut by the perturbed image's `valid`. Where a
mask reaches over that edge, the cut is part of both outlines. Distances are in pixels of the clean image.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from medstress.errors import MedstressError
from medstress.perturb.warp import scale_of, warp_mask
from medstress.pixels import Mask, decode_mask
from medstress.records import (
    CLEAN,
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
from medstress.score.masks import Truth, compare, truth_of
from medstress.specs import ScoreSpec

_ANSWERED = ("ok", "empty")
_KEY = ["sample_id", "object_id", "perturbation", "level"]
_EXAMPLES = 5
# Instead of the row number of a perturbed image, where the truth is that of the clean one.
_UNMOVED = -1


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


def _examples(frame: pd.DataFrame, columns: list[str]) -> str:
    shown = ["/".join(map(str, row)) for row in frame[columns].head(_EXAMPLES).itertuples(index=False)]
    return ", ".join(shown) + (f" and {len(frame) - _EXAMPLES} more" if len(frame) > _EXAMPLES else "")


def _perturbed_of(names: pd.DataFrame, table: pa.Table, spec: ScoreSpec) -> pd.DataFrame:
    """Each object's perturbed images. Raises MedstressError where a perturbation lacks an image that another has."""
    key = ["image_id", "perturbation", "level"]
    frame = table.select(key).to_pandas()
    frame["perturbed"] = range(len(frame))
    expected = names.merge(frame[["perturbation", "level"]].drop_duplicates(), how="cross")
    found = expected.merge(frame, on=key, how="left")
    missing = found[found["perturbed"].isna()].drop_duplicates(key)
    if len(missing):
        raise MedstressError(
            f"{len(missing)} perturbed images of {spec.dataset} are missing: {_examples(missing, key)}. "
            "Delete the perturbed records of this data set and run the same command again."
        )
    return found


def _unmoved_of(names: pd.DataFrame, answers: pa.Table, spec: ScoreSpec) -> pd.DataFrame:
    """Each object in the cells without a perturbed record, at the levels that there are answers for.

    Raises MedstressError where one of the names has no answer at all.
    """
    cells = answers.select(["perturbation", "level"]).to_pandas().drop_duplicates()
    own = cells[cells["perturbation"].isin(spec.unmoved)]
    if lacking := [name for name in spec.unmoved if name not in set(own["perturbation"])]:
        raise MedstressError(
            f"{spec.run} on {spec.dataset}: no answers for {', '.join(lacking)}. "
            "Delete the answers of this run and run the same command again."
        )
    return names.merge(own, how="cross").assign(perturbed=_UNMOVED)


def _cells_of(objects: Sequence[_Object], cells: pd.DataFrame, answers: pa.Table, where: Path) -> list[_Cell]:
    """Every object in every cell: by object in the samples' order, clean first, then by perturbation and level.

    Raises MedstressError where an answer is missing, doubled, or belongs to no cell.
    """
    given = answers.select(_KEY).to_pandas()
    given["answer"] = range(len(given))
    expected = pd.concat([_names(objects).assign(perturbation=CLEAN, level=0, perturbed=_UNMOVED), cells])
    merged = expected.merge(given, on=_KEY, how="outer", indicator="found")
    problems = {
        "answers are missing": merged[merged["found"] == "left_only"],
        "answers belong to no object or cell of the study": merged[merged["found"] == "right_only"],
        "answers are there more than once": merged[merged.duplicated(_KEY)],
    }
    if texts := [f"{len(rows)} {text}: {_examples(rows, _KEY)}" for text, rows in problems.items() if len(rows)]:
        raise MedstressError(f"{where}: {'; '.join(texts)}. Delete this record and run the same command again.")
    whole = merged.astype({"object": int, "perturbed": int, "answer": int, "level": int})
    whole["place"] = np.where(whole["perturbation"] == CLEAN, 0, 1)
    ordered = whole.sort_values(["object", "place", "perturbation", "level"])
    return [_Cell(*row) for row in ordered[list(_Cell._fields)].itertuples(index=False, name=None)]


def _names(objects: Sequence[_Object]) -> pd.DataFrame:
    frame = pd.DataFrame([item[:3] for item in objects], columns=["sample_id", "object_id", "image_id"])
    return frame.assign(object=range(len(frame)))


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
        image = unperturbed if cell.perturbed == _UNMOVED else _row(images, cell.perturbed)
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
    names = _names(objects)
    others = pd.concat([_perturbed_of(names, images_table, spec), _unmoved_of(names, answers, spec)])
    cells = _cells_of(objects, others, answers, predictions)
    write_rows(output, ScoreRow, _scores_of(spec, objects, cells, images_table, answers))
