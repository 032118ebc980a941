"""Folders that are named like the classes of the images in them."""

from collections.abc import Sequence
from pathlib import Path

from medstress.cards.classification import ClassFolders, ClassificationCard
from medstress.datasets.candidate import Candidate, Found, Reject, no_such
from medstress.datasets.folder import pictures_below
from medstress.datasets.groups import compiled_pattern, group_of
from medstress.datasets.splits import SPLITS
from medstress.datasets.volumes import found_of
from medstress.errors import MedstressError
from medstress.names import Split
from medstress.problems import closest


def find_in_class_folders(source: ClassFolders, card: ClassificationCard, root: Path) -> Found:
    """Every image below the class folders; its id is its path below the data set's folder without the extension.

    Raises MedstressError with every folder that is missing or that no class is called.
    """
    pattern = compiled_pattern(source.group_pattern)
    folder = root / source.folder
    if not folder.is_dir():
        raise MedstressError(no_such("folder", folder, "source.folder", root))
    problems: list[str] = []
    places: list[Path] = [folder]
    if card.split.by == "folder":
        places = [folder / split for split in SPLITS if (folder / split).is_dir()]
        problems += _unknown(folder, SPLITS, "a split", "`split.by` is folder")
        if not places:
            problems.append(f"{folder}: none of the folders {', '.join(SPLITS)} is there.")
    for place in places:
        split = next((name for name in SPLITS if place != folder and name == place.name), None)
        problems += _missing(place, split, card)
        problems += _unknown(place, card.classes.names, "a class", "`classes.names` in the card names all")
    if problems:
        raise MedstressError("\n".join(problems))
    candidates: list[Candidate] = []
    rejects: list[Reject] = []
    for place in places:
        for number, name in enumerate(card.classes.names):
            for below, paths in pictures_below(place / name).items():
                image_id = ((place / name).relative_to(folder) / below).as_posix()
                group = group_of(image_id, pattern)
                for path in paths:
                    if group is None:
                        reason = f"`group_pattern` {source.group_pattern!r} finds no group in {image_id!r}."
                        rejects.append(Reject(str(path), reason))
                    else:
                        candidates.append(Candidate(image_id, str(path), path, (), group, labels=(number,)))
    if not candidates and not rejects:
        raise MedstressError(f"{folder}: no images found. PNG, JPEG, TIFF, NPY and DICOM files can be read.")
    return found_of(candidates, rejects, grouped=pattern is not None)


def _missing(place: Path, split: Split | None, card: ClassificationCard) -> list[str]:
    """What to do about classes without a folder. One that `counts` says has no image needs none."""
    counts = card.classes.counts.get(split, []) if split else []
    empty = {name for name, count in zip(card.classes.names, counts, strict=False) if count == 0}
    names = [name for name in card.classes.names if not (place / name).is_dir() and name not in empty]
    if not names:
        return []
    return [f"{place}: no folder {', '.join(names)}. Each class of the card has a folder that is named like it."]


def _unknown(place: Path, names: Sequence[str], what: str, why: str) -> list[str]:
    found = sorted(path.name for path in place.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [
        f"{place / name}: is not {what} ({why}: {', '.join(names)})."
        + (f" Did you mean {guess}?" if (guess := closest(name, names)) else "")
        for name in found
        if name not in names
    ]
