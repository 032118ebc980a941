"""Low-rank updates of layers (Hu et al., "LoRA: low-rank adaptation of large language models", ICLR 2022).

Of every update A is drawn and B is zero, so that a model answers as before until the first step.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

PARAMETERS = r".*\.lora_[AB]\."
"""Matches the names of the parameters that are added here."""
THIRDS = ("q", "k", "v")


def inject_lora(model: nn.Module, targets: str, rank: int, alpha: int, seed: int, dropout: float = 0.0) -> None:
    """Put updates beside the linear layers and convolutions whose whole names `targets` matches, in place.

    What of them is drawn depends on the seed. That of a convolution is one with `rank` channels, then one of 1 x 1.
    """
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=targets, lora_dropout=dropout)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(config, model)


class FusedProjection(nn.Module):
    """A fused projection [..., in] to [..., 3 D], the thirds being q, k and v, with an update beside some of them."""

    def __init__(self, base_layer: nn.Linear, thirds: Sequence[str], rank: int, alpha: int, dropout: float) -> None:
        super().__init__()
        inside, outside = base_layer.in_features, base_layer.out_features // len(THIRDS)
        self.base_layer = base_layer
        self.scaling = alpha / rank
        self.dropout = nn.Dropout(dropout)
        self.lora_A = nn.ModuleDict({name: nn.Linear(inside, rank, bias=False) for name in thirds})
        self.lora_B = nn.ModuleDict({name: nn.Linear(rank, outside, bias=False) for name in thirds})
        for layer in self.lora_B.values():
            nn.init.zeros_(layer.weight)  # type: ignore[arg-type]
        self.to(base_layer.weight.device)

    def forward(self, states: Tensor) -> Tensor:
        """States [..., in] to [..., 3 D]."""
        given = self.dropout(states)
        thirds = list(self.base_layer(states).chunk(len(THIRDS), dim=-1))
        for place, name in enumerate(THIRDS):
            if name in self.lora_A:
                thirds[place] = thirds[place] + self.lora_B[name](self.lora_A[name](given)) * self.scaling
        return torch.cat(thirds, dim=-1)


def update_thirds(
    model: nn.Module, layers: Sequence[str], thirds: Sequence[str], rank: int, alpha: int, seed: int, dropout: float
) -> None:
    """Put updates beside q, k or v of the named fused projections, in place; what is drawn depends on the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name in layers:
            parent, _, child = name.rpartition(".")
            layer = model.get_submodule(name)
            assert isinstance(layer, nn.Linear), name
            assert layer.out_features % len(THIRDS) == 0, f"{name} is not fused of q, k and v"
            setattr(model.get_submodule(parent), child, FusedProjection(layer, thirds, rank, alpha, dropout))
