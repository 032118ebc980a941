"""Where each adapter lives. A module is imported when a run needs it, one model family at a time."""

from importlib import import_module
from pathlib import Path

from medstress.cards.model import ModelCard, Sam
from medstress.models.segmentation.protocol import Segmenter

SEGMENTERS: dict[str, str] = {
    "box_fill": "medstress.models.segmentation.box_fill",
    "grabcut": "medstress.models.segmentation.grabcut",
    "sam": "medstress.models.segmentation.sam",
}


def weight_files(card: ModelCard) -> list[Path]:
    """The files on disk that a model's answers depend on; none for training-free models."""
    return (
        sorted(path for path in Path(card.weights).glob("*") if path.suffix in (".json", ".safetensors"))
        if isinstance(card, Sam)
        else []
    )


def load_segmenter(card: ModelCard) -> Segmenter:
    """The segmenter behind a model card."""
    segmenter: Segmenter = import_module(SEGMENTERS[card.adapter]).load(card)
    return segmenter
