"""Cards of data sets, whatever is asked about the images."""

from typing import Annotated, Any, get_args

from pydantic import Discriminator, Tag

from medstress.cards.classification import ClassificationCard
from medstress.cards.generation import GenerationCard
from medstress.cards.segmentation import SegmentationCard
from medstress.names import Task


def _task(card: Any) -> str:
    """The task of a card, read or not yet; segmentation is what cards say that say nothing."""
    task = card.get("task", "segmentation") if isinstance(card, dict) else card.task
    return task if task in get_args(Task) else "segmentation"


DatasetCard = Annotated[
    Annotated[SegmentationCard, Tag("segmentation")]
    | Annotated[ClassificationCard, Tag("classification")]
    | Annotated[GenerationCard, Tag("vqa")]
    | Annotated[GenerationCard, Tag("captioning")]
    | Annotated[GenerationCard, Tag("grounding")],
    Discriminator(_task),
]
