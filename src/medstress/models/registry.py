"""Where each adapter lives. A module is imported when a run needs it, one model family at a time."""

from importlib import import_module

from medstress.config import ModelCard
from medstress.models.segmentation.protocol import Segmenter

SEGMENTERS: dict[str, str] = {
    "box_fill": "medstress.models.segmentation.box_fill",
    "grabcut": "medstress.models.segmentation.grabcut",
}


def load_segmenter(card: ModelCard) -> Segmenter:
    """The segmenter behind a model card."""
    segmenter: Segmenter = import_module(SEGMENTERS[card.adapter]).load(card)
    return segmenter
