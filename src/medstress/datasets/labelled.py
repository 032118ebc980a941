"""Images with labels: found in every kind of source, and read one after the other."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from medstress.arrays import read_npz
from medstress.cards.classification import (
    ClassFolders,
    ClassificationCard,
    CleanNpz,
    LabelSheet,
    MedImeta,
    MedMnist,
)
from medstress.datasets.candidate import BadSampleError, Candidate, Found, Reject
from medstress.datasets.class_folders import find_in_class_folders
from medstress.datasets.clean_npz import find_in_clean_npz
from medstress.datasets.formats import read_picture
from medstress.datasets.label_sheet import find_in_label_sheet
from medstress.datasets.medimeta import find_in_medimeta
from medstress.datasets.medmnist import find_in_medmnist
from medstress.datasets.picture import Picture, Values
from medstress.datasets.resize import resize_image
from medstress.datasets.sample import shown
from medstress.pixels import Image


def find_labelled(card: ClassificationCard, root: Path) -> Found:
    """Every image of a data set with its labels, none of them read yet; paths in the card are relative to `root`.

    Raises MedstressError with all that is wrong with the source.
    """
    found = _find(card, root)
    volumes = {item.image: item.layers for item in found.candidates if item.layers > 1}
    rejects = [
        Reject(str(path), f"is a volume of {layers} slices. Save one image a file.") for path, layers in volumes.items()
    ]
    kept = tuple(item for item in found.candidates if item.layers == 1)
    return Found(kept, (*found.rejects, *rejects), found.grouped)


def _find(card: ClassificationCard, root: Path) -> Found:
    match card.source:
        case LabelSheet() as source:
            return find_in_label_sheet(source, card, root)
        case ClassFolders() as source:
            return find_in_class_folders(source, card, root)
        case MedMnist() as source:
            return find_in_medmnist(source, card.classes, root)
        case MedImeta() as source:
            return find_in_medimeta(source, card, root)
        case CleanNpz() as source:
            return find_in_clean_npz(source, card.classes, root)


def read_labelled(candidates: Sequence[Candidate], card: ClassificationCard) -> Iterator[Image | BadSampleError]:
    """The image of each candidate at its final size, or why it cannot be used. Candidates are sorted by id.

    Images of one array are read in one pass over it, and what is left out is skipped.
    """
    for candidate, picture in _pictures(candidates):
        if isinstance(picture, BadSampleError):
            yield picture
            continue
        try:
            image, frame = shown(picture, candidate.where, card)
        except BadSampleError as error:
            yield error
        else:
            yield resize_image(image, frame, card.background)


def _pictures(candidates: Sequence[Candidate]) -> Iterator[tuple[Candidate, Picture | BadSampleError]]:
    for (path, array), run in groupby(candidates, key=lambda item: (item.image, item.array)):
        members = list(run)
        if array:
            entries = read_npz(path, array, [item.layer or 0 for item in members])
            for candidate, values in zip(members, entries, strict=True):
                yield candidate, Picture(plane(values))
            continue
        for candidate in members:
            try:
                yield candidate, read_picture(path)
            except BadSampleError as error:
                yield candidate, error


def plane(values: Values) -> Values:
    """An entry of an array of images, [H, W] or [H, W, C], without a channel axis of length 1."""
    return values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values
