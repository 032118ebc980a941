"""AdamW with the groups that the strategies ask for.

Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019; the ratio of LoRA+ is Hayou et al., "LoRA+:
efficient low rank adaptation of large models", ICML 2024.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from medstress.cards.strategy import LoraPlusDecoder, LoraPlusEncoder, Strategy

_LORA_B = ".lora_B."


def parameter_groups(weights: Mapping[str, Tensor], strategy: Strategy) -> list[dict[str, Any]]:
    """Groups of AdamW: weight decay for matrices and kernels, none for biases and norms.

    `ratio` of a group is its learning rate over that of the others: B of LoRA+ has a higher one.
    """
    ratio = strategy.ratio if isinstance(strategy, LoraPlusEncoder | LoraPlusDecoder) else 1.0
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, tensor in weights.items():
        decay = strategy.weight_decay if tensor.ndim > 1 else 0.0
        groups.setdefault((decay, ratio if _LORA_B in name else 1.0), []).append(tensor)
    return [{"params": tensors, "weight_decay": decay, "ratio": faster} for (decay, faster), tensors in groups.items()]


def make_optimiser(weights: Mapping[str, Tensor], strategy: Strategy) -> torch.optim.AdamW:
    """The optimiser of a strategy, whose rate :func:`set_rate` sets at each step."""
    return torch.optim.AdamW(parameter_groups(weights, strategy), lr=strategy.learning_rate, fused=True)


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every group, times its ratio."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["ratio"]
