"""A small part of a data set that is the same on every machine and steady when images are added."""

from collections.abc import Sequence

from medstress.datasets.candidate import Candidate
from medstress.datasets.masks import MaskObject
from medstress.seeds import seed_of


def in_turn(candidates: Sequence[Candidate], dataset: str) -> list[Candidate]:
    """Candidates in the order in which a limit takes them: one of each group, then the second of each, and so on.

    Groups, and images within a group, are ranked by a hash of their names, so another image moves no other forward.
    """
    groups: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.group, []).append(candidate)
    rounds: list[tuple[int, int, str, Candidate]] = []
    for group, members in groups.items():
        ranked = sorted(members, key=lambda item: (seed_of("limit", dataset, item.image_id), item.image_id))
        rank = seed_of("limit", dataset, group)
        rounds.extend((turn, rank, group, candidate) for turn, candidate in enumerate(ranked))
    return [candidate for *_, candidate in sorted(rounds, key=lambda item: item[:3])]


def some_of_each_class(candidates: Sequence[Candidate], limit: int | None, dataset: str) -> list[Candidate]:
    """At most `limit` images of each class, taken from its groups in turn, in the order they came.

    An image of several classes counts for each. Images without a label are a class of their own.
    """
    if limit is None:
        return list(candidates)
    members: dict[int | None, list[Candidate]] = {}
    for candidate in candidates:
        for label in candidate.labels or (None,):
            members.setdefault(label, []).append(candidate)
    kept = {item.image_id for some in members.values() for item in in_turn(some, dataset)[:limit]}
    return [candidate for candidate in candidates if candidate.image_id in kept]


def some_objects(objects: Sequence[MaskObject], limit: int | None, dataset: str, image_id: str) -> list[MaskObject]:
    """At most `limit` objects of an image, ranked by a hash of their names, in the order they came."""
    ranked = sorted(objects, key=lambda item: (seed_of("limit", dataset, image_id, item.object_id), item.object_id))
    kept = {item.object_id for item in ranked[:limit]}
    return [item for item in objects if item.object_id in kept]
