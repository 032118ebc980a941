"""How many images of each class a split has, and whether that is what the card says."""

from collections.abc import Mapping, Sequence

from medstress.cards.classification import Classes
from medstress.datasets.splits import SPLITS, Assignment
from medstress.names import Split

Counts = Mapping[Split, Sequence[int]]
"""Images of each class in the order of the card's names, by split."""


def count_classes(assigned: Assignment, classes: Classes) -> Counts:
    """The images of each class in each split, before any limit. An image of several classes counts for each."""
    counts: dict[Split, list[int]] = {split: [0] * len(classes.names) for split in SPLITS}
    for split, members in assigned.splits.items():
        for candidate in members:
            for label in candidate.labels:
                counts[split][label] += 1
    return counts


def class_problems(counts: Counts, classes: Classes, split: Split) -> list[str]:
    """What differs from the card's `classes.counts`, and classes without an image in the split that is scored."""
    problems = [
        _mismatch(name, said, counts[name], classes.names)
        for name, said in classes.counts.items()
        if list(said) != list(counts[name])
    ]
    said = classes.counts.get(split, [1] * len(classes.names))
    absent = [
        name for name, expected, found in zip(classes.names, said, counts[split], strict=True) if expected and not found
    ]
    if absent and any(counts[split]):
        problems.append(
            f"{split}: no image of {_quoted(absent)}, so no score can be given. Add images, or say in "
            "`classes.counts` in the card that there are none."
        )
    elif absent:
        problems.append(f"{split}: no image of any class. Check the card's `split`, or the study's.")
    return problems


def counts_line(names: Sequence[str], counts: Sequence[int]) -> str:
    """The counts of a split as people read them."""
    return ", ".join(f"{name} {count}" for name, count in zip(names, counts, strict=True))


def _mismatch(split: Split, said: Sequence[int], found: Sequence[int], names: Sequence[str]) -> str:
    permuted = sorted(said) == sorted(found)
    why = (
        "The counts are the same in another order: the order of `names` is wrong."
        if permuted
        else "The order of `names` may be wrong, or the data are others."
    )
    lines = [
        f"    {number} {name}: card {expected}, found {count}"
        for number, (name, expected, count) in enumerate(zip(names, said, found, strict=True))
    ]
    return "\n".join([f"{split}: the classes have other counts than `classes.counts` in the card. {why}", *lines])


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
