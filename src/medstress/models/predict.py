"""Runs one model over one data set: the clean images and every perturbation, with a journal for restart."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from medstress.errors import MedstressError
from medstress.journal import Journal, content_key
from medstress.models.segmentation.protocol import Segmenter
from medstress.perturb.warp import remaining_share, warp_box, warp_mask
from medstress.pixels import Box, Image, Mask, decode_mask, decode_png, encode_mask
from medstress.records import (
    CLEAN,
    ImageRow,
    ObjectRow,
    PerturbedRow,
    PredictionRow,
    SampleRow,
    WarpRow,
    read_groups,
    read_rows,
    record_writer,
)
from medstress.specs import PredictSpec

# An object of which less than this share is left in the frame cannot be asked for.
_SMALLEST_SHARE = 0.5
# Keys of a model's card that do not touch its answers.
_NOT_ASKED = {"name", "title", "baseline", "gpu"}


@dataclass(frozen=True)
class _View:
    """One image as the model sees it: clean, or in one cell of one perturbation."""

    image_id: str
    perturbation: str
    level: int
    png: bytes
    warp: WarpRow | None


@dataclass(frozen=True)
class _Prompt:
    """One object to be asked for; `box` is None where the object has left the frame."""

    sample_id: str
    object_id: str
    box: Box | None


@dataclass(frozen=True)
class _Unit:
    """What is asked and remembered together: views and, for each, its prompts."""

    views: list[_View]
    prompts: list[list[_Prompt]]


@dataclass
class Pace:
    """How many images the model was asked about, and for how many seconds; what the journal knew is not in it."""

    images: int = 0
    seconds: float = 0.0

    @property
    def images_per_second(self) -> float | None:
        """None where everything came from the journal."""
        return round(self.images / self.seconds, 2) if self.seconds else None


@dataclass(frozen=True)
class _Subject:
    """An image's size and the objects that are asked for in it."""

    height: int
    width: int
    objects: list[tuple[str, ObjectRow]]


def prompt_box(item: ObjectRow, warp: WarpRow | None, height: int, width: int, *, follow: bool) -> Box | None:
    """The prompt box of an object in a perturbed image of this size; None where less than half of it is in the frame.

    With `follow` the box moves with the object; otherwise it stays where it was in the clean image.
    """
    if warp is None:
        return item.box
    mask = decode_mask(item.mask, height, width)
    moved = warp_mask(mask, warp)
    if remaining_share(mask, warp) < _SMALLEST_SHARE or not moved.any():
        return None
    return warp_box(item.box, mask, moved, warp) if follow else item.box


def _subjects(images: Path, samples: Path, split: str) -> dict[str, _Subject]:
    found = {
        row.image_id: _Subject(row.height, row.width, [])
        for row in read_rows(images, ImageRow, pixels=False)
        if row.split == split
    }
    for sample in read_rows(samples, SampleRow):
        if sample.image_id in found:
            found[sample.image_id].objects.extend((sample.sample_id, item) for item in sample.objects)
    return found


def _views(images: Path, perturbed: Sequence[Path], split: str) -> Iterator[list[_View]]:
    """The views of each row group: of the clean images, then of each perturbed record."""
    for clean in read_groups(images, ImageRow):
        if views := [_View(row.image_id, CLEAN, 0, row.png, None) for row in clean if row.split == split]:
            yield views
    for path in perturbed:
        for group in read_groups(path, PerturbedRow):
            yield [_View(row.image_id, row.perturbation, row.level, row.png, row.warp) for row in group]


def _prompts(view: _View, subject: _Subject, *, follow: bool) -> list[_Prompt]:
    return [
        _Prompt(sample_id, item.object_id, prompt_box(item, view.warp, subject.height, subject.width, follow=follow))
        for sample_id, item in subject.objects
    ]


