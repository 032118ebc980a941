"""Classifiers of a few thousand weights: a CLIP, one whose attention is fused, and a convolutional one."""

import torch
from torch import nn
from torch.nn import functional
from transformers import CLIPConfig, CLIPModel

from medstress.cards.classifier import Clip, ImageClassifier
from medstress.models.zeroshot.clip_pixels import Preprocessing
from medstress.models.zeroshot.encoder import TorchEncoder, TorchImageText
from medstress.models.zeroshot.protocol import Targets

SIDE = 32
# As the loader of a card sets it.
torch.set_num_threads(1)
CLIP_CARD = Clip(name="small_clip", title="Small CLIP", adapter="clip", weights="nowhere", device="cpu")
_LAYERS = r"vision_model\.encoder\.layers\.\d+\."


def plain_card(classes):
    return ImageClassifier(
        name="plain",
        title="Plain",
        adapter="image_classifier",
        library="timm",
        architecture="none",
        weights="nowhere",
        device="cpu",
        classes=list(classes),
    )


def small_clip(card=None):
    """A CLIP of two layers a tower; texts are read letter by letter."""
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config=shape | {"vocab_size": 130, "max_position_embeddings": 24, "eos_token_id": 129},
        vision_config=shape | {"image_size": SIDE, "patch_size": 8},
        projection_dim=16,
    )
    model = CLIPModel(config).eval()

    def encode_texts(texts):
        letters = [[min(ord(letter), 127) for letter in text][:22] for text in texts]
        tokens = torch.tensor([[128, *one, *[129] * (23 - len(one))] for one in letters])
        return model.get_text_features(input_ids=tokens).pooler_output

    return TorchImageText(
        model,
        Preprocessing(SIDE),
        forward=lambda inputs: model.get_image_features(inputs).pooler_output,
        encoder=r"(vision_model|visual_projection)\.",
        targets=Targets(
            q=_LAYERS + r"self_attn\.q_proj",
            k=_LAYERS + r"self_attn\.k_proj",
            v=_LAYERS + r"self_attn\.v_proj",
            out=_LAYERS + r"self_attn\.out_proj",
            mlp=_LAYERS + r"mlp\.fc[12]",
        ),
        name="small_clip",
        batch=4,
        encode_texts=encode_texts,
        scale=10.0,
    )


class FusedBlock(nn.Module):
    """Attention as timm has it: one projection for query, key and value."""

    def __init__(self, width):
        super().__init__()
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, states):
        q, k, v = self.qkv(states).chunk(3, dim=-1)
        return states + self.proj(functional.scaled_dot_product_attention(q, k, v))


class FusedNet(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.patches = nn.Conv2d(3, 24, 8, stride=8)
        self.blocks = nn.Sequential(FusedBlock(24), FusedBlock(24))
        self.head = nn.Linear(24, outputs)

    def forward(self, inputs):
        return self.head(self.blocks(self.patches(inputs).flatten(2).mT).mean(dim=1))


def fused_classifier(outputs=3):
    torch.manual_seed(1)
    net = FusedNet(outputs).eval()
    targets = Targets(qkv=r"blocks\.\d+\.qkv", out=r"blocks\.\d+\.proj")
    return TorchEncoder(net, Preprocessing(SIDE), net, encoder="", targets=targets, name="fused", unit=False, batch=4)


def conv_classifier(outputs=3):
    """Convolutions with a stride and batch normalisation, as in a ResNet."""
    torch.manual_seed(2)
    net = nn.Sequential(
        nn.Conv2d(3, 16, 7, stride=4, padding=3, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 16, 1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1, bias=False),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(64, outputs),
    ).eval()
    targets = Targets(conv=r"[036]")
    return TorchEncoder(net, Preprocessing(SIDE), net, encoder="", targets=targets, name="conv", unit=False, batch=4)
