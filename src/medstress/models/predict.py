"""Runs one model over one data set: the clean images and every perturbation, with a journal for restart."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from medstress.errors import MedstressError
from medstress.journal import Journal, content_key
from medstress.models.prompts import Prompt, Subject, cell_prompts, jittered_prompts
from medstress.models.segmentation.protocol import Segmenter
from medstress.pixels import Box, Image, Mask, encode_mask
from medstress.records import (
    CLEAN,
    ImageRow,
    PredictionRow,
    SampleRow,
    read_rows,
    record_writer,
)
from medstress.specs import PredictSpec
from medstress.views import Pace, View, ahead, decoded, read_views

# Keys of a model's card that do not touch its answers.
_NOT_ASKED = {"name", "title", "baseline", "gpu", "download"}
# Pixels of the masks that are held at a time. Images are not cut, so that each is encoded once.
_MASK_PIXELS = 2**28


@dataclass(frozen=True)
class _Unit:
    """What is asked and remembered together: views with their prompts, and what names them in the journal."""

    views: list[View]
    prompts: list[list[Prompt]]
    key: str
    images: list[Image] = field(default_factory=list)


def _subjects(images: Path, samples: Path, split: str) -> dict[str, Subject]:
    found = {
        row.image_id: Subject(row.height, row.width, [])
        for row in read_rows(images, ImageRow, pixels=False)
        if row.split == split
    }
    for sample in read_rows(samples, SampleRow):
        if sample.image_id in found:
            found[sample.image_id].objects.extend((sample.sample_id, item) for item in sample.objects)
    return found


def _prompts(spec: PredictSpec, view: View, subject: Subject) -> list[Prompt]:
    """What is asked about a view; a clean image is encoded once for its right boxes and those that are not quite so."""
    asked = cell_prompts(subject, view.perturbation, view.level, view.warp, follow=spec.prompt == "moved")
    clean = view.perturbation == CLEAN
    return asked + (jittered_prompts(subject, spec.dataset, spec.prompts, spec.levels) if clean else [])


def _unit_key(code: str, weights: str, spec: PredictSpec, views: list[View], prompts: list[list[Prompt]]) -> str:
    """What determines the answers of a unit: the code, the model, its weights, the pixels and the prompts.

    What only names or schedules a model is left out: a new title must not cost a prediction.
    """
    model = spec.model_dump_json(
        include={"model": True, "strategy": True}, exclude={"model": _NOT_ASKED, "strategy": {"name", "title"}}
    )
    parts: list[str | bytes] = [code, weights, model]
    for view, asked in zip(views, prompts, strict=True):
        parts += [view.image_id, view.perturbation, str(view.level), view.png, repr(asked)]
    return content_key(*parts)


def _threads(spec: PredictSpec) -> int:
    return getattr(spec.model, "threads", 1)


def _ask(segmenter: Segmenter, spec: PredictSpec, unit: _Unit, pace: Pace) -> list[PredictionRow]:
    """The answers of one unit, in the order of views and prompts."""
    # A unit that the journal had, but damaged, comes without images.
    images = unit.images or decoded(spec.dataset, unit.views, _threads(spec))
    rows: list[PredictionRow] = []
    for part in _parts(images, unit.prompts):
        pictures, prompts = images[part], unit.prompts[part]
        boxes = [[prompt.box for prompt in asked if prompt.box] for asked in prompts]
        started = time.monotonic()
        answers = segmenter.predict(pictures, boxes)
        pace.images += len(pictures)
        pace.seconds += time.monotonic() - started
        _check_answers(spec.run, pictures, boxes, answers)
        for asked, masks in zip(prompts, answers, strict=True):
            remaining = iter(masks)
            rows += [_answer(prompt, next(remaining) if prompt.box else None) for prompt in asked]
    return rows


def _parts(images: Sequence[Image], prompts: Sequence[Sequence[Prompt]]) -> Iterator[slice]:
    """Whole images whose masks fit memory together: an image of 1024 x 1024 pixels with 20 boxes has 20 MB of them."""
    start, held = 0, 0
    for index, (image, asked) in enumerate(zip(images, prompts, strict=True)):
        size = image.shape[0] * image.shape[1] * len(asked)
        if index > start and held + size > _MASK_PIXELS:
            yield slice(start, index)
            start, held = index, 0
        held += size
    yield slice(start, len(images))


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


def _answer(prompt: Prompt, mask: Mask | None) -> PredictionRow:
    status = "object_lost" if mask is None else "ok" if mask.any() else "empty"
    counts = None if mask is None else encode_mask(mask)
    return PredictionRow(prompt.sample_id, prompt.object_id, prompt.perturbation, prompt.level, counts, status)


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

    Prompts that are not quite right are asked along with the clean ones of an image, and follow them. A unit of the
    journal is one row group of one record, so units never cross a perturbation; the next one is read and decoded while
    the model is at work. `code` is the fingerprint of the code behind the answers, `weights` a hash of the files that
    the model was loaded from. Returns the model's pace. Raises MedstressError where the split holds no sample, or the
    model's answers are not what the protocol says.
    """
    subjects = _subjects(images, samples, spec.split)
    pace = Pace()
    answered = 0

    def units() -> Iterator[_Unit]:
        for views in read_views(images, perturbed, spec.split):
            prompts = [_prompts(spec, view, subjects[view.image_id]) for view in views]
            key = _unit_key(code, weights, spec, views, prompts)
            yield _Unit(views, prompts, key, [] if journal.has(key) else decoded(spec.dataset, views, _threads(spec)))

    with record_writer(output, PredictionRow) as writer:
        for unit in ahead(units()):
            rows = journal.unit(unit.key, partial(_ask, segmenter, spec, unit, pace))
            writer.write(rows)
            answered += len(rows)
        if not answered:
            raise MedstressError(f"{samples}: no sample of the split {spec.split!r} has an object to ask for")
    return pace
