"""MedCLIP's encoders: a Swin-Tiny or a ResNet-50 for images, Bio_ClinicalBERT for texts.

Wang et al., "MedCLIP: contrastive learning from unpaired medical images and text", EMNLP 2022.
"""

import math
import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel, SwinConfig, SwinModel

from medstress.models.zeroshot.bert_text import bert_config, count_layers
from medstress.models.zeroshot.protocol import Targets

SIDE = 224
_SWIN = r"vision\.model\.encoder\.layers\.\d+\.blocks\.\d+\."
SWIN_TARGETS = Targets(
    q=_SWIN + r"attention\.q_proj",
    k=_SWIN + r"attention\.k_proj",
    v=_SWIN + r"attention\.v_proj",
    out=_SWIN + r"attention\.o_proj",
    mlp=_SWIN + r"mlp\.fc[12]",
)
RESNET_TARGETS = Targets(conv=r"vision\.model\.(conv1|layer\d\.\d+\.conv\d)")

# From the names of transformers' SwinModel to those that it had when the files were written.
_SWIN_RENAMED = (
    (r"\.attention\.q_proj\.", ".attention.self.query."),
    (r"\.attention\.k_proj\.", ".attention.self.key."),
    (r"\.attention\.v_proj\.", ".attention.self.value."),
    (r"\.attention\.o_proj\.", ".attention.output.dense."),
    (r"\.attention\.relative_position_bias\.", ".attention.self."),
    (r"\.mlp\.fc1\.", ".intermediate.dense."),
    (r"\.mlp\.fc2\.", ".output.dense."),
)


class ClinicalText(nn.Module):
    """Tokens [1, n] to features [1, D]: the mean over all tokens of three hidden states, 1, 2 and the last."""

    def __init__(self, config: BertConfig, width: int) -> None:
        super().__init__()
        self.model = BertModel(config)
        self.projection_head = nn.Linear(config.hidden_size, width, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Not of unit length."""
        states = self.model(input_ids=tokens, output_hidden_states=True).hidden_states
        means = torch.stack([states[1], states[2], states[-1]], dim=1).mean(2).mean(1)
        features: Tensor = self.projection_head(means)
        return features


class SwinTower(nn.Module):
    """Inputs [n, 3, 224, 224] to features [n, D]: the mean of the last tokens, projected."""

    def __init__(self, config: SwinConfig, width: int) -> None:
        super().__init__()
        self.model = SwinModel(config)
        self.projection_head = nn.Linear(self.model.num_features, width, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Not of unit length."""
        features: Tensor = self.projection_head(self.model(pixel_values=inputs).pooler_output)
        return features


class ResNetTower(nn.Module):
    """Inputs [n, 3, 224, 224] to features [n, D]: torchvision's ResNet-50, whose last layer projects.

    Needs the extra `clip`.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        from torchvision.models import resnet50

        self.model = resnet50(weights=None)
        self.model.fc = nn.Linear(self.model.fc.in_features, width, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Not of unit length."""
        features: Tensor = self.model(inputs)
        return features


def clinical_text(tensors: Mapping[str, Tensor], prefix: str) -> ClinicalText:
    """A text encoder of the size of a file's tensors. KeyError where one that tells it is missing."""
    width = tensors[f"{prefix}projection_head.weight"].shape[0]
    return ClinicalText(bert_config(tensors, f"{prefix}model."), width)


def swin_tower(tensors: Mapping[str, Tensor], prefix: str) -> SwinTower:
    """An image encoder of the size of a file's tensors. KeyError where one that tells it is missing."""
    first, _, _, patch = tensors[f"{prefix}model.embeddings.patch_embeddings.projection.weight"].shape
    layers = rf"{re.escape(prefix)}model\.encoder\.layers\."
    stages = range(count_layers(tensors, rf"{layers}(\d+)\."))
    block = f"{prefix}model.encoder.layers.{{}}.blocks.0.{{}}"
    hidden = tensors[block.format(0, "intermediate.dense.weight")].shape[0]
    # A row for every difference of places in a window, a column for every head.
    tables = [tensors[block.format(stage, "attention.self.relative_position_bias_table")].shape for stage in stages]
    config = SwinConfig(
        image_size=SIDE,
        patch_size=patch,
        embed_dim=first,
        depths=[count_layers(tensors, rf"{layers}{stage}\.blocks\.(\d+)\.") for stage in stages],
        num_heads=[heads for _, heads in tables],
        window_size=(math.isqrt(tables[0][0]) + 1) // 2,
        mlp_ratio=hidden / first,
    )
    return SwinTower(config, tensors[f"{prefix}projection_head.weight"].shape[0])


def published_swin_name(name: str) -> str:
    """The name that a tensor of :class:`SwinTower` has in a file."""
    for pattern, replacement in _SWIN_RENAMED:
        name = re.sub(pattern, replacement, name)
    return name
