"""Which weights of a classifier a strategy trains: those of the image encoder, or low-rank updates in it."""

import re

from torch import nn

from medstress.adapt import low_rank
from medstress.adapt.trainable import found, train_only
from medstress.cards.strategy import Full, ImageLora, Strategy
from medstress.errors import MedstressError
from medstress.models.zeroshot.protocol import ImageEncoder

_TITLES = {
    "q": "query projections",
    "k": "key projections",
    "v": "value projections",
    "out": "output projections of attention",
    "mlp": "linear layers of MLPs",
    "conv": "convolutions",
}


def apply_to_encoder(encoder: ImageEncoder, strategy: Strategy, seed: int, *, name: str) -> None:
    """Make a classifier train what the strategy says and nothing else, in place; a text encoder stays as it is.

    Updates start as nothing, so the model answers as before; what of them is drawn depends on the seed. Raises
    MedstressError, with `name`, the model's, where the model lacks what the strategy trains, and where its method is
    for segmenters.
    """
    where = f"strategy {strategy.name} cannot adapt the model {name}"
    if isinstance(strategy, Full):
        train_only(encoder.model, encoder.encoder, where)
    elif isinstance(strategy, ImageLora):
        _insert(encoder, strategy, seed, where)
        train_only(encoder.model, low_rank.PARAMETERS, where)
    else:
        raise MedstressError(
            f"{where}: its method, {strategy.method}, is for segmenters. A classifier takes image_lora or full."
        )


def _insert(encoder: ImageEncoder, strategy: ImageLora, seed: int, where: str) -> None:
    model = encoder.model
    linear, convolutions = (
        [key for key, module in model.named_modules() if isinstance(module, kind)] for kind in (nn.Linear, nn.Conv2d)
    )
    fused = found(encoder.targets.qkv, linear, whole=True)
    apart: dict[str, list[str]] = {}
    thirds, lacking = [], []
    for target in dict.fromkeys(strategy.targets):
        names = found(getattr(encoder.targets, target), convolutions if target == "conv" else linear, whole=True)
        if names:
            apart[target] = names
        elif fused and target in low_rank.THIRDS:
            thirds.append(target)
        else:
            lacking.append(_TITLES[target])
    if lacking:
        raise MedstressError(
            f"{where}: its image encoder has no {' and no '.join(lacking)} for LoRA. Change `targets` in "
            f"config/strategies/{strategy.name}.yaml, or choose another strategy for it."
        )
    # First, because what is added would have names that no target means.
    settings = strategy.rank, strategy.alpha, seed
    if apart:
        every = "|".join(re.escape(one) for names in apart.values() for one in names)
        low_rank.inject_lora(model, every, *settings, dropout=strategy.dropout)
    if thirds:
        low_rank.update_thirds(model, fused, thirds, *settings, dropout=strategy.dropout)
    # What is added comes in training mode.
    model.train(model.training)
