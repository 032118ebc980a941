"""A few labelled images of each class, such that small choices lie in larger ones."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

from medstress.adapt.examples import StoredExample, read_labelled, share_of, with_images
from medstress.cards.strategy import FewShot, Strategy
from medstress.errors import MedstressError
from medstress.seeds import seed_of


@dataclass(frozen=True)
class Choice:
    """What is trained on and what chooses the weights, in the records' order; no group is in both."""

    training: list[StoredExample]
    validation: list[StoredExample]


def few_of(examples: Sequence[StoredExample], few_shot: FewShot, seed: int, dataset: str) -> list[StoredExample]:
    """The chosen examples of a split, in their order.

    Images are ranked by a hash of the seed, the data set and their names. Each class gives its first ones: of n images
    `fraction` * n rounded to a whole number, halves up, or `shots`, in either case at least one. Rounding never falls
    as the fraction grows and the ranks do not depend on it, so 1 % lies in 3 % and 3 % in 10 %.

    An image of several labels counts for the one that is rarest in the split, the first of equals; images without any
    are a class of their own. The first image of each label is always taken, so that no label is without one.
    """
    ranked = sorted(
        examples, key=lambda one: (seed_of("few_shot", str(seed), dataset, one.row.image_id), one.sample_id)
    )
    common = Counter(label for one in ranked for label in one.sample.labels)
    classes: dict[int, list[str]] = {}
    first: dict[int, str] = {}
    for one in ranked:
        own = min(one.sample.labels, key=lambda label: (common[label], label), default=-1)
        classes.setdefault(own, []).append(one.sample_id)
        for label in one.sample.labels:
            first.setdefault(label, one.sample_id)
    taken = {name for names in classes.values() for name in names[: _count(few_shot, len(names))]} | set(first.values())
    return [one for one in examples if one.sample_id in taken]


def _count(few_shot: FewShot, images: int) -> int:
    if few_shot.shots is not None:
        return few_shot.shots
    # In decimals, as the card has it: in floats 0.07 * 50 is above 3.5.
    exact = Decimal(str(few_shot.fraction)) * images
    return max(1, int(exact.to_integral_value(ROUND_HALF_UP)))


def choose(
    images: Path,
    samples: Path,
    strategy: Strategy,
    seed: int,
    dataset: str,
    *,
    background: int = 0,
    window: tuple[float, float] | None = None,
) -> Choice:
    """What a strategy trains a classifier on, of the records of a data set, and what chooses the weights.

    Without `few_shot`, and with one whose source is train, val chooses. With source val it is what is left of val
    without the groups of the chosen images. Images of test are not read. Raises MedstressError where either is empty.
    """
    source = strategy.few_shot.source if strategy.few_shot else "train"
    validation = read_labelled(images, samples, "val", background=background, window=window)
    train = [] if source == "val" else read_labelled(images, samples, "train", background=background, window=window)
    pool = validation if source == "val" else train
    if not pool:
        other = " Its val has images: write `few_shot.source: val` in the strategy's card." if validation else ""
        raise MedstressError(f"{images}: {dataset} has no image in {source} to train with.{other}")
    training = share_of(pool, strategy.share, seed)
    if strategy.few_shot:
        training = few_of(training, strategy.few_shot, seed, dataset)
    groups = {one.group_id for one in training}
    left = [one for one in validation if one.group_id not in groups]
    if not left:
        advice = (
            "Lower the fraction or the shots in its card, or write `few_shot.source: train`."
            if source == "val"
            else "Give the data set a val: see `split` in its card, and the study's `limit`."
        )
        raise MedstressError(
            f"{images}: strategy {strategy.name} trains on {len(training)} of the {len(pool)} images of {dataset} in "
            f"{source}, and no group of val is left to choose the weights on. {advice}"
        )
    return Choice(with_images(training, images), with_images(left, images))
