"""Adapters for a model that has none (Houlsby et al., "Parameter-efficient transfer learning for NLP", ICML 2019)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

PARAMETERS = r".*\.bottleneck\."
"""Matches the names of the parameters that :func:`insert_bottlenecks` adds."""


class Adapted(nn.Module):
    """A linear layer and, behind it, a residual bottleneck that starts as the identity."""

    def __init__(self, base_layer: nn.Linear, width: int) -> None:
        super().__init__()
        self.base_layer = base_layer
        up = nn.Linear(width, base_layer.out_features)
        nn.init.zeros_(up.weight)
        nn.init.zeros_(up.bias)
        self.bottleneck = nn.Sequential(nn.Linear(base_layer.out_features, width), nn.GELU(), up)
        self.bottleneck.to(base_layer.weight.device)

    def forward(self, states: Tensor) -> Tensor:
        """States [..., in] to [..., out]."""
        answer: Tensor = self.base_layer(states)
        change: Tensor = self.bottleneck(answer)
        return answer + change


def insert_bottlenecks(model: nn.Module, layers: Sequence[str], width: int, seed: int) -> None:
    """Put a bottleneck behind each of the named linear layers, in place; what of them is drawn depends on the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name in layers:
            parent, _, child = name.rpartition(".")
            layer = model.get_submodule(name)
            assert isinstance(layer, nn.Linear), name
            setattr(model.get_submodule(parent), child, Adapted(layer, width))
