"""Shifts inside the data: which questions are in distribution and which are not (SURE-VQA, arXiv 2411.19688).

Questions are in distribution, out of it, or neither: a value that is not known is on neither side. Training and model
choice see train and val in distribution; the test is the test split in distribution, and whatever is out of it there
and in the splits that may lend.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from medstress.cards.generation import Shift
from medstress.errors import MedstressError
from medstress.names import Split
from medstress.problems import closest
from medstress.rows import ImageRow, SampleRow

YOUNG, OLD = 40, 60
"""Years: below the first a patient is young, from the second on old, and neither between."""

WHOLE = ""
"""The subset of all questions of the split that is scored, in scores of answers in words."""
WHOLE_SUBSETS = (WHOLE, "iid")
"""What scores call that, of all tasks: where there are no shifts, every image is in distribution."""

_SPLITS: tuple[Split, ...] = get_args(Split)
_UNKNOWN = frozenset(("", "unknown", "unknown/other", "nan", "n/a"))
_MOST_NAMES = 5
_MOST_VALUES = 20


@dataclass(frozen=True)
class Member:
    """What a shift needs to know of a question: whose image it is about, and what is said of it."""

    sample_id: str
    image_id: str
    group_id: str
    split: Split
    values: Mapping[str, str]


@dataclass(frozen=True)
class ShiftSets:
    """The sides of a shift as sample ids, in the order of the members; how many are on neither side, and why."""

    iid: Mapping[Split, tuple[str, ...]]
    ood: tuple[str, ...]
    left_out: Mapping[str, int]

    def line(self) -> str:
        """The sizes as people read them."""
        inside = ", ".join(f"{split} {len(members)}" for split, members in self.iid.items())
        outside = "".join(f"; left out, {why}: {count}" for why, count in self.left_out.items())
        return f"in distribution {inside}; out of it {len(self.ood)}{outside}"


def members_of(images: Iterable[ImageRow], samples: Iterable[SampleRow]) -> list[Member]:
    """The members of a data set, from its two records. Attributes come before modality and answer_type."""
    known = {image.image_id: image for image in images}
    members = []
    for sample in samples:
        image = known[sample.image_id]
        split = next(name for name in _SPLITS if name == image.split)
        values = values_of(sample.attributes, image.modality, sample.answer_type)
        members.append(Member(sample.sample_id, image.image_id, image.group_id, split, values))
    return members


def values_of(attributes: Iterable[tuple[str, str]], modality: str, answer_type: str) -> dict[str, str]:
    """Everything that a shift may be defined on."""
    return {"modality": modality, "answer_type": answer_type, **dict(attributes)}


def shift_sets(members: Sequence[Member], shift: Shift) -> ShiftSets:
    """Both sides of a shift.

    Raises MedstressError, one line a problem: unknown fields and values, sides that are empty, and what would leak.
    """
    name = f"the shift {shift.name!r}"
    known = Counter(value for member in members if (value := member.values.get(shift.field, "")))
    counted = ", ".join(f"{value} ({count})" for value, count in sorted(known.items())[:_MOST_VALUES])
    if problems := _unheard_of(members, shift, known, counted):
        raise MedstressError("\n".join(f"{name}: {line}" for line in problems))
    sides = [side_of(member, shift) for member in members]
    sets = _sets(members, sides, shift)
    there = {member.split for member in members} | {"test"}
    empty = [f"in distribution in {split}" for split in _SPLITS if split in there and not sets.iid[split]]
    empty += [] if sets.ood else ["out of distribution in the test"]
    problems = [f"no question is {side}. {shift.field} is {counted}." for side in empty]
    problems += [*_inconstant(members, sides, shift), *_leaks(members, sets)]
    if problems:
        raise MedstressError("\n".join(f"{name}: {line}" for line in problems))
    return sets


def limited_sets(members: Sequence[Member], shift: Shift) -> ShiftSets:
    """Both sides of a shift among what a study's limit has left, where prepare_dataset has checked the whole.

    What is left cannot leak where the whole does not. A side may be empty.
    """
    return _sets(members, [side_of(member, shift) for member in members], shift)


def subset_name(shift: str, side: Literal["iid", "ood"]) -> str:
    """What scores call one side of a shift: `modality_xray/ood`."""
    return f"{shift}/{side}"


def subsets(members: Sequence[Member], shifts: Sequence[Shift], split: Split) -> dict[str, tuple[str, ...]]:
    """The questions that a run is asked where `split` is scored, in the order of the members, each with its subsets.

    Those of the split are in WHOLE, and in the sides of shifts that they are on. Those that other splits lend to a
    shift follow them; they are out of distribution and asked about the clean image alone. Shifts are of the test:
    where another split is scored, there are none. See :func:`limited_sets`.
    """
    found = {member.sample_id: [WHOLE] for member in members if member.split == split}
    for shift in shifts if split == "test" else ():
        sets = limited_sets(members, shift)
        for sample in sets.iid["test"]:
            found[sample].append(subset_name(shift.name, "iid"))
        for sample in sets.ood:
            found.setdefault(sample, []).append(subset_name(shift.name, "ood"))
    return {sample: tuple(names) for sample, names in found.items()}


def _unheard_of(members: Sequence[Member], shift: Shift, known: Mapping[str, int], counted: str) -> list[str]:
    """An attribute or values that no question has."""
    if not known:
        fields = sorted({field for member in members for field, value in member.values.items() if value})
        text = f"no question has the attribute {shift.field!r}; there are {', '.join(fields) or 'none'}."
        return [text + _hint(shift.field, fields)]
    have = {_folded(value) for value in known}
    return [
        f"no question has {shift.field} {value!r}; there are {counted}." + _hint(value, list(known))
        for value in shift.ood
        if _folded(value) not in have
    ]


def _hint(word: str, known: Sequence[str]) -> str:
    guess = closest(word, known)
    return f" Did you mean {guess}?" if guess else ""


def _sets(members: Sequence[Member], sides: Sequence[str], shift: Shift) -> ShiftSets:
    iid: dict[Split, list[str]] = {split: [] for split in _SPLITS}
    ood: list[str] = []
    left_out: Counter[str] = Counter()
    for member, side in zip(members, sides, strict=True):
        if side == "iid":
            iid[member.split].append(member.sample_id)
        elif side == "ood" and (member.split == "test" or member.split in shift.lend_from):
            ood.append(member.sample_id)
        else:
            left_out[f"out of distribution in {member.split}" if side == "ood" else side] += 1
    return ShiftSets({split: tuple(ids) for split, ids in iid.items()}, tuple(ood), dict(sorted(left_out.items())))


def side_of(member: Member, shift: Shift) -> str:
    """iid, ood, or why it is neither."""
    for field, values in shift.without.items():
        if _folded(member.values.get(field, "")) in map(_folded, values):
            return f"with {field} {member.values[field]}"
    value = _folded(member.values.get(shift.field, ""))
    if value in _UNKNOWN or value in map(_folded, shift.unknown):
        return f"{shift.field} unknown"
    match shift.rule:
        case "young" | "old":
            return _side_of_age(value, shift)
        case "nonwhite" | "white":
            return "iid" if (value == "white") == (shift.rule == "nonwhite") else "ood"
        case None:
            return "ood" if value in map(_folded, shift.ood) else "iid"


def _side_of_age(value: str, shift: Shift) -> str:
    try:
        age = float(value)
    except ValueError:
        age = math.nan
    if not math.isfinite(age):
        return f"{shift.field} unknown"
    if YOUNG <= age < OLD:
        return f"{shift.field} from {YOUNG} to {OLD - 1}"
    return "ood" if (age < YOUNG) == (shift.rule == "young") else "iid"


def _inconstant(members: Sequence[Member], sides: Sequence[str], shift: Shift) -> list[str]:
    """Images or patients on both sides, where the card says that there are none."""
    if shift.constant_in == "none":
        return []
    found_in: dict[str, dict[str, Member]] = {}
    for member, side in zip(members, sides, strict=True):
        if side in ("iid", "ood"):
            found_in.setdefault(_unit(member, shift.constant_in), {}).setdefault(side, member)
    both = [(unit, found) for unit, found in found_in.items() if len(found) > 1]
    examples = "; ".join(
        f"{unit} has {' and '.join(repr(member.values[shift.field]) for member in found.values())}"
        for unit, found in both[:_MOST_NAMES]
    )
    if not both:
        return []
    count = f"{len(both)} {shift.constant_in}{'s' if len(both) > 1 else ''} on both sides"
    return [f"{shift.field} is not constant: {count} ({examples}). Set `constant_in: none`, without lend_from."]


def _leaks(members: Sequence[Member], sets: ShiftSets) -> list[str]:
    """Images and patients that training or model choice sees in distribution and the test asks about out of it."""
    seen, tested = {*sets.iid["train"], *sets.iid["val"]}, set(sets.ood)
    for unit in ("image", "patient"):
        inside = {_unit(member, unit) for member in members if member.sample_id in seen}
        outside = {_unit(member, unit) for member in members if member.sample_id in tested}
        if shared := sorted(inside & outside):
            more = f" and {len(shared) - _MOST_NAMES} more" if len(shared) > _MOST_NAMES else ""
            return [
                f"leakage: the {unit} {', '.join(shared[:_MOST_NAMES])}{more} is in distribution in train or val, and "
                "lends questions to the test out of distribution. Leave its split out of `lend_from`."
            ]
    return []


def _unit(member: Member, unit: str) -> str:
    return member.image_id if unit == "image" else member.group_id


def _folded(value: str) -> str:
    return value.strip().casefold()
