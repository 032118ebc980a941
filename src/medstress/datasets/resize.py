"""How pictures, masks and boxes come to the size that the card asks for."""

from dataclasses import dataclass
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from medstress.cards.images import Resize
from medstress.pixels import Box, Mask

Pixels = TypeVar("Pixels", bound=npt.NDArray[Any])


@dataclass(frozen=True)
class Frame:
    """The size of the stored picture, of the same picture after resizing, and of the canvas it lies on, top left."""

    stored: tuple[int, int]
    content: tuple[int, int]
    canvas: tuple[int, int]


def frame_of(height: int, width: int, size: Resize) -> Frame:
    """What becomes of a picture of this height and width."""
    stored = (height, width)
    if size.side is None:
        return Frame(stored, stored, stored)
    if size.mode == "stretch":
        return Frame(stored, (size.side, size.side), (size.side, size.side))
    scale = size.side / max(stored)
    content = (max(1, round(height * scale)), max(1, round(width * scale)))
    return Frame(stored, content, (size.side, size.side) if size.mode == "pad" else content)


def resize_image(image: Pixels, frame: Frame, fill: int) -> Pixels:
    """The picture [H, W] or [H, W, 3] on its canvas: pixel areas averaged when it shrinks, bilinear when it grows."""
    shrinks = frame.content[0] * frame.content[1] < frame.stored[0] * frame.stored[1]
    return _onto_canvas(image, frame, cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR, fill)


def resize_mask(mask: Mask, frame: Frame) -> Mask:
    """The mask [H, W] on its canvas, each pixel the nearest of the stored ones."""
    return _onto_canvas(mask.view(np.uint8), frame, cv2.INTER_NEAREST_EXACT, 0).astype(bool)


def resize_box(box: Box, frame: Frame) -> Box:
    """The box after resizing, x and y scaled alike with the picture."""
    down, across = (new / old for new, old in zip(frame.content, frame.stored, strict=True))
    return box[0] * across, box[1] * down, box[2] * across, box[3] * down


def _onto_canvas(pixels: Pixels, frame: Frame, sampling: int, fill: int) -> Pixels:
    resized: Any = pixels
    if frame.content != frame.stored:
        resized = cv2.resize(pixels, frame.content[::-1], interpolation=sampling)
    below, beside = (full - part for full, part in zip(frame.canvas, frame.content, strict=True))
    if below or beside:
        resized = cv2.copyMakeBorder(resized, 0, below, 0, beside, cv2.BORDER_CONSTANT, value=(fill,) * 3)
    return resized  # type: ignore[no-any-return]
