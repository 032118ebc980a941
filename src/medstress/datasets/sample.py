"""One candidate read, checked and brought to size."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medstress.cards.dataset import DatasetCard, Resize
from medstress.datasets.candidate import BadSampleError, Candidate
from medstress.datasets.formats import read_picture
from medstress.datasets.masks import MaskContent, MaskObject, read_masks
from medstress.datasets.picture import Picture, RawImage, to_display, to_raw
from medstress.datasets.resize import Frame, frame_of, resize_box, resize_image, resize_mask
from medstress.pixels import Box, Image, box_of

MIN_SIDE = 7
"""The window of SSIM: a smaller image has none."""


@dataclass(frozen=True)
class Sample:
    """A candidate after reading.

    image: uint8 at its final size. objects: those that are large enough, at that size; `box` is the sheet's box for the
    only object. marked: whether the mask marks anything. too_small: objects left out for their size.
    thresholded: JPEG masks. notes: what a person should know and that does no harm.
    """

    candidate: Candidate
    image: Image
    raw: RawImage | None
    objects: tuple[MaskObject, ...]
    box: Box | None
    marked: bool
    too_small: int
    thresholded: tuple[Path, ...]
    notes: tuple[str, ...]


def read_sample(candidate: Candidate, card: DatasetCard) -> Sample:
    """Read the files of a candidate. Raises BadSampleError with the file and the reason."""
    picture = read_picture(candidate.image, candidate.layer)
    height, width = picture.values.shape[:2]
    frame = frame_of(height, width, card.size)
    _check_size(candidate, frame, card.size)
    if picture.values.dtype.kind == "f" and not np.isfinite(picture.values).all():
        raise BadSampleError(candidate.where, "holds NaN or infinite values.")
    image = to_display(picture, card.window)
    if image is None:
        values = picture.values
        raise BadSampleError(
            candidate.where,
            f"holds {values.dtype} intensities from {values.min():g} to {values.max():g}; what is black and white must "
            "be said. Give `window: {low: , high: }` in the card.",
        )
    content = read_masks(candidate.masks, candidate.layer, card.labels, (height, width))
    box, notes = _checked_box(candidate, content, (height, width))
    resized = [MaskObject(item.object_id, item.label, resize_mask(item.mask, frame)) for item in content.objects]
    objects = tuple(item for item in resized if item.mask.sum() >= card.labels.min_pixels)
    return Sample(
        candidate=candidate,
        image=resize_image(image, frame, card.background),
        raw=_raw(candidate, picture, card, frame) if card.keep_raw else None,
        objects=objects,
        box=None if box is None else resize_box(box, frame),
        marked=bool(content.objects),
        too_small=len(resized) - len(objects),
        thresholded=content.thresholded,
        notes=notes,
    )


def _check_size(candidate: Candidate, frame: Frame, size: Resize) -> None:
    height, width = frame.stored
    if min(frame.stored) < MIN_SIDE:
        raise BadSampleError(candidate.where, f"is {width} x {height} pixels; both sides need {MIN_SIDE} or more.")
    if min(frame.canvas) < MIN_SIDE:
        below, across = frame.canvas
        raise BadSampleError(
            candidate.where,
            f"is {width} x {height} pixels and becomes {across} x {below} with `size.mode: {size.mode}` and "
            f"`size.side: {size.side}`; both sides need {MIN_SIDE} or more. Give a larger `size.side`, or use pad.",
        )


def _checked_box(
    candidate: Candidate, content: MaskContent, shape: tuple[int, int]
) -> tuple[Box | None, tuple[str, ...]]:
    """The sheet's box inside the image. One that meets neither image nor mask is an error in the sheet."""
    if candidate.box is None or not content.objects:
        return None, ()
    x0, y0, x1, y1 = candidate.box
    written = f"box {x0:g} {y0:g} {x1:g} {y1:g}"
    if len(content.objects) != 1:
        raise BadSampleError(
            candidate.where, f"{written} belongs to one object, but the mask has {len(content.objects)}."
        )
    if not (x0 < x1 and y0 < y1):
        raise BadSampleError(candidate.where, f"{written} is empty; expected x0 y0 x1 y1 with x0 < x1 and y0 < y1.")
    height, width = shape
    inside = (max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height)))
    tight = box_of(content.objects[0].mask)
    if not (inside[0] < inside[2] and inside[1] < inside[3]):
        raise BadSampleError(candidate.where, f"{written} lies outside the image of {width} x {height} pixels.")
    if not (inside[0] < tight[2] and tight[0] < inside[2] and inside[1] < tight[3] and tight[1] < inside[3]):
        found = " ".join(f"{value:g}" for value in tight)
        raise BadSampleError(candidate.where, f"{written} does not meet the mask, whose box is {found}.")
    if inside != candidate.box:
        return inside, (f"{candidate.where}: {written} reaches outside the image and was cut to it.",)
    return inside, ()


def _raw(candidate: Candidate, picture: Picture, card: DatasetCard, frame: Frame) -> RawImage | None:
    """The sheet's raw file, else the image's own intensities; None where the file has 8 bits only."""
    source = candidate.raw
    if source is not None:
        values, where = read_picture(source.path).values, str(source.path)
        slope, intercept, unit = source.slope, source.intercept, source.unit
        if values.shape[:2] != frame.stored:
            raise BadSampleError(
                where, f"size mismatch: {values.shape[1]} x {values.shape[0]} pixels, unlike its image."
            )
    elif picture.values.dtype == np.uint8:
        return None
    else:
        values, where, slope, intercept = picture.values, candidate.where, 1.0, 0.0
        unit = picture.unit or (card.window.unit if card.window else None)
    if values.ndim != 2:
        raise BadSampleError(where, "is in colour; `keep_raw` needs one channel.")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise BadSampleError(where, "holds NaN or infinite values.")
    raw = to_raw(values, slope, intercept, unit)
    return RawImage(resize_image(raw.values, frame, 0), raw.slope, raw.intercept, raw.unit)
