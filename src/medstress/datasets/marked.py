"""What a grounding question is about, as an object of the image that is shown."""

import math

import numpy as np

from medstress.cards.generation import BoxNumbers
from medstress.cards.segmentation import Labels
from medstress.datasets.box_numbers import in_pixels
from medstress.datasets.candidate import BadSampleError
from medstress.datasets.masks import read_masks
from medstress.datasets.question import Question
from medstress.datasets.resize import Frame, resize_box, resize_mask
from medstress.pixels import Box, Mask, box_of, encode_mask
from medstress.records import ObjectRow


def object_of(question: Question, frame: Frame, boxes: BoxNumbers) -> ObjectRow:
    """The only object of a grounding question: its box at the final size, and its mask.

    The box is the given one, else that of the mask. Without a mask, the pixels that the box touches stand for one, so
    that geometric perturbations can move it. Raises BadSampleError.
    """
    stored = None if question.box is None else in_pixels(question.box, boxes.scale, frame.stored)
    if stored is not None:
        _check_inside(question, stored, frame, boxes)
    if question.mask is not None:
        mask = resize_mask(_mask(question, frame), frame)
        if not mask.any():
            raise BadSampleError(question.where, f"nothing is left of {question.mask} after resizing.")
        box = box_of(mask) if stored is None else resize_box(stored, frame)
        if not _touched(box, frame.canvas)[mask].any():
            raise BadSampleError(question.where, f"the box does not meet the mask {question.mask}.")
        return ObjectRow("1", question.label, box, encode_mask(mask))
    assert stored is not None, "checked when the question was"
    box = resize_box(stored, frame)
    return ObjectRow("1", question.label, box, encode_mask(_touched(box, frame.canvas)))


def _mask(question: Question, frame: Frame) -> Mask:
    assert question.mask is not None
    kind = "label_map" if question.mask_value else "binary"
    content = read_masks((question.mask,), None, Labels.model_validate({"kind": kind}), frame.stored)
    named = [item for item in content.objects if item.object_id == question.mask_value or not question.mask_value]
    if not named:
        what = f"no pixel has the value {question.mask_value}." if question.mask_value else "empty mask."
        raise BadSampleError(question.where, f"{question.mask}: {what}")
    return named[0].mask


def _check_inside(question: Question, box: Box, frame: Frame, boxes: BoxNumbers) -> None:
    height, width = frame.stored
    if box[2] <= width and box[3] <= height:
        return
    written = " ".join(f"{value:g}" for value in box)
    raise BadSampleError(
        question.where,
        f"the box {written} reaches outside its image of {width} x {height} pixels; check the card's `source.boxes` "
        f"(scale: {boxes.scale}, y_first: {str(boxes.y_first).lower()}).",
    )


def _touched(box: Box, shape: tuple[int, int]) -> Mask:
    mask = np.zeros(shape, dtype=bool)
    x0, y0, x1, y1 = box
    mask[math.floor(y0) : math.ceil(y1), math.floor(x0) : math.ceil(x1)] = True
    return mask
