"""Cards of data sets, whatever is asked about the images."""

from typing import Annotated, Any

from pydantic import Discriminator, Tag

from medstress.cards.classification import ClassificationCard
from medstress.cards.segmentation import SegmentationCard


def _task(card: Any) -> str:
    """The task of a card, read or not yet; segmentation is what cards say that say nothing."""
    task = card.get("task", "segmentation") if isinstance(card, dict) else card.task
    return task if task in ("segmentation", "classification") else "segmentation"


DatasetCard = Annotated[
    Annotated[SegmentationCard, Tag("segmentation")] | Annotated[ClassificationCard, Tag("classification")],
    Discriminator(_task),
]
