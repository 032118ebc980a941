"""The layout of RobustMedCLIP: one .npz file of clean images for each split that there is."""

from pathlib import Path

from medstress.cards.classification import Classes, CleanNpz
from medstress.datasets.array_labels import Pair, candidates_of, read_pairs
from medstress.datasets.candidate import Found, no_such
from medstress.datasets.splits import SPLITS
from medstress.errors import MedstressError


def find_in_clean_npz(source: CleanNpz, classes: Classes, root: Path) -> Found:
    """Every image of every split's clean.npz. Raises MedstressError with all that is wrong with the arrays."""
    folder = root / source.folder
    if not folder.is_dir():
        raise MedstressError(no_such("folder", folder, "source.folder", root))
    files = {split: folder / split / "clean.npz" for split in SPLITS}
    pairs = {Pair(path, "images", "labels"): split for split, path in files.items() if path.is_file()}
    if not pairs:
        raise MedstressError(f"{folder}: none of {', '.join(f'{split}/clean.npz' for split in SPLITS)} is there.")
    labels = read_pairs(list(pairs), len(classes.names), multi_label=classes.kind == "multi_label")
    found = [item for pair, split in pairs.items() for item in candidates_of(pair, split, labels[pair])]
    return Found(tuple(sorted(found, key=lambda item: item.image_id)), (), grouped=False)
