"""Virtual tokens before every prompt: the parameters are peft's, their place is ours.

Lester et al., "The power of scale for parameter-efficient prompt tuning", EMNLP 2021. peft itself puts them before the
padding of a batch and forgets the positions, so that a question's answer depends on the longest one of its batch.
"""

from collections.abc import Mapping
from typing import Any

import torch
from peft import PromptEmbedding, PromptTuningConfig
from torch import Tensor, nn

PARAMETERS = r".*\.prompt\.embedding\.weight$"
"""Matches the name of what is trained."""


class _Embeddings(nn.Module):
    """Embeddings of ids [n, length]; those from `first` on are virtual tokens."""

    def __init__(self, base: nn.Module, prompt: PromptEmbedding, first: int) -> None:
        super().__init__()
        self.base, self.prompt, self.first = base, prompt, first

    def forward(self, ids: Tensor) -> Tensor:
        virtual = ids >= self.first
        words: Tensor = self.base(ids.masked_fill(virtual, 0))
        own = self.prompt((ids - self.first).clamp(min=0)).to(words.dtype)
        return torch.where(virtual[..., None], own, words)


class Prompted(nn.Module):
    """A network that finds virtual tokens before each row that it is given, and else is asked as before.

    `network` gets their embeddings, in place; which words they start as is drawn from the seed. Rows may be padded at
    either end. What this class does not have is looked up in the network.
    """

    def __init__(self, network: Any, tokens: int, seed: int) -> None:
        super().__init__()
        base = network.get_input_embeddings()
        config = PromptTuningConfig(num_virtual_tokens=tokens, prompt_tuning_init="SAMPLE_VOCAB")
        config.num_transformer_submodules, config.token_dim = 1, base.embedding_dim
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            prompt = PromptEmbedding(config, base).to(base.weight.device)  # type: ignore[no-untyped-call]
        network.set_input_embeddings(_Embeddings(base, prompt, base.num_embeddings))
        self.network = network
        self._ids = range(base.num_embeddings, base.num_embeddings + tokens)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "network":
                raise
            return getattr(self.network, name)

    def forward(self, **inputs: Any) -> Any:
        """The network's outputs; of a batch padded at the right, those of the virtual tokens come first."""
        return self.network(**self._with_tokens(inputs))

    def generate(self, **inputs: Any) -> Tensor:
        """Ids [n, length + new]: those that were given, without virtual tokens, and those that follow."""
        given = inputs["input_ids"]
        found: Tensor = self.network.generate(**self._with_tokens(inputs))
        return torch.cat([given, found[:, len(self._ids) + given.shape[1] :]], dim=1)

    def _with_tokens(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Inputs whose rows have the virtual tokens behind the padding at their left."""
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        starts = mask.to(torch.int64).argmax(dim=1).tolist()
        shape, number = ids.shape, len(self._ids)
        virtual = torch.tensor(self._ids, device=ids.device)
        blank = {"input_ids": virtual, "attention_mask": torch.ones(number, dtype=mask.dtype, device=mask.device)}
        changed = {}
        for name, value in inputs.items():
            if isinstance(value, Tensor) and value.shape == shape:
                new = blank[name] if name in blank else value.new_zeros(number)
                rows = [torch.cat([row[:at], new, row[at:]]) for row, at in zip(value, starts, strict=True)]
                changed[name] = torch.stack(rows)
        return {**inputs, **changed}
