"""Which split an image belongs to. Groups (patients, slabs, tiles) are never cut."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from medstress.cards.images import SplitRule
from medstress.datasets.candidate import Candidate, Reject
from medstress.names import Split
from medstress.seeds import seed_of

SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True)
class Assignment:
    """Candidates of each split in the order they came, those without one, and groups that lie in several splits."""

    splits: dict[Split, list[Candidate]]
    rejects: tuple[Reject, ...]
    leaks: tuple[str, ...]


def assign_splits(candidates: Sequence[Candidate], rule: SplitRule, dataset: str) -> Assignment:
    """Deal candidates to splits by the card's rule. `dataset` keys the hash of by: fraction."""
    splits: dict[Split, list[Candidate]] = {split: [] for split in SPLITS}
    rejects = []
    groups: dict[str, dict[Split, Candidate]] = {}
    for candidate in candidates:
        named = _named_split(candidate, rule, dataset)
        split = next((known for known in SPLITS if known == named), None)
        if split is None:
            source = "the first folder" if rule.by == "folder" else "split"
            rejects.append(Reject(candidate.where, f"{source} is {named!r}; expected one of {', '.join(SPLITS)}."))
            continue
        splits[split].append(candidate)
        groups.setdefault(candidate.group, {}).setdefault(split, candidate)
    leaks = tuple(
        f"the {rule.unit} {group!r} is in several splits: "
        + ", ".join(f"{split} ({first.where})" for split, first in sides.items())
        + ". Put each group in one split."
        for group, sides in sorted(groups.items())
        if len(sides) > 1
    )
    return Assignment(splits, tuple(rejects), leaks)


def _named_split(candidate: Candidate, rule: SplitRule, dataset: str) -> str:
    if rule.by != "fraction":
        first, slash, _ = candidate.image_id.partition("/")
        named = (candidate.split or "") if rule.by == "column" else first if slash else ""
        held_out = seed_of("val", dataset, candidate.group) / 2**63 < rule.val_from_train
        return "val" if named == "train" and held_out else named
    share = seed_of("split", dataset, candidate.group) / 2**63
    return "test" if share < rule.test else "val" if share < rule.test + rule.val else "train"
