"""box_fill: the prompt itself as the answer."""

import math
from collections.abc import Sequence

import numpy as np

from medstress.cards.segmenter import BoxFill
from medstress.models.segmentation.protocol import Segmenter
from medstress.pixels import Box, Image, Mask


class BoxFillSegmenter:
    """Every pixel that the box touches is the object."""

    def predict(self, images: Sequence[Image], boxes: Sequence[Sequence[Box]]) -> list[list[Mask]]:
        """See :class:`medstress.models.segmentation.protocol.Segmenter`."""
        return [[_filled(image, box) for box in group] for image, group in zip(images, boxes, strict=True)]


def _filled(image: Image, box: Box) -> Mask:
    x0, y0, x1, y1 = box
    mask = np.zeros(image.shape[:2], dtype=bool)
    mask[math.floor(y0) : math.ceil(y1), math.floor(x0) : math.ceil(x1)] = True
    return mask


def load(card: BoxFill) -> Segmenter:
    """The segmenter of a card."""
    return BoxFillSegmenter()
