"""grabcut: colour models and graph cuts inside the prompt, with no training.

Rother, Kolmogorov, Blake, "GrabCut: interactive foreground extraction using iterated graph cuts", SIGGRAPH 2004, as
OpenCV implements it. Initialised by a mask instead of the rectangle: on grey medical images the rectangle's first
foreground model often collapses and returns nothing.
"""

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from medstress.cards.segmenter import GrabCut
from medstress.models.segmentation.protocol import Segmenter
from medstress.pixels import Box, Image, Mask


class GrabCutSegmenter:
    """GrabCut on a crop around each box."""

    def __init__(self, card: GrabCut) -> None:
        self._card = card
        cv2.setNumThreads(1)

    def predict(self, images: Sequence[Image], boxes: Sequence[Sequence[Box]]) -> list[list[Mask]]:
        """See :class:`medstress.models.segmentation.protocol.Segmenter`."""
        return [[self._cut(image, box) for box in group] for image, group in zip(images, boxes, strict=True)]

    def _cut(self, image: Image, box: Box) -> Mask:
        """The mask of one box; pixels outside the grown box are never part of it."""
        height, width = image.shape[:2]
        left, top, right, bottom = _grown(box, self._card.margin + self._card.context, height, width)
        crop = image[top:bottom, left:right]
        scale = min(1.0, self._card.side / max(crop.shape[:2]))
        size = max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale))
        small = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
        colour = small if small.ndim == 3 else cv2.cvtColor(small, cv2.COLOR_GRAY2BGR)

        trimap = np.full(crop.shape[:2], cv2.GC_BGD, np.uint8)
        for share, value in ((self._card.margin, cv2.GC_PR_FGD), ((self._card.core - 1) / 2, cv2.GC_FGD)):
            x0, y0, x1, y1 = _grown(box, share, height, width)
            trimap[y0 - top : y1 - top, x0 - left : x1 - left] = value
        trimap = np.asarray(cv2.resize(trimap, size, interpolation=cv2.INTER_NEAREST_EXACT), dtype=np.uint8)
        if not (trimap == cv2.GC_BGD).any():
            # The box is the whole image: there is nothing to learn the background from.
            labels: np.ndarray[Any, np.dtype[Any]] = trimap
        else:
            # k-means inside GrabCut draws from OpenCV's global generator.
            cv2.setRNGSeed(0)
            no_rectangle = (0, 0, 1, 1)
            background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
            answer = cv2.grabCut(
                colour, trimap, no_rectangle, background, foreground, self._card.iterations, cv2.GC_INIT_WITH_MASK
            )
            labels = np.asarray(answer[0])
        found = ((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)).astype(np.uint8) * 255
        back = cv2.resize(found, (crop.shape[1], crop.shape[0]), interpolation=cv2.INTER_LINEAR)
        mask = np.zeros((height, width), dtype=bool)
        mask[top:bottom, left:right] = np.asarray(back) > 127
        return mask


def _grown(box: Box, share: float, height: int, width: int) -> tuple[int, int, int, int]:
    """The box grown on every side by a share of its sides (shrunk where negative), whole pixels, inside the image."""
    x0, y0, x1, y1 = box
    dx, dy = share * (x1 - x0), share * (y1 - y0)
    left, top = max(math.floor(x0 - dx), 0), max(math.floor(y0 - dy), 0)
    return left, top, min(max(math.ceil(x1 + dx), left + 1), width), min(max(math.ceil(y1 + dy), top + 1), height)


def load(card: GrabCut) -> Segmenter:
    """The segmenter of a card."""
    return GrabCutSegmenter(card)
