"""What a promptable segmenter is."""

from collections.abc import Sequence
from typing import Protocol

from medstress.pixels import Box, Image, Mask


class Segmenter(Protocol):
    """Answers box prompts with masks. Everything else (resolution, padding, normalisation, batching) is its own."""

    def predict(self, images: Sequence[Image], boxes: Sequence[Sequence[Box]]) -> list[list[Mask]]:
        """One mask [H, W] for each box of each image.

        `images` are uint8 [H, W] or [H, W, 3] RGB as stored; boxes are x0, y0, x1, y1 in pixels, half-open, inside the
        image and not empty. The answer for a box depends on its image and itself alone.
        """
        ...
