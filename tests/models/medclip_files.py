"""Small files of MedCLIP and RobustMedCLIP with the names that the released ones have, and what they were made of."""

from collections import OrderedDict
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import BertConfig, BertModel, SwinConfig, SwinModel

from medstress.cards.classifier import MedClip, RobustMedClip

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "medical", "image", "of", "the", "lung", "retina", "##l"]
BERT = BertConfig(
    vocab_size=len(WORDS), hidden_size=128, num_hidden_layers=3, num_attention_heads=2, intermediate_size=48
)
SWIN = SwinConfig(image_size=224, embed_dim=16, depths=[1, 2], num_heads=[1, 2], mlp_ratio=2.0)
TEXTS = ["a medical image of the lung", "Retinal image", "a medical image of a retina"]
# As transformers named them when the files were saved; the order matters.
OLD_SWIN = {
    "attention.q_proj": "attention.self.query",
    "attention.k_proj": "attention.self.key",
    "attention.v_proj": "attention.self.value",
    "attention.o_proj": "attention.output.dense",
    "attention.relative_position_bias.": "attention.self.",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}


def tokens_of(*words):
    return torch.tensor([[2, *(WORDS.index(word) for word in words), 3]])


TOKENS = [
    tokens_of("a", "medical", "image", "of", "the", "lung"),
    tokens_of("retina", "##l", "image"),
    tokens_of("a", "medical", "image", "of", "a", "retina"),
]


def picture(height, width, colour=True, seed=1):
    size = (height, width, 3) if colour else (height, width)
    return np.random.default_rng(seed).integers(0, 256, size).astype(np.uint8)


def drawn(make, seed):
    """A network with weights that matter, also those that start as zeros or ones."""
    torch.manual_seed(seed)
    network = make()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return network.eval()


def under(prefix, network):
    return {f"{prefix}{name}": tensor.clone() for name, tensor in network.state_dict().items()}


def old_swin_names(tensors):
    return {reduce(lambda name, pair: name.replace(*pair), OLD_SWIN.items(), name): tensors[name] for name in tensors}


def write_words(folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    return folder


@dataclass
class Clinical:
    bert: nn.Module
    projection: nn.Module

    def tensors(self, prefix):
        places = {f"{prefix}model.embeddings.position_ids": torch.arange(512)[None]}
        return under(f"{prefix}model.", self.bert) | under(f"{prefix}projection_head.", self.projection) | places

    def features(self, tokens):
        """As MedCLIP's text model says: hidden states 1, 2 and the last, averaged over tokens and over the three."""
        states = self.bert(tokens, attention_mask=torch.ones_like(tokens), output_hidden_states=True).hidden_states
        means = [states[index].mean(1) for index in (1, 2, -1)]
        features = self.projection((means[0] + means[1] + means[2]) / 3)
        return (features / features.norm(dim=-1, keepdim=True))[0]


def clinical(width=24):
    return Clinical(drawn(lambda: BertModel(BERT), 1), drawn(lambda: nn.Linear(BERT.hidden_size, width, bias=False), 2))


def medclip_card(folder, **changes):
    said = {"weights": str(folder / "pytorch_model.bin"), "text": str(folder), "device": "cpu", "batch": 2} | changes
    return MedClip(name="small", title="Small", adapter="medclip", **said)


def robust_card(folder, **changes):
    said = {"weights": str(folder), "text": str(folder), "device": "cpu", "batch": 2} | changes
    return RobustMedClip(name="small", title="Small", adapter="robust_medclip", **said)


def swin_release(folder: Path):
    """Writes pytorch_model.bin and vocab.txt; the networks whose tensors are in it."""
    swin = drawn(lambda: SwinModel(SWIN), 3)
    head = drawn(lambda: nn.Linear(swin.num_features, 24, bias=False), 4)
    text = clinical()
    tensors = old_swin_names(under("vision_model.model.", swin)) | under("vision_model.projection_head.", head)
    places = torch.zeros(49, 49, dtype=torch.int64)
    tensors["vision_model.model.encoder.layers.0.blocks.0.attention.self.relative_position_index"] = places
    tensors |= text.tensors("text_model.") | {"logit_scale": torch.tensor(2.5)}
    torch.save(OrderedDict(tensors), write_words(folder) / "pytorch_model.bin")
    return swin, head, text


def lora_pair(inputs, out, rank, seed) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    draw = [torch.randn(shape, generator=generator) * 0.2 for shape in ((rank, inputs), (out, rank))]
    return draw[0], draw[1]


def save_numbered(path, pairs, head):
    """lora_weights.safetensors, as the release numbers its pairs."""
    tensors = {f"w_a_{index:03d}": down.contiguous() for index, (down, _) in enumerate(pairs)}
    tensors |= {f"w_b_{index:03d}": up.contiguous() for index, (_, up) in enumerate(pairs)}
    tensors[f"fc_{head.shape[1]}in_{head.shape[0]}out"] = head
    save_file(tensors, path)
