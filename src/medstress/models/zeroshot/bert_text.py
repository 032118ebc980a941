"""BERT as the text encoder of an image-text model: its size, its tokenizer, and texts one at a time."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertTokenizer

from medstress.errors import MedstressError

_VOCABULARIES = ("vocab.txt", "tokenizer.json")
# Of one attention head, in BERT as in ViT; no tensor's shape tells it.
HEAD_WIDTH = 64


def bert_config(tensors: Mapping[str, Tensor], prefix: str) -> BertConfig:
    """The size of a BERT from its tensors, whose names begin with `prefix`. KeyError where one of them is missing."""
    words, width = tensors[f"{prefix}embeddings.word_embeddings.weight"].shape
    return BertConfig(
        vocab_size=words,
        hidden_size=width,
        num_hidden_layers=count_layers(tensors, rf"{re.escape(prefix)}encoder\.layer\.(\d+)\."),
        num_attention_heads=max(1, width // HEAD_WIDTH),
        intermediate_size=tensors[f"{prefix}encoder.layer.0.intermediate.dense.weight"].shape[0],
        max_position_embeddings=tensors[f"{prefix}embeddings.position_embeddings.weight"].shape[0],
        type_vocab_size=tensors[f"{prefix}embeddings.token_type_embeddings.weight"].shape[0],
    )


def count_layers(names: Mapping[str, Tensor], pattern: str) -> int:
    """How many numbers the group of a pattern takes at the beginnings of names."""
    return len({found[1] for name in names if (found := re.match(pattern, name))})


def read_tokenizer(folder: Path, words: int, where: str) -> BertTokenizer:
    """The tokenizer of a folder with vocab.txt or tokenizer.json; without settings beside it, texts are lower-cased.

    Raises MedstressError, beginning with `where`, where the folder has none, or one with another number of words than
    the text encoder's `words`.
    """
    if not any((folder / name).is_file() for name in _VOCABULARIES):
        raise MedstressError(
            f"{where}: neither {' nor '.join(_VOCABULARIES)} found in {folder}. Get the tokenizer as docs/models.md "
            "says, or correct `text` in the card."
        )
    tokenizer: BertTokenizer = BertTokenizer.from_pretrained(folder, local_files_only=True)
    if len(tokenizer) != words:
        raise MedstressError(
            f"{where}: the tokenizer in {folder} has {len(tokenizer)} words, but the text encoder {words}. Get the one "
            "that docs/models.md names, or correct `text` in the card."
        )
    return tokenizer


def encode_one_by_one(
    network: nn.Module, tokenizer: Any, longest: int, device: Callable[[], torch.device]
) -> Callable[[Sequence[str]], Tensor]:
    """Texts to what `network` makes of tokens [1, n], together [texts, D]; at most `longest` tokens, the rest cut off.

    One text at a time and without padding, which some text encoders take into their means.
    """

    def encode(texts: Sequence[str]) -> Tensor:
        found = []
        for text in texts:
            tokens = tokenizer(text, truncation=True, max_length=longest)["input_ids"]
            found.append(network(torch.tensor([tokens], device=device())))
        return torch.cat(found)

    return encode
