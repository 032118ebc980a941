"""Corrupted images that lie on disk already: where, and whether they belong to the clean ones.

MedMNIST-C (Di Salvo et al., arXiv 2406.17536) has one file a type, with all images at level 1, then all at level 2, and
so on; MediMeta-C (Imam et al., arXiv 2505.15425) has one file a type and level.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medstress.arrays import npz_heads, read_whole
from medstress.cards.classification import ClassificationCard, Corrupted
from medstress.datasets.array_labels import Labels, Pair, heads_of, labels_in, pair_problems
from medstress.datasets.candidate import Candidate
from medstress.errors import MedstressError
from medstress.names import Split
from medstress.specs import PrepareSpec

_LEVELS = 5


@dataclass(frozen=True)
class Stored:
    """One file: levels `first` to `first + levels - 1`, one after the other."""

    pair: Pair
    first: int
    levels: int

    def start(self, level: int, count: int) -> int:
        """The place of the first image of a level, where each level has `count` of them."""
        return (level - self.first) * count

    def count(self) -> int:
        """How many images each level has."""
        return npz_heads(self.pair.path)[self.pair.images].shape[0] // self.levels


def stored_files(
    source: Corrupted, original: str, split: Split, levels: Sequence[int], root: Path
) -> dict[int, Stored]:
    """The file that holds each level of a type. Raises MedstressError for a split that the format does not have."""
    folder = root / source.folder
    if source.format == "medimeta_c":
        files = {level: folder / split / f"{original}_severity_{level}.npz" for level in levels}
        return {level: Stored(Pair(path, "images", "labels"), level, 1) for level, path in files.items()}
    if split != "test":
        raise MedstressError(
            f"{folder}: MedMNIST-C has corrupted images of the test split alone, and the study's `split` is {split}."
        )
    whole = Stored(Pair(folder / f"{original}.npz", "test_images", "test_labels"), 1, _LEVELS)
    return dict.fromkeys(levels, whole)


def missing_files(files: Mapping[int, Stored]) -> list[Path]:
    """The files that are not there, each once."""
    return [path for path in dict.fromkeys(item.pair.path for item in files.values()) if not path.is_file()]


def place_of(image_id: str, split: Split) -> int:
    """The place of an image in its split's array, which its id says. Raises MedstressError where it does not."""
    first, _, last = image_id.partition("/")
    if first != split or not last.isdecimal():
        raise MedstressError(
            f"{image_id}: has no place in the arrays of the {split} split, so its corrupted images cannot be found."
        )
    return int(last)


def file_problems(stored: Stored, labels: Mapping[int, Labels], classes: int, count: int | None) -> list[str]:
    """What is wrong with a file, its pixels apart.

    labels: those of the clean images, by their place. count: how many there are; None where only some are known.
    """
    pair = stored.pair
    heads, problems = heads_of(pair.path, (pair.images, pair.labels))
    if problems or (problems := pair_problems(pair, heads)):
        return problems
    length, levels = heads[pair.images].shape[0], stored.levels
    each, rest = divmod(length, levels)
    of_each = f"{levels} levels of " if levels > 1 else ""
    if rest or each <= max(labels) or each != (count or each):
        needed = f"{of_each}{count or 'at least ' + str(max(labels) + 1)}"
        return [
            f"{pair.path}: {pair.images} holds {length} images; expected {needed}, as many as there are clean ones."
        ]
    values = read_whole(pair.path, pair.labels)
    found, problems = labels_in(values, classes, multi_label=values.ndim == 2 and values.shape[1] == classes)
    if problems:
        return [f"{pair.path}: {pair.labels}: {problem}" for problem in problems]
    for level in range(stored.first, stored.first + levels):
        start = stored.start(level, each)
        others = [place for place, own in labels.items() if found[start + place] != own]
        if others:
            first = others[0]
            return [
                f"{pair.path}: the labels at level {level} are not those of the clean images: {len(others)} of "
                f"{len(labels)} differ, first image {first} ({_shown(found[start + first])} instead of "
                f"{_shown(labels[first])}). The images are in another order, or of other data."
            ]
    return []


def _shown(labels: Labels) -> str:
    return ", ".join(map(str, labels)) or "none"


def corrupted_problems(
    spec: PrepareSpec, card: ClassificationCard, members: Sequence[Candidate], root: Path
) -> tuple[list[str], list[str]]:
    """What is wrong with the corrupted files of all types of the study, and what is left out and may be.

    members: every image of the split that is scored, before any limit.
    """
    source = card.corrupted
    if source is None or not spec.corrupted or not members:
        return [], []
    try:
        files = {
            name: stored_files(source, original, spec.split, spec.levels, root)
            for name, original in spec.corrupted.items()
        }
        labels = {place_of(item.image_id, spec.split): item.labels for item in members}
    except MedstressError as error:
        return [str(error)], []
    absent = {name: lacking for name, stored in files.items() if (lacking := missing_files(stored))}
    listed = [f"    {name}: {path}" for name, lacking in absent.items() for path in lacking]
    problems, notes = [], []
    if absent and source.missing == "report":
        notes = ["types left out, since files of theirs are missing:", *listed]
    elif absent:
        problems.append(
            "\n".join(
                [
                    f"{len(listed)} files of corrupted images are missing. Copy them there; or set `corrupted.missing: "
                    "report` in the card, and tables show the holes; or leave the types out of the study.",
                    *listed,
                ]
            )
        )
    clean = _clean_shape(members[0])
    for name, stored in files.items():
        for item in dict.fromkeys(stored.values()) if name not in absent else ():
            problems += file_problems(item, labels, len(card.classes.names), len(labels)) or _shape_problem(item, clean)
    return problems, notes


def _clean_shape(candidate: Candidate) -> tuple[int, ...]:
    return npz_heads(candidate.image)[candidate.array].shape[1:]


def _shape_problem(stored: Stored, clean: tuple[int, ...]) -> list[str]:
    shape = npz_heads(stored.pair.path)[stored.pair.images].shape[1:]
    if without_one_channel(shape) == without_one_channel(clean):
        return []
    return [f"{stored.pair.path}: images have the shape {shape}, and the clean ones {clean}. Take both of one size."]


def without_one_channel(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of an image without a channel axis of length 1."""
    return shape[:2] if shape[2:] == (1,) else shape
