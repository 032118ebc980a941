"""Arrays that hold the images and labels of a data set: what is wrong with them, and what the labels say."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medstress.arrays import Array, Head, npz_heads, read_whole
from medstress.datasets.candidate import Candidate
from medstress.datasets.sample import MIN_SIDE
from medstress.errors import MedstressError

Labels = tuple[int, ...]
"""The numbers of the classes that an image shows, in rising order."""


@dataclass(frozen=True)
class Pair:
    """An array of images and the array of their labels, in one .npz file."""

    path: Path
    images: str
    labels: str


def read_pairs(pairs: Sequence[Pair], classes: int, *, multi_label: bool) -> dict[Pair, list[Labels]]:
    """The labels of each pair, with the images' heads checked. Raises MedstressError with all that is wrong."""
    problems: list[str] = []
    found: dict[Pair, list[Labels]] = {}
    for path in dict.fromkeys(pair.path for pair in pairs):
        members = [pair for pair in pairs if pair.path == path]
        heads, lacking = heads_of(path, [name for pair in members for name in (pair.images, pair.labels)])
        problems += lacking
        if lacking:
            continue
        for pair in members:
            problems += pair_problems(pair, heads)
            labels, wrong = labels_in(read_whole(path, pair.labels), classes, multi_label=multi_label)
            problems += [f"{path}: {pair.labels}: {problem}" for problem in wrong]
            found[pair] = labels
    if problems:
        raise MedstressError("\n".join(problems))
    return found


def heads_of(path: Path, wanted: Sequence[str]) -> tuple[Mapping[str, Head], list[str]]:
    """The heads of an .npz file's arrays, and what is wrong: the file, or arrays that it lacks."""
    try:
        heads = npz_heads(path)
    except MedstressError as error:
        return {}, [str(error)]
    if missing := [name for name in wanted if name not in heads]:
        has = ", ".join(sorted(heads)) or "nothing"
        return heads, [f"{path}: has no array {', '.join(missing)}; it holds {has}. Expected {', '.join(wanted)}."]
    return heads, []


def pair_problems(pair: Pair, heads: Mapping[str, Head]) -> list[str]:
    """What can be said of a pair before any number is read: type and shape of the images, and the lengths."""
    images, labels = heads[pair.images], heads[pair.labels]
    where, shape = f"{pair.path}: {pair.images}", images.shape
    problems = []
    if images.dtype != np.uint8:
        problems.append(f"{where}: holds {images.dtype} numbers; expected uint8. Save the images in 8 bits.")
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in (1, 3)) or min(shape[1:3]) < MIN_SIDE:
        problems.append(
            f"{where}: has the shape {shape}; expected [N, H, W] or [N, H, W, 3] with sides of {MIN_SIDE} or more."
        )
    elif not labels.shape or labels.shape[0] != shape[0]:
        count = labels.shape[0] if labels.shape else 1
        problems.append(
            f"{pair.path}: {pair.images} holds {shape[0]} images, but {pair.labels} holds {count} labels. They must "
            "belong together one by one."
        )
    return problems


def labels_in(values: Array, classes: int, *, multi_label: bool) -> tuple[list[Labels], list[str]]:
    """The classes of each image, and what is wrong.

    values: [N] or [N, 1] with the number of the class, or with `multi_label` [N, classes] with 1 for those that are
    there and 0 for the others.
    """
    fitting = (
        values.ndim == 2 and values.shape[1] == classes if multi_label else values.size == len(np.atleast_1d(values))
    )
    if not fitting or values.ndim not in (1, 2):
        expected = f"[N, {classes}] with 0 and 1" if multi_label else "[N] or [N, 1]"
        return [], [f"has the shape {values.shape}; expected {expected}."]
    if values.dtype.kind not in "biuf" or (values.dtype.kind == "f" and not np.all(values == np.rint(values))):
        return [], [f"holds {values.dtype} numbers; expected whole ones."]
    top = 1 if multi_label else classes - 1
    numbers = values.astype(np.int64).reshape(len(values), -1)
    outside = (numbers < 0) | (numbers > top)
    if outside.any():
        first = int(np.flatnonzero(outside.any(axis=1))[0])
        seen = ", ".join(map(str, np.unique(numbers[outside])[:10].tolist()))
        many = f"{int(outside.any(axis=1).sum())} of {len(numbers)} labels are outside 0..{top}"
        return [], [f"{many}: {seen}; the first is that of image {first}. Look at `classes.names` in the card."]
    if multi_label:
        return [tuple(np.flatnonzero(row).tolist()) for row in numbers], []
    return [(number,) for number in numbers[:, 0].tolist()], []


def candidates_of(pair: Pair, split: str, labels: Sequence[Labels]) -> Iterator[Candidate]:
    """The images of a pair; an image's id is its split and its place, as test/000017, and it is its own group."""
    digits = max(6, len(str(len(labels) - 1)))
    for place, numbers in enumerate(labels):
        image_id = f"{split}/{place:0{digits}d}"
        yield Candidate(
            image_id=image_id,
            where=f"{pair.path}, {pair.images}, place {place}",
            image=pair.path,
            masks=(),
            group=image_id,
            layer=place,
            array=pair.images,
            labels=numbers,
        )
