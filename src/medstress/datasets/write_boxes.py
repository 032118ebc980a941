"""The boxes of a data set's masks, as published benchmarks keep them."""

import json
from pathlib import Path

import numpy as np

from medstress.cards.segmentation import FolderSource, SegmentationCard
from medstress.datasets.boxes import inclusive
from medstress.datasets.candidate import BadSampleError
from medstress.datasets.find import find
from medstress.datasets.sample import read_sample
from medstress.errors import MedstressError
from medstress.pixels import box_of
from medstress.records import atomic_path


def write_boxes(card: SegmentationCard, root: Path, out: Path) -> int:
    """Write {mask file name: [x1, y1, x2, y2]}: one box over all that a file marks, pixels of the card's square.

    Gives the number of boxes. What :func:`medstress.datasets.boxes.read_boxes` makes of the file are the boxes that
    the data set has without it. Raises MedstressError where the card does not stretch images to a square, masks are
    not files of their own, two have the same name, or more of them are bad than the card tolerates.
    """
    if card.size.mode != "stretch":
        raise MedstressError(
            f"{card.name}: boxes in this layout need one square: `size: {{mode: stretch, side: 256}}`."
        )
    if isinstance(card.source, FolderSource):
        card = card.model_copy(update={"source": card.source.model_copy(update={"boxes": None})})
    found = find(card, root)
    boxes: dict[str, list[int]] = {}
    bad = list(found.rejects)
    for candidate in found.candidates:
        if candidate.layer is not None:
            raise MedstressError(f"{candidate.where}: boxes in this layout belong to mask files of single images.")
        try:
            sample = read_sample(candidate, card)
        except BadSampleError as error:
            bad.append(error.reject)
            continue
        for file, path in enumerate(candidate.masks):
            masks = [item.mask for item in sample.objects if item.file == file]
            if masks and path.name in boxes:
                raise MedstressError(f"{path}: another mask has the same name. In this layout names must differ.")
            if masks:
                boxes[path.name] = inclusive(box_of(np.logical_or.reduce(masks)))
    if len(bad) > card.tolerate_rejects:
        headline = f"{card.name}: {len(bad)} bad samples, {card.tolerate_rejects} tolerated."
        raise MedstressError("\n".join([headline, *(f"  {reject}" for reject in bad)]))
    with atomic_path(out) as temporary:
        temporary.write_text(json.dumps(dict(sorted(boxes.items())), indent=1) + "\n", encoding="utf-8")
    return len(boxes)
