"""Names of runs: model[+strategy][@trainset][~variant].

A study may name a run with its strategy alone, `tiny_sam+lora`: it stands for one run per training set and seed of the
strategy's card, such as `tiny_sam+lora@nuclei~seed0`. Tables and figures put those together again under the family's
name.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from medstress.cards.strategy import Strategy
from medstress.config import RUN_PATTERN, Study


@dataclass(frozen=True)
class Run:
    """One model as it is asked: adapted to `trainset` with one seed where it has a strategy."""

    name: str
    model: str
    strategy: str | None = None
    trainset: str | None = None
    seed: int | None = None


def family_of(run: str) -> str:
    """The run without its training set and seed: `tiny_sam+lora@nuclei~seed0` belongs to `tiny_sam+lora`."""
    return re.split("[@~]", run, maxsplit=1)[0]


def named_parts(run: str) -> dict[str, str | None]:
    """The parts of a run's name: model, strategy, trainset, variant."""
    match = re.match(RUN_PATTERN, run)
    assert match is not None, run
    return match.groupdict()


def adversarial_name(attack: str, run: str) -> str:
    """What images are called that an attack made against one run, where others see them: `pgd@tiny_sam`."""
    return f"{attack}@{run}"


def expand(study: Study, strategies: Mapping[str, Strategy]) -> Iterator[Run]:
    """The runs that a study stands for, in its order.

    Training sets that the study leaves out are left out: their runs would have nothing to be scored on.
    """
    for name in study.runs:
        parts = named_parts(name)
        model, strategy = parts["model"], parts["strategy"]
        assert model is not None
        if strategy is None:
            yield Run(name, model)
            continue
        card = strategies[strategy]
        trainsets = (
            [parts["trainset"]] if parts["trainset"] else [one for one in card.train_on if one in study.datasets]
        )
        for trainset in trainsets:
            for seed in card.seeds:
                if parts["variant"] in (None, f"seed{seed}"):
                    yield Run(f"{model}+{strategy}@{trainset}~seed{seed}", model, strategy, trainset, seed)
