"""Runs one model over one data set: the clean images and every perturbation, with a journal for restart."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medstress.config import PredictSpec
from medstress.errors import MedstressError
from medstress.journal import Journal, content_key
from medstress.models.segmentation.protocol import Segmenter
from medstress.perturb.warp import remaining_share, warp_box, warp_mask
from medstress.pixels import Box, Image, Mask, decode_mask, decode_png, encode_mask
from medstress.records import (
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

CLEAN = "clean"
# An object of which less than this share is left in the frame cannot be asked for.
_SMALLEST_SHARE = 0.5


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
    return warp_box(item.box, mask, moved) if follow else item.box


def _clean_views(images: Path, split: str) -> Iterator[list[_View]]:
    for group in read_groups(images, ImageRow):
        yield [_View(row.image_id, CLEAN, 0, row.png, None) for row in group if row.split == split]


def _perturbed_views(path: Path) -> Iterator[list[_View]]:
    for group in read_groups(path, PerturbedRow):
        yield [_View(row.image_id, row.perturbation, row.level, row.png, row.warp) for row in group]


def _unit_key(code: str, spec: PredictSpec, views: Sequence[_View], samples: dict[str, list[SampleRow]]) -> str:
    """What determines the answers of a unit: the code, the model's card, the pixels and the prompts."""
    parts: list[str | bytes] = [code, spec.model_dump_json(exclude={"run", "split"})]
    for view in views:
        parts += [view.image_id, view.perturbation, str(view.level), view.png, repr(view.warp)]
        parts += [repr(sample) for sample in samples.get(view.image_id, [])]
    return content_key(*parts)


def _ask(
    segmenter: Segmenter, spec: PredictSpec, views: Sequence[_View], samples: dict[str, list[SampleRow]]
) -> list[PredictionRow]:
    """The answers of one unit, in the order of views and objects."""
    images: list[Image] = []
    prompts: list[list[_Prompt]] = []
    for view in views:
        where = f"{spec.dataset}, {view.perturbation} level {view.level}, image {view.image_id}"
        image = decode_png(view.png, where=where)
        height, width = image.shape[:2]
        asked = [
            _Prompt(
                sample.sample_id,
                item.object_id,
                prompt_box(item, view.warp, height, width, follow=spec.prompt == "moved"),
            )
            for sample in samples.get(view.image_id, [])
            for item in sample.objects
        ]
        images.append(np.asarray(image, dtype=np.uint8))
        prompts.append(asked)
    answers = segmenter.predict(images, [[prompt.box for prompt in asked if prompt.box] for asked in prompts])
    rows = []
    for view, asked, masks in zip(views, prompts, answers, strict=True):
        remaining = iter(masks)
        for prompt in asked:
            mask = next(remaining) if prompt.box else None
            rows.append(_answer(view, prompt, mask))
    return rows


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
) -> None:
    """Write the predictions of one run on one data set: clean first, then the perturbations in the order given.

    A unit of the journal is one row group of one record, so units never cross a perturbation. `code` is the
    fingerprint of the code behind the answers. Raises MedstressError where the split holds no sample.
    """
    by_image: dict[str, list[SampleRow]] = {}
    for sample in read_rows(samples, SampleRow):
        by_image.setdefault(sample.image_id, []).append(sample)
    answered = 0
    with record_writer(output, PredictionRow) as writer:
        for views in _all_views(spec, images, perturbed):
            key = _unit_key(code, spec, views, by_image)
            rows = journal.unit(key, lambda views=views: _ask(segmenter, spec, views, by_image))  # type: ignore[misc]
            writer.write(rows)
            answered += len(rows)
        if not answered:
            raise MedstressError(f"{samples}: no sample of the split {spec.split!r} has an object to ask for")


def _all_views(spec: PredictSpec, images: Path, perturbed: Sequence[Path]) -> Iterator[list[_View]]:
    yield from (views for views in _clean_views(images, spec.split) if views)
    for path in perturbed:
        yield from _perturbed_views(path)
