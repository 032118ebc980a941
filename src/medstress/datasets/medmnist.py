"""MedMNIST's files: images and labels of all three splits as arrays of one .npz file."""

from pathlib import Path

from medstress.cards.classification import Classes, MedMnist
from medstress.datasets.array_labels import Pair, candidates_of, read_pairs
from medstress.datasets.candidate import Found, no_such
from medstress.datasets.splits import SPLITS
from medstress.errors import MedstressError


def find_in_medmnist(source: MedMnist, classes: Classes, root: Path) -> Found:
    """Every image of the file. Raises MedstressError with all that is wrong with its arrays."""
    path = root / source.file
    if not path.is_file():
        raise MedstressError(no_such("file", path, "source.file", root))
    pairs = {Pair(path, f"{split}_images", f"{split}_labels"): split for split in SPLITS}
    labels = read_pairs(list(pairs), len(classes.names), multi_label=classes.kind == "multi_label")
    found = [item for pair, split in pairs.items() for item in candidates_of(pair, split, labels[pair])]
    return Found(tuple(sorted(found, key=lambda item: item.image_id)), (), grouped=False)