def _unit_key(code: str, weights: str, spec: PredictSpec, unit: _Unit) -> str:
    """What determines the answers of a unit: the code, the model, its weights, the pixels and the prompts.

    What only names or schedules a model is left out: a new title must not cost a prediction.
    """
    model = spec.model_dump_json(
        include={"model": True, "strategy": True}, exclude={"model": _NOT_ASKED, "strategy": {"name", "title"}}
    )
    parts: list[str | bytes] = [code, weights, model]
    for view, prompts in zip(unit.views, unit.prompts, strict=True):
        parts += [view.image_id, view.perturbation, str(view.level), view.png, repr(prompts)]
    return content_key(*parts)


def _ask(segmenter: Segmenter, spec: PredictSpec, unit: _Unit, pace: Pace) -> list[PredictionRow]:
    """The answers of one unit, in the order of views and objects."""
    images = [
        np.asarray(
            decode_png(view.png, where=f"{spec.dataset}, {view.perturbation} level {view.level}, {view.image_id}"),
            dtype=np.uint8,
        )
        for view in unit.views
    ]
    boxes = [[prompt.box for prompt in prompts if prompt.box] for prompts in unit.prompts]
    started = time.monotonic()
    answers = segmenter.predict(images, boxes)
    pace.images += len(images)
    pace.seconds += time.monotonic() - started
    _check_answers(spec.run, images, boxes, answers)
    rows = []
    for view, prompts, masks in zip(unit.views, unit.prompts, answers, strict=True):
        remaining = iter(masks)
        for prompt in prompts:
            mask = next(remaining) if prompt.box else None
            rows.append(_answer(view, prompt, mask))
    return rows


def _check_answers(
    run: str, images: Sequence[Image], boxes: Sequence[Sequence[Box]], answers: Sequence[Sequence[Mask]]
) -> None:
    """Raise MedstressError where a model broke its protocol: its answers would be scored as something else."""
    said = f"the model of the run {run} broke its protocol:"
    if len(answers) != len(images):
        raise MedstressError(f"{said} {len(answers)} lists of masks for {len(images)} images. Correct its adapter.")
    for image, asked, masks in zip(images, boxes, answers, strict=True):
        if len(masks) != len(asked):
            raise MedstressError(f"{said} {len(masks)} masks for {len(asked)} boxes. Correct its adapter.")
        for mask in masks:
            if mask.dtype != np.bool_ or mask.shape != image.shape[:2]:
                raise MedstressError(
                    f"{said} a mask is {mask.dtype} {mask.shape}, expected bool {image.shape[:2]}. Correct its adapter."
                )


def _answer(view: _View, prompt: _Prompt, mask: Mask | None) -> PredictionRow:
    status = "object_lost" if mask is None else "ok" if mask.any() else "empty"
    counts = None if mask is None else encode_mask(mask)
    return PredictionRow(prompt.sample_id, prompt.object_id, view.perturbation, view.level, counts, status)


def predict_dataset(
    segmenter: Segmenter,
    spec: PredictSpec,
    images: Path,
    samples: Path,
    perturbed: Sequence[Path],
    output: Path,
    *,
    journal: Journal,
    code: str,
    weights: str = "",
) -> Pace:
    """Write the predictions of one run on one data set: clean first, then the perturbations in the order given.

    A unit of the journal is one row group of one record, so units never cross a perturbation. `code` is the
    fingerprint of the code behind the answers, `weights` a hash of the files that the model was loaded from. Returns
    the model's pace. Raises MedstressError where the split holds no sample, or the model's answers are not what the
    protocol says.
    """
    subjects = _subjects(images, samples, spec.split)
    pace = Pace()
    answered = 0
    with record_writer(output, PredictionRow) as writer:
        for views in _views(images, perturbed, spec.split):
            follow = spec.prompt == "moved"
            unit = _Unit(views, [_prompts(view, subjects[view.image_id], follow=follow) for view in views])
            rows = journal.unit(_unit_key(code, weights, spec, unit), partial(_ask, segmenter, spec, unit, pace))
            writer.write(rows)
            answered += len(rows)
        if not answered:
            raise MedstressError(f"{samples}: no sample of the split {spec.split!r} has an object to ask for")
    return pace
