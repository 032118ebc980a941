"""RobustMedCLIP with its ViT: both published layouts of its LoRA, the published forward, and refusals."""

import re
from functools import reduce
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from PIL import Image as Picture
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional
from transformers import BertModel, ViTConfig, ViTModel

from medstress.errors import MedstressError
from medstress.models.zeroshot.robust_medclip import load
from medstress.models.zeroshot.robust_medclip_lora import HEADS, changed_layers, numbered_names, write_published_lora
from tests.models.medclip_files import (
    BERT,
    TEXTS,
    TOKENS,
    drawn,
    lora_pair,
    picture,
    robust_card,
    save_numbered,
    under,
    write_words,
)

SIDE, WIDTH, DEPTH, RANK = 48, 128, 3, 5
IMAGES = [picture(60, 90), picture(48, 48, colour=False, seed=3), picture(300, 260, seed=2)]
VIT = ViTConfig(
    image_size=SIDE,
    hidden_size=WIDTH,
    num_hidden_layers=DEPTH,
    num_attention_heads=2,
    intermediate_size=72,
    layer_norm_eps=1e-6,
)
TRUNK = "lora_vit.lora_vit.trunk."
# From transformers' names to timm's.
TIMM = {
    "embeddings.cls_token": "cls_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.patch_embeddings.projection.": "patch_embed.proj.",
    "attention.o_proj.": "attn.proj.",
    "layernorm_before.": "norm1.",
    "layernorm_after.": "norm2.",
    "layernorm.": "norm.",
}


class Parallel(nn.Module):
    """A projection with the published low-rank path beside it, as it is trained."""

    def __init__(self, plain, pair):
        super().__init__()
        self.plain, (self.down, self.up) = plain, pair

    def forward(self, tokens):
        return self.plain(tokens) + functional.linear(functional.linear(tokens, self.down), self.up)


class Reference:
    """The networks, apart from each other, and the file that the release would make of them."""

    def __init__(self, rank=RANK):
        self.vit = drawn(lambda: ViTModel(VIT, add_pooling_layer=False), 1)
        self.head = drawn(lambda: nn.Linear(WIDTH, 24, bias=False), 2)
        self.bert = drawn(lambda: BertModel(BERT, add_pooling_layer=False), 3)
        self.proj = drawn(
            lambda: nn.Sequential(nn.Linear(WIDTH, 40, bias=False), nn.GELU(), nn.Linear(40, 24, bias=False)), 4
        )
        self.pairs = {
            (block, part): lora_pair(WIDTH, WIDTH, rank, 10 * block + index)
            for block in range(DEPTH)
            for index, part in enumerate("qkv")
        }

    def tensors(self):
        found = {f"{TRUNK}{self.timm_name(name)}": tensor.clone() for name, tensor in self.vit.state_dict().items()}
        for block in range(DEPTH):
            place = f"{TRUNK}blocks.{block}.attn."
            for kind in ("weight", "bias"):
                parts = [found.pop(f"{TRUNK}blocks.{block}.attention.{part}_proj.{kind}") for part in "qkv"]
                found[f"{place}qkv.qkv.{kind}"] = torch.cat(parts)
            for part in "qkv":
                down, up = self.pairs[block, part]
                found |= {f"{place}qkv.linear_a_{part}.weight": down, f"{place}qkv.linear_b_{part}.weight": up}
        found |= under("lora_vit.lora_vit.head.proj.", self.head)
        found |= under("text_encoder.transformer.", self.bert) | under("text_encoder.proj.", self.proj)
        return found | {"text_encoder.transformer.embeddings.position_ids": torch.arange(512)[None]}

    @staticmethod
    def timm_name(name):
        name = re.sub(r"^layers\.", "blocks.", name)
        return reduce(lambda name, pair: name.replace(*pair), TIMM.items(), name)

    def write(self, folder, numbered=True):
        torch.save(self.tensors(), write_words(folder) / "model.pth")
        if numbered:
            pairs = [self.pairs[block, part] for block in range(DEPTH) for part in "qv"]
            save_numbered(folder / "lora_weights.safetensors", pairs, self.head.weight.detach())
        return folder

    def image_features(self, inputs):
        for block, layer in enumerate(self.vit.layers):
            for part in "qkv":
                plain = getattr(layer.attention, f"{part}_proj")
                if not isinstance(plain, Parallel):
                    setattr(layer.attention, f"{part}_proj", Parallel(plain, self.pairs[block, part]))
        return functional.normalize(self.head(self.vit(inputs).last_hidden_state[:, 0]))


@pytest.fixture(scope="module")
def reference():
    return Reference()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, reference):
    return reference.write(tmp_path_factory.mktemp("rmedclip"))


@pytest.fixture(scope="module")
def model(folder):
    return load(robust_card(folder))


def processed(image):
    """The release's evaluation transform in Pillow's words: the short side, the middle, CLIP's statistics, once."""
    opened = Picture.fromarray(image)
    short = min(opened.size)
    size = tuple(int(SIDE * side / short) for side in opened.size)
    opened = opened.resize(size, Picture.Resampling.BICUBIC)
    left, top = (round((side - SIDE) / 2) for side in opened.size)
    values = np.asarray(opened.crop((left, top, left + SIDE, top + SIDE)).convert("RGB"), np.float32) / 255
    mean, std = np.float32([0.48145466, 0.4578275, 0.40821073]), np.float32([0.26862954, 0.26130258, 0.27577711])
    return torch.from_numpy((values - mean) / std).permute(2, 0, 1)


def test_inputs_are_normalised_once_with_clips_statistics(model):
    expected = torch.stack([processed(image) for image in IMAGES])
    torch.testing.assert_close(model.inputs(IMAGES), expected, atol=1e-6, rtol=0)


