"""BiomedCLIP's encoders, without timm and open_clip: a ViT under timm's names, and a BiomedBERT.

Zhang et al., "BiomedCLIP: a multimodal biomedical foundation model", arXiv 2303.00915.
"""

import math
import re
from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import BertConfig, BertModel

from medstress.models.zeroshot.bert_text import HEAD_WIDTH, bert_config, count_layers
from medstress.models.zeroshot.protocol import Targets

_BLOCK = r"vision\.trunk\.blocks\.\d+\."
VIT_TARGETS = Targets(qkv=_BLOCK + r"attn\.qkv", out=_BLOCK + r"attn\.proj", mlp=_BLOCK + r"mlp\.fc[12]")
_EPSILON = 1e-6


class Attention(nn.Module):
    """Self-attention of tokens [n, t, width], heads of 64."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = max(1, width // HEAD_WIDTH)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Of the same shape."""
        count, length, width = tokens.shape
        parts = self.qkv(tokens).view(count, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(query, key, value)
        projected: Tensor = self.proj(seen.transpose(1, 2).reshape(count, length, width))
        return projected


class Block(nn.Module):
    """Attention and a two-layer perceptron, each after a norm and beside the identity."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, _EPSILON)
        self.attn = Attention(width)
        self.norm2 = nn.LayerNorm(width, _EPSILON)
        layers = OrderedDict(fc1=nn.Linear(width, hidden), act=nn.GELU(), fc2=nn.Linear(hidden, width))
        self.mlp = nn.Sequential(layers)

    def forward(self, tokens: Tensor) -> Tensor:
        """Of the same shape."""
        tokens = tokens + self.attn(self.norm1(tokens))
        out: Tensor = tokens + self.mlp(self.norm2(tokens))
        return out


class VisionTransformer(nn.Module):
    """Inputs [n, 3, S, S] to the class token [n, width]; timm's vit_base_patch16_224 at its own size.

    Dosovitskiy et al., "An image is worth 16x16 words", ICLR 2021.
    """

    def __init__(self, *, side: int, patch: int, width: int, depth: int, hidden: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + (side // patch) ** 2, width))
        self.patch_embed = nn.Sequential(OrderedDict(proj=nn.Conv2d(3, width, patch, patch)))
        self.blocks = nn.Sequential(*(Block(width, hidden) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, _EPSILON)

    def forward(self, inputs: Tensor) -> Tensor:
        """Of one width, not of unit length."""
        patches = self.patch_embed(inputs).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(inputs), -1, -1), patches], dim=1) + self.pos_embed
        found: Tensor = self.norm(self.blocks(tokens))[:, 0]
        return found


class BiomedText(nn.Module):
    """Tokens [1, n] to features [1, D]: the first token's last state, through two layers without biases."""

    def __init__(self, config: BertConfig, hidden: int, width: int) -> None:
        super().__init__()
        self.transformer = BertModel(config, add_pooling_layer=False)
        self.proj = nn.Sequential(
            nn.Linear(config.hidden_size, hidden, bias=False), nn.GELU(), nn.Linear(hidden, width, bias=False)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Not of unit length."""
        features: Tensor = self.proj(self.transformer(input_ids=tokens).last_hidden_state[:, 0])
        return features


def image_side(tensors: Mapping[str, Tensor], prefix: str) -> int:
    """Side of the input of a file's ViT, in pixels. KeyError where a tensor that tells it is missing."""
    patch = tensors[f"{prefix}trunk.patch_embed.proj.weight"].shape[-1]
    return patch * math.isqrt(tensors[f"{prefix}trunk.pos_embed"].shape[1] - 1)


def biomed_vision(tensors: Mapping[str, Tensor], prefix: str) -> nn.Sequential:
    """Inputs to features [n, D], of the size of a file's tensors. KeyError where one that tells it is missing."""
    width, _, patch, _ = tensors[f"{prefix}trunk.patch_embed.proj.weight"].shape
    trunk = VisionTransformer(
        side=image_side(tensors, prefix),
        patch=patch,
        width=width,
        depth=count_layers(tensors, rf"{re.escape(prefix)}trunk\.blocks\.(\d+)\."),
        hidden=tensors[f"{prefix}trunk.blocks.0.mlp.fc1.weight"].shape[0],
    )
    head = nn.Linear(width, tensors[f"{prefix}head.proj.weight"].shape[0], bias=False)
    return nn.Sequential(OrderedDict(trunk=trunk, head=nn.Sequential(OrderedDict(proj=head))))


def biomed_text(tensors: Mapping[str, Tensor], prefix: str) -> BiomedText:
    """A text encoder of the size of a file's tensors. KeyError where one that tells it is missing."""
    hidden, width = tensors[f"{prefix}proj.0.weight"].shape[0], tensors[f"{prefix}proj.2.weight"].shape[0]
    return BiomedText(bert_config(tensors, f"{prefix}transformer."), hidden, width)
