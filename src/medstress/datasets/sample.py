"""One candidate read, checked and brought to size."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from medstress.cards.images import ImageSet, Resize
from medstress.cards.segmentation import SegmentationCard
from medstress.datasets.boxes import checked_boxes
from medstress.datasets.candidate import BadSampleError, Candidate
from medstress.datasets.formats import read_picture
from medstress.datasets.masks import MaskObject, read_masks
from medstress.datasets.picture import Picture, RawImage, to_display, to_raw
from medstress.datasets.resize import Frame, frame_of, resize_box, resize_image, resize_mask
from medstress.pixels import Box, Image

MIN_SIDE = 7
"""The window of SSIM: a smaller image has none."""


@dataclass(frozen=True)
class Sample:
    """A candidate after reading.

    image: uint8 at its final size. objects: those that are large enough, at that size. boxes: those that a sheet or a
    box file gives, by object. marked: whether the mask marks anything. too_small: objects left out for their size.
    thresholded: JPEG masks. notes: what a person should know and that does no harm.
    """

    candidate: Candidate
    image: Image
    raw: RawImage | None
    objects: tuple[MaskObject, ...]
    boxes: Mapping[str, Box]
    marked: bool
    too_small: int
    thresholded: tuple[Path, ...]
    notes: tuple[str, ...]


def read_sample(candidate: Candidate, card: SegmentationCard) -> Sample:
    """Read the files of a candidate. Raises BadSampleError with the file and the reason."""
    picture = read_picture(candidate.image, candidate.layer)
    image, frame = shown(picture, candidate.where, card)
    content = read_masks(candidate.masks, candidate.layer, card.labels, frame.stored, candidate.channels)
    boxes, notes = checked_boxes(candidate, content, frame.stored)
    resized = [replace(item, mask=resize_mask(item.mask, frame)) for item in content.objects]
    objects = tuple(item for item in resized if item.mask.sum() >= card.labels.min_pixels)
    return Sample(
        candidate=candidate,
        image=resize_image(image, frame, card.background),
        raw=_raw(candidate, picture, card, frame) if card.keep_raw else None,
        objects=objects,
        boxes={object_id: resize_box(box, frame) for object_id, box in boxes.items()},
        marked=bool(content.objects),
        too_small=len(resized) - len(objects),
        thresholded=content.thresholded,
        notes=notes,
    )


def shown(picture: Picture, where: str, card: ImageSet) -> tuple[Image, Frame]:
    """The picture in 8 bits, as large as it is stored, and what becomes of its size. Raises BadSampleError."""
    values = picture.values
    height, width = values.shape[:2]
    frame = frame_of(height, width, card.size)
    _check_size(where, frame, card.size)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise BadSampleError(where, "holds NaN or infinite values.")
    image = to_display(picture, card.window)
    if image is None:
        raise BadSampleError(
            where,
            f"holds {values.dtype} intensities from {values.min():g} to {values.max():g}; what is black and white must "
            "be said. Give `window: {low: , high: }` in the card.",
        )
    return image, frame


def _check_size(where: str, frame: Frame, size: Resize) -> None:
    height, width = frame.stored
    if min(frame.stored) < MIN_SIDE:
        raise BadSampleError(where, f"is {width} x {height} pixels; both sides need {MIN_SIDE} or more.")
    if min(frame.canvas) < MIN_SIDE:
        below, across = frame.canvas
        raise BadSampleError(
            where,
            f"is {width} x {height} pixels and becomes {across} x {below} with `size.mode: {size.mode}` and "
            f"`size.side: {size.side}`; both sides need {MIN_SIDE} or more. Give a larger `size.side`, or use pad.",
        )


def _raw(candidate: Candidate, picture: Picture, card: SegmentationCard, frame: Frame) -> RawImage | None:
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
