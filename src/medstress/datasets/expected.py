"""How many images there should be: a half-copied folder must not become a study."""

from medstress.cards.images import ImageSet
from medstress.datasets.candidate import Candidate
from medstress.datasets.splits import SPLITS, Assignment


def count_problems(assigned: Assignment, card: ImageSet) -> list[str]:
    """What differs from the card's `expected`, before any limit and before pixels are read. A volume counts once."""
    found: dict[str, int] = {split: len({_picture(item) for item in assigned.splits[split]}) for split in SPLITS}
    found["all"] = sum(found.values())
    return [
        f"{key}: {found[key]} images found, {count} expected. "
        + ("Some are missing" if found[key] < count else "There are others among them")
        + ": look at what was downloaded or copied, or correct `expected` in the card."
        for key, count in card.expected.items()
        if found[key] != count
    ]


def _picture(candidate: Candidate) -> str:
    return str(candidate.image) if candidate.layers > 1 else candidate.image_id