def test_image_features_are_those_of_the_published_forward(model):
    with torch.inference_mode():
        expected = Reference().image_features(torch.stack([processed(image) for image in IMAGES]))
    np.testing.assert_allclose(model.embed(IMAGES), expected.numpy(), atol=1e-5)


def test_lora_is_merged_and_matters(tmp_path, model):
    nothing = Reference()
    nothing.pairs = {place: (down, torch.zeros_like(up)) for place, (down, up) in nothing.pairs.items()}
    plain = load(robust_card(nothing.write(tmp_path))).embed(IMAGES)
    assert np.abs(plain - model.embed(IMAGES)).max() > 0.01
    assert not any("linear_" in name or "lora" in name for name, _ in model.model.named_parameters())


def test_text_features_are_the_first_tokens(model, reference):
    with torch.inference_mode():
        expected = [reference.proj(reference.bert(tokens).last_hidden_state[:, 0]) for tokens in TOKENS]
    np.testing.assert_allclose(model.embed_texts(TEXTS), functional.normalize(torch.cat(expected)).numpy(), atol=1e-5)
    assert model.scale == 1.0


def test_no_answer_depends_on_what_is_asked_beside_it(model):
    together = model.embed(IMAGES)
    for index in range(3):
        np.testing.assert_array_equal(model.embed(IMAGES[index:])[0], together[index])


@pytest.mark.parametrize("rank", [1, 8])
def test_the_rank_is_read_from_shapes(tmp_path, rank):
    other = Reference(rank)
    found = load(robust_card(other.write(tmp_path))).embed(IMAGES[:1])
    with torch.inference_mode():
        np.testing.assert_allclose(found, other.image_features(processed(IMAGES[0])[None]).numpy(), atol=1e-5)


def test_model_pth_alone_is_enough(tmp_path, reference, model):
    alone = load(robust_card(Reference().write(tmp_path, numbered=False)))
    np.testing.assert_array_equal(alone.embed(IMAGES[:1]), model.embed(IMAGES[:1]))


def test_published_lora_goes_round_in_circles(tmp_path, folder):
    tensors = torch.load(folder / "model.pth", weights_only=True)
    names = numbered_names(changed_layers(tensors, "vit"), tensors, HEADS["vit"])
    write_published_lora(tmp_path / "again.safetensors", names, tensors)
    before, after = load_file(folder / "lora_weights.safetensors"), load_file(tmp_path / "again.safetensors")
    assert before.keys() == after.keys()
    assert {"w_a_000", "w_b_005", "fc_128in_24out"} < after.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_files_of_two_models_are_refused(tmp_path):
    first, second = Reference(), Reference()
    second.pairs[2, "v"] = lora_pair(WIDTH, WIDTH, RANK, 99)
    second.write(tmp_path)
    torch.save(first.tensors(), tmp_path / "model.pth")
    with pytest.raises(MedstressError, match=r"w_a_005, w_b_005 in lora_weights.safetensors differ from model.pth"):
        load(robust_card(tmp_path))
    Reference(2).write(tmp_path)
    torch.save(first.tensors(), tmp_path / "model.pth")
    with pytest.raises(MedstressError, match=r"does not fit: w_a_000, w_a_001, w_a_002 and 9 more of another shape"):
        load(robust_card(tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda tensors: tensors.pop(f"{TRUNK}blocks.0.attn.qkv.linear_a_q.weight"),
            "linear_a_q.weight not in the file",
        ),
        (
            lambda tensors: tensors.pop(f"{TRUNK}blocks.1.attn.qkv.linear_b_k.weight"),
            f"{TRUNK}blocks.1.attn.qkv.linear_b_k.weight not in the file",
        ),
        (
            lambda tensors: tensors.update({f"{TRUNK}blocks.1.attn.qkv.linear_b_k.weight": torch.zeros(WIDTH, 2)}),
            f"{TRUNK}blocks.1.attn.qkv.linear_b_k.weight of another shape",
        ),
        (lambda tensors: tensors.update(logit_scale=torch.zeros(())), "logit_scale unknown to RobustMedCLIP"),
    ],
)
def test_files_that_do_not_fit_are_refused_by_name(tmp_path, folder, change, message):
    tensors = torch.load(folder / "model.pth", weights_only=True)
    change(tensors)
    torch.save(tensors, tmp_path / "model.pth")
    with pytest.raises(MedstressError, match=re.escape(message)):
        load(robust_card(tmp_path, text=str(folder)))


def test_the_other_towers_file_is_named(tmp_path, folder):
    torch.save({"lora_resnet.lora_medclip.model.fc.weight": torch.zeros(24, 2048)}, tmp_path / "model.pth")
    with pytest.raises(MedstressError, match=r"not in the file\. It looks like RobustMedCLIP with vision: resnet"):
        load(robust_card(tmp_path, text=str(folder)))


@pytest.mark.skipif(find_spec("torchvision") is not None, reason="the extra is there")
def test_the_resnet_names_the_extra_that_it_needs(folder):
    with pytest.raises(MedstressError) as error:
        load(robust_card(folder, vision="resnet"))
    assert str(error.value) == "adapter robust_medclip needs torchvision: pip install 'medstress[clip]'"


def test_lora_finds_the_fused_projections(model):
    layers = {name: module for name, module in model.model.named_modules() if isinstance(module, nn.Linear)}
    fused = [layer for name, layer in layers.items() if re.fullmatch(model.targets.qkv, name)]
    assert [layer.out_features for layer in fused] == [3 * WIDTH] * DEPTH
    assert sum(bool(re.fullmatch(model.targets.out, name)) for name in layers) == DEPTH
    assert sum(bool(re.fullmatch(model.targets.mlp, name)) for name in layers) == 2 * DEPTH
    assert model.targets.q is model.targets.conv is None
