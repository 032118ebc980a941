"""From a card to what there is on disk, whatever the kind of source."""

from pathlib import Path

from medstress.cards.segmentation import SegmentationCard, SheetSource, StackSource
from medstress.datasets.candidate import Found
from medstress.datasets.folder import find_in_folder
from medstress.datasets.groups import ask_for_groups
from medstress.datasets.sheet import find_in_sheet
from medstress.datasets.stack import find_in_stack
from medstress.errors import MedstressError


def find(card: SegmentationCard, root: Path) -> Found:
    """Every image of a data set with its masks, none of them read yet; paths in the card are relative to `root`."""
    source = card.source
    if isinstance(source, SheetSource):
        return find_in_sheet(source, card.labels, card.split, root)
    if isinstance(source, StackSource):
        return find_in_stack(source, root)
    try:
        return find_in_folder(source, card.labels, root)
    except MedstressError as error:
        asked = [] if source.group_pattern else ask_for_groups(source, card.split)
        raise MedstressError("\n".join([str(error), *asked])) from None
