"""Which weights of a vision-language model a strategy trains: in its language model and, if asked, its projector."""

import re
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from medstress.adapt import low_rank, virtual_tokens
from medstress.adapt.trainable import train_only
from medstress.adapt.virtual_tokens import Prompted
from medstress.cards.local_vlm import LocalVlm
from medstress.cards.strategy import Strategy, Vlm, VlmFull, VlmIa3, VlmLora, VlmPrompt
from medstress.errors import MedstressError

PROJECTORS = ("multi_modal_projector", "connector")
"""What transformers calls the layers between image encoder and language model."""
_FACTORS = r".*\.ia3_l\."


def vlm_strategy(strategy: Strategy, card: LocalVlm) -> Vlm:
    """The strategy, if it is one for the model of a card. Raises MedstressError where it is not."""
    where = f"strategy {strategy.name} cannot adapt the model {card.name}"
    if not isinstance(strategy, Vlm):
        raise MedstressError(
            f"{where}: its method, {strategy.method}, is not for vision-language models, which take vlm_lora, vlm_ia3, "
            "vlm_prompt or vlm_full."
        )
    if card.peft is not None:
        raise MedstressError(
            f"{where}: its card has a `peft` adapter already, and one on top of another is not supported. Merge it "
            "into the weights, or leave it out."
        )
    if card.precision == "fp16":
        raise MedstressError(
            f"{where}: its card says `precision: fp16`, in which small gradients vanish. Write bf16, or fp32 for a GPU "
            "that has no bf16."
        )
    return strategy


def apply_to_language_model(network: Any, strategy: Vlm, seed: int, *, name: str) -> Any:
    """The network, changed in place to train what the strategy says and nothing else; with virtual tokens, around it.

    Low-rank updates and factors start as the identity, so the model answers as before. What is drawn depends on the
    seed. What is added is in fp32, whatever the weights are in: bf16 knows no factor between 1 and 1.0078. Raises
    MedstressError, with `name`, the model's, where the model lacks what the strategy trains.
    """
    where = f"strategy {strategy.name} cannot adapt the model {name}"
    words = network.get_decoder()
    prefix = next((key for key, module in network.named_modules() if module is words), "")
    if not prefix:
        raise MedstressError(f"{where}: transformers does not say which of its parts is the language model.")
    projector = _projector(network, where) if strategy.projector else []
    match strategy:
        case VlmLora():
            layers = _layers(words, prefix, strategy.targets, strategy.name, where)
            low_rank.inject_lora(network, layers, strategy.rank, strategy.alpha, seed, strategy.dropout)
            trained = low_rank.PARAMETERS
        case VlmIa3():
            _inject_factors(network, words, prefix, strategy, where)
            trained = _FACTORS
        case VlmPrompt():
            network, prefix = Prompted(network, strategy.tokens, seed), f"network.{prefix}"
            projector = [f"network.{key}" for key in projector]
            trained = virtual_tokens.PARAMETERS
        case VlmFull():
            trained = rf"{re.escape(prefix)}\.|lm_head\."
    if not isinstance(strategy, VlmFull):
        _hold_in_fp32(parameter for key, parameter in network.named_parameters() if re.match(trained, key))
    train_only(network, "|".join([trained, *(rf"{re.escape(key)}\." for key in projector)]), where)
    return network


def is_projector(parameter: str) -> bool:
    """Whether a parameter belongs to the projector, by its name."""
    return not set(PROJECTORS).isdisjoint(parameter.split("."))


def train_in_fp32(network: nn.Module) -> None:
    """Hold in fp32 what is trained, in place: steps of a small learning rate vanish in half precision."""
    _hold_in_fp32(parameter for parameter in network.parameters() if parameter.requires_grad)


def _hold_in_fp32(parameters: Iterable[nn.Parameter]) -> None:
    for parameter in parameters:
        parameter.data = parameter.data.float()


def _projector(network: nn.Module, where: str) -> list[str]:
    found = [key for key, _ in network.named_modules() if key.rpartition(".")[2] in PROJECTORS]
    if not found:
        raise MedstressError(
            f"{where}: it has no {' and no '.join(PROJECTORS)}. Write `projector: false` in the strategy's card."
        )
    return found


def _layers(words: nn.Module, prefix: str, targets: list[str], strategy: str, where: str) -> str:
    """A pattern of the whole names of linear layers of the language model; all where no target is named."""
    linear = [key for key, module in words.named_modules() if isinstance(module, nn.Linear)]
    there = {key.rpartition(".")[2] for key in linear}
    if unknown := [target for target in targets if target not in there]:
        raise MedstressError(
            f"{where}: its language model has no linear layer {' and no '.join(unknown)}; it has "
            f"{', '.join(sorted(there))}. Change config/strategies/{strategy}.yaml."
        )
    wanted = [key for key in linear if not targets or key.rpartition(".")[2] in targets]
    return "|".join(re.escape(f"{prefix}.{key}") for key in wanted)


def _inject_factors(network: nn.Module, words: nn.Module, prefix: str, strategy: VlmIa3, where: str) -> None:
    from peft import IA3Config, inject_adapter_in_model

    every = [*strategy.targets, *strategy.feed_forward]
    config = IA3Config(
        target_modules=_layers(words, prefix, every, strategy.name, where),
        feedforward_modules=_layers(words, prefix, strategy.feed_forward, strategy.name, where),
    )
    with torch.random.fork_rng(devices=[]):
        inject_adapter_in_model(config, network)
