"""The largest drops of a study: which they are, and what was shown and answered there."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from medstress.errors import MedstressError
from medstress.figures.blocks import Block, studied_runs
from medstress.figures.pictures import path_of
from medstress.models.prompts import prompt_box
from medstress.perturb.warp import warp_mask
from medstress.pixels import Box, Image, Mask, decode_mask, decode_png
from medstress.records import ImageRow, PerturbedRow, PredictionRow, SampleRow, read_groups, read_rows, read_tables
from medstress.runs import family_of

_FIGURE = "failure_gallery"


@dataclass(frozen=True)
class Failure:
    """One pair: a sample, or an object of it, in one cell of one run and seed, with both scores."""

    dataset: str
    run: str
    seed: int
    sample_id: str
    object_id: str
    perturbation: str
    level: int
    metric: str
    clean: float
    perturbed: float


@dataclass(frozen=True)
class Side:
    """What was shown, [H, W] or [H, W, 3], the object that was asked about as mask [H, W] and box, and the answer."""

    image: Image
    truth: Mask | None
    box: Box | None
    answer: Mapping[str, Any]


@dataclass(frozen=True)
class Shown:
    """A failure as it was asked: the sample, and the clean and the perturbed side."""

    failure: Failure
    sample: SampleRow
    clean: Side
    perturbed: Side


def largest_drops(block: Block, count: int) -> list[Failure]:
    """Up to `count` pairs by falling drop: no sample twice, and no type twice while others are left.

    Of equal drops the one at the lower level goes first, then by name. Baselines and gains are left out.
    """
    metric, runs = block.metric_on(block.spec.datasets), studied_runs(block.spec)
    parts = [block.pairs_on(dataset, metric) for dataset in block.spec.datasets]
    pairs = pd.concat(parts).astype(dict.fromkeys(("dataset", "run", "sample_id", "object_id"), str))
    pairs = pairs[pairs["run"].isin(runs) & (pairs["drop"] > 0)].astype({"perturbation": str})
    order = ["level", "perturbation", "dataset", "sample_id", "object_id", "run", "seed"]
    ordered = pairs.sort_values(["drop", *order], ascending=[False, *[True] * len(order)], kind="stable")
    chosen: list[Any] = []
    for new_types in (True, False):
        for row in _first_of_each(ordered, ["perturbation", "dataset", "sample_id"]):
            seen = {(one.dataset, one.sample_id) for one in chosen}
            again = row.perturbation in {one.perturbation for one in chosen}
            if len(chosen) < count and (row.dataset, row.sample_id) not in seen and not (new_types and again):
                chosen.append(row)
    chosen.sort(key=lambda row: (-row.drop, row.level, row.perturbation))
    return [
        Failure(
            row.dataset,
            row.run,
            int(row.seed),
            row.sample_id,
            row.object_id,
            row.perturbation,
            int(row.level),
            metric,
            float(row.clean),
            float(row.perturbed),
        )
        for row in chosen
    ]


def _first_of_each(ordered: pd.DataFrame, names: list[str]) -> list[Any]:
    return list(ordered.drop_duplicates(names).itertuples(index=False))


def shown_at(failure: Failure, sources: Mapping[str, Sequence[Path]]) -> Shown:
    """What was shown and answered; MedstressError where a record or a row of it is missing."""
    dataset = failure.dataset
    samples = path_of(_FIGURE, sources["samples"], dataset, "samples")
    sample = next((row for row in read_rows(samples, SampleRow) if row.sample_id == failure.sample_id), None)
    if sample is None:
        raise MedstressError(f"{samples}: {failure.sample_id}, which has scores, is not there. Score again.")
    images = path_of(_FIGURE, sources["images"], dataset, "images")
    image = next(_images(images, sample.image_id))
    perturbed = path_of(_FIGURE, sources["perturbed"], dataset, failure.perturbation)
    moved = next(_perturbed(perturbed, sample.image_id, failure.level))
    # A question about one object names none in its answer.
    asked = next((item for item in sample.objects if failure.object_id in ("", item.object_id)), None)
    size = image.height, image.width
    mask = None if asked is None else decode_mask(asked.mask, *size)
    warped = mask if mask is None or moved.warp is None else warp_mask(mask, moved.warp)
    boxes = [None if asked is None else prompt_box(asked, warp, *size, follow=True) for warp in (None, moved.warp)]
    answers = _answers(failure, sources["predictions"])
    clean = Side(decode_png(image.png, where=f"{images}, {sample.image_id}"), mask, boxes[0], answers[0])
    picture = decode_png(moved.png, where=f"{perturbed}, {sample.image_id}")
    return Shown(failure, sample, clean, Side(picture, warped, boxes[1], answers[failure.level]))


def _images(path: Path, image_id: str) -> Iterator[ImageRow]:
    yield from (row for group in read_groups(path, ImageRow) for row in group if row.image_id == image_id)
    raise MedstressError(f"{path}: the image {image_id} is not there. Prepare the data set again.")


def _perturbed(path: Path, image_id: str, level: int) -> Iterator[PerturbedRow]:
    for group in read_groups(path, PerturbedRow):
        yield from (row for row in group if (row.image_id, row.level) == (image_id, level))
    raise MedstressError(f"{path}: {image_id} at level {level} is not there. Delete this record and run again.")


def _answers(failure: Failure, paths: Sequence[Path]) -> dict[int, dict[str, Any]]:
    """The rows of PredictionRow at level 0 and at the failure's level."""
    path = next((one for one in sorted(paths) if _is_of(failure, one)), None)
    if path is None:
        raise MedstressError(
            f"figure {_FIGURE}: no predictions of {failure.run} on {failure.dataset}. Make them first."
        )
    # Only segmenters answer for each object; scores of classifiers name the class as theirs.
    own = (pc.field("sample_id") == failure.sample_id) & pc.field("object_id").isin([failure.object_id, ""])
    table = read_tables([path], PredictionRow).filter(own)
    rows = {
        int(row["level"]): row
        for row in table.to_pylist()
        if row["level"] == 0 or (row["perturbation"], row["level"]) == (failure.perturbation, failure.level)
    }
    if {0, failure.level} - set(rows):
        raise MedstressError(f"{path}: answers of {failure.sample_id}, which has scores, are missing. Predict again.")
    return rows


def _is_of(failure: Failure, path: Path) -> bool:
    run = path.parent.name
    seed = run.rsplit("~seed", 1)[1] if "~seed" in run else None
    return (family_of(run), path.stem) == (failure.run, failure.dataset) and seed in (None, str(failure.seed))


def mask_of(side: Side) -> Mask | None:
    """The answered mask, [H, W], if there is one."""
    answer = side.answer["mask"]
    return None if answer is None else decode_mask(answer, *np.shape(side.image)[:2])
