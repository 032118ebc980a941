"""Names of runs: model[+strategy][@trainset][~variant].

A study may name a run with its strategy alone, `tiny_sam+lora`: it stands for one run per training set and seed of the
strategy's card, such as `tiny_sam+lora@nuclei~seed0`. Tables and figures put those together again under the family's
name. An image-text model without a strategy stands for one run per prompt set, such as `clip~ensemble`, where the study
has several. A model that answers in words may be asked without the image, `tiny_vlm~no_image`, and about one data set
alone, `tiny_vlm@minivqa_vqa`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from medstress.cards.classifier import ImageText
from medstress.cards.model import Generator, ModelCard
from medstress.cards.strategy import Strategy
from medstress.config import RUN_PATTERN, Study


@dataclass(frozen=True)
class Run:
    """One model as it is asked: adapted to `trainset` with one seed where it has a strategy.

    trainset is `pooled` where a strategy trains on several data sets at once. prompts: the prompt set's name. image:
    whether the model is shown it; one that has learnt without images is asked without. only: the data set that it is
    asked about, instead of all of its tasks.
    """

    name: str
    model: str
    strategy: str | None = None
    trainset: str | None = None
    seed: int | None = None
    prompts: str | None = None
    image: bool = True
    only: str | None = None

    @property
    def encoder(self) -> str:
        """The run without its prompt set: what embeddings are of."""
        return self.model if self.strategy is None else self.name


def family_of(run: str) -> str:
    """The run without its data set and seed: `tiny_sam+lora@nuclei~seed0` belongs to `tiny_sam+lora`."""
    return re.sub(r"@[a-z0-9_]+|~seed\d+$", "", run)


def named_parts(run: str) -> dict[str, str | None]:
    """The parts of a run's name: model, strategy, trainset, variant."""
    match = re.match(RUN_PATTERN, run)
    assert match is not None, run
    return match.groupdict()


def adversarial_name(attack: str, run: str) -> str:
    """What images are called that an attack made against one run, where others see them: `pgd@tiny_sam`."""
    return f"{attack}@{run}"


POOLED = "pooled"
"""The training set of a strategy that trains on all its data sets at once."""
NO_IMAGE = "no_image"
"""The variant of a model that answers in words without having seen the image."""


def expand(study: Study, models: Mapping[str, ModelCard], strategies: Mapping[str, Strategy]) -> Iterator[Run]:
    """The runs that a study stands for, in its order.

    Training sets that the study leaves out are left out: their runs would have nothing to be scored on.
    """
    for name in study.runs:
        parts = named_parts(name)
        model, strategy, variant = parts["model"], parts["strategy"], parts["variant"]
        assert model is not None
        if strategy is None and isinstance(models[model], Generator):
            yield Run(name, model, image=variant != NO_IMAGE, only=parts["trainset"])
            continue
        if strategy is None:
            asked = _prompt_sets(study, models[model])
            for prompts in asked:
                if variant in (None, prompts):
                    own = f"{model}~{prompts}" if len(asked) > 1 else name
                    yield Run(own, model, prompts=prompts)
            continue
        card = strategies[strategy]
        for trainset in [parts["trainset"]] if parts["trainset"] else _trainsets(study, card):
            for seed in card.seeds:
                if variant in (None, f"seed{seed}"):
                    full = f"{model}+{strategy}@{trainset}~seed{seed}"
                    prompts = _prompt_sets(study, models[model])[0]
                    yield Run(full, model, strategy, trainset, seed, prompts, getattr(card, "images", True))


def _prompt_sets(study: Study, card: ModelCard) -> list[str | None]:
    """The names of the prompt sets that a model is asked, or None for one that takes no texts."""
    return [one.name for one in study.prompt_sets] if isinstance(card, ImageText) else [None]


def _trainsets(study: Study, card: Strategy) -> list[str]:
    inside = [dataset for dataset in card.train_on if dataset in study.datasets]
    return [POOLED] if card.pooled and inside else inside
