"""MedCLIP with its Swin: the released names, its authors' way of asking, and refusals of everything else."""

import math
import re
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from PIL import Image as Picture
from torch import nn
from torch.nn import functional
from transformers import BertConfig, BertModel, SwinConfig, SwinModel

from medstress.errors import MedstressError
from medstress.models.zeroshot.load import load_classifier
from medstress.models.zeroshot.medclip import load
from medstress.models.zeroshot.medclip_towers import clinical_text, swin_tower
from medstress.models.zeroshot.padded_grey import PaddedGrey
from tests.models.medclip_files import (
    TEXTS,
    TOKENS,
    medclip_card,
    old_swin_names,
    picture,
    swin_release,
    under,
    write_words,
)

MEAN, STD = 0.5862785803043838, 0.27950088968644304
IMAGES = [picture(60, 90), picture(300, 260, seed=2), picture(224, 224, colour=False, seed=3)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("medclip")


@pytest.fixture(scope="module")
def released(folder):
    return swin_release(folder)


@pytest.fixture(scope="module")
def model(folder, released):
    return load(medclip_card(folder))


def processed(image):
    """What MedCLIPProcessor does, in Pillow's own words."""
    height, width = image.shape[:2]
    size = max(224, height, width)
    square = Picture.new("L", (size, size), 0)
    square.paste(Picture.fromarray(image), (int((size - width) / 2), int((size - height) / 2)))
    values = np.asarray(square.resize((224, 224), Picture.Resampling.BICUBIC), np.float32) / 255
    return torch.from_numpy((values - np.float32(MEAN)) / np.float32(STD))


@pytest.mark.parametrize("shape", [(60, 90), (31, 224), (300, 260), (225, 100), (224, 224), (511, 640)])
@pytest.mark.parametrize("colour", [True, False])
def test_images_go_in_grey_and_padded_as_its_processor_has_them(shape, colour):
    image = picture(*shape, colour=colour)
    found = PaddedGrey().exact([image])[0]
    assert found.shape == (3, 224, 224)
    for channel in found:
        torch.testing.assert_close(channel, processed(image), atol=1e-6, rtol=0)


def test_a_small_image_keeps_its_pixels_in_the_middle_of_black():
    image = picture(100, 50, colour=False)
    levels = PaddedGrey().exact([image])[0, 0] * STD + MEAN
    torch.testing.assert_close(levels[62:162, 87:137] * 255, torch.from_numpy(image).float(), atol=1e-3, rtol=0)
    assert levels[:62].abs().max() < 1e-6


@pytest.mark.parametrize("shape", [(60, 90), (300, 260)])
@pytest.mark.parametrize("colour", [True, False])
def test_what_is_attacked_is_what_is_scored_and_has_the_gradient_without_rounding(model, shape, colour):
    image = picture(*shape, colour=colour)
    pixels = torch.from_numpy(image.reshape(*shape, -1)).permute(2, 0, 1)[None].float().requires_grad_()
    found = model.differentiable_inputs(pixels)
    torch.testing.assert_close(found, model.inputs([image]), atol=1e-6, rtol=0)
    direction = torch.rand(found.shape, generator=torch.Generator().manual_seed(0))
    (gradient,) = torch.autograd.grad((found * direction).sum(), pixels)
    # Of linear steps alone, so that a difference of any size is the derivative; none of these levels is cut off.
    path, flat = PaddedGrey(), torch.full_like(pixels[0].detach().double(), 100.0)
    other = flat + torch.rand(flat.shape, generator=torch.Generator().manual_seed(1)) * 9
    change = ((path.smooth(other) - path.smooth(flat)).double() * direction[0]).sum()
    assert (gradient[0].double() * (other - flat)).sum() == pytest.approx(float(change), rel=1e-3)


def test_image_features_are_those_of_transformers_swin(model, released):
    swin, head, _ = released
    with torch.inference_mode():
        expected = head(swin(torch.stack([processed(image).expand(3, -1, -1) for image in IMAGES])).pooler_output)
    found = model.embed(IMAGES)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, functional.normalize(expected).numpy(), atol=1e-5)


def test_text_features_are_the_mean_of_three_hidden_states(model, released):
    with torch.inference_mode():
        expected = torch.stack([released[2].features(tokens) for tokens in TOKENS])
    np.testing.assert_allclose(model.embed_texts(TEXTS), expected.numpy(), atol=1e-5)


def test_no_answer_depends_on_what_is_asked_beside_it(model):
    together, texts = model.embed(IMAGES), model.embed_texts(TEXTS)
    for index in range(3):
        np.testing.assert_array_equal(model.embed(IMAGES[index:])[0], together[index])
        np.testing.assert_array_equal(model.embed_texts([TEXTS[index]])[0], texts[index])


def test_long_texts_are_cut_after_77_tokens(model):
    long = "image " * 75
    np.testing.assert_array_equal(model.embed_texts([long + "of the lung"]), model.embed_texts([long]))
    assert not np.array_equal(model.embed_texts([long]), model.embed_texts(["image " * 74]))


@pytest.mark.parametrize(("stored", "scale"), [(2.5, math.exp(2.5)), (6.0, math.exp(4.6052)), (-1.0, 1.0)])
def test_the_logit_scale_is_the_checkpoints_own_held_between_1_and_100(tmp_path, folder, released, stored, scale):
    tensors = torch.load(folder / "pytorch_model.bin", weights_only=True) | {"logit_scale": torch.tensor(stored)}
    torch.save(tensors, write_words(tmp_path) / "pytorch_model.bin")
    assert load(medclip_card(tmp_path)).scale == pytest.approx(scale, rel=1e-6)


def test_lora_finds_linear_layers_under_every_target(model):
    layers = {name: type(module) for name, module in model.model.named_modules()}
    for target in (model.targets.q, model.targets.k, model.targets.v, model.targets.out, model.targets.mlp):
        kinds = [kind for name, kind in layers.items() if re.fullmatch(target, name)]
        assert set(kinds) == {nn.Linear}
        assert len(kinds) == (6 if target == model.targets.mlp else 3)
    assert all(re.match(model.encoder, name) for name in layers if "blocks" in name)


def test_the_released_sizes_are_read_from_shapes():
    with torch.device("meta"):
        swin, bert = SwinModel(SwinConfig()), BertModel(BertConfig(vocab_size=28996))
        tensors = old_swin_names(under("vision_model.model.", swin)) | under("text_model.model.", bert)
        # What the released file has, without the buffers that count places.
        assert sum(name.startswith("vision_model.model.") for name in tensors) == 219
        assert "vision_model.model.encoder.layers.3.blocks.1.attention.self.query.weight" in tensors
        heads = {tower: nn.Linear(768, 512, bias=False) for tower in ("vision_model", "text_model")}
        tensors |= {f"{tower}.projection_head.weight": head.weight for tower, head in heads.items()}
        vision, text = swin_tower(tensors, "vision_model."), clinical_text(tensors, "text_model.")
    assert (vision.model.config.depths, vision.model.config.num_heads) == ([2, 2, 6, 2], [3, 6, 12, 24])
    assert (vision.model.config.window_size, vision.model.config.mlp_ratio) == (7, 4.0)
    assert (text.model.config.num_hidden_layers, text.model.config.num_attention_heads) == (12, 12)


def test_the_registry_knows_the_adapter(folder, released):
    assert load_classifier(medclip_card(folder)).embed(IMAGES[:1]).shape == (1, 24)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda tensors: tensors.pop("text_model.model.encoder.layer.1.output.dense.weight"),
            "text_model.model.encoder.layer.1.output.dense.weight not in the file",
        ),
        (
            lambda tensors: tensors.pop("vision_model.model.encoder.layers.1.blocks.1.attention.self.query.bias"),
            "vision_model.model.encoder.layers.1.blocks.1.attention.self.query.bias not in the file",
        ),
        (lambda tensors: tensors.pop("logit_scale"), "logit_scale not in the file"),
        (
            lambda tensors: tensors.pop("vision_model.model.embeddings.patch_embeddings.projection.weight"),
            "vision_model.model.embeddings.patch_embeddings.projection.weight not in the file",
        ),
        (lambda tensors: tensors.update(extra=torch.zeros(1)), "extra unknown to MedCLIP with vision: swin"),
        (
            lambda tensors: tensors.update({"text_model.model.pooler.dense.bias": torch.zeros(3)}),
            "text_model.model.pooler.dense.bias of another shape",
        ),
    ],
)
def test_files_that_do_not_fit_are_refused_by_name(tmp_path, folder, released, change, message):
    tensors = torch.load(folder / "pytorch_model.bin", weights_only=True)
    change(tensors)
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    with pytest.raises(MedstressError, match=re.escape(message)) as caught:
        load(medclip_card(tmp_path))
    assert "model card small" in str(caught.value)


def test_the_wrong_tokenizer_is_refused(tmp_path, folder, released):
    card = medclip_card(folder, text=str(tmp_path))
    with pytest.raises(MedstressError, match=r"neither vocab.txt nor tokenizer.json found"):
        load(card)
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na")
    with pytest.raises(MedstressError, match="has 6 words, but the text encoder 13"):
        load(card)


@pytest.mark.skipif(find_spec("torchvision") is not None, reason="the extra is there")
def test_the_resnet_names_the_extra_that_it_needs(folder):
    with pytest.raises(MedstressError) as error:
        load(medclip_card(folder, vision="resnet50"))
    assert str(error.value) == "adapter medclip needs torchvision: pip install 'medstress[clip]'"


def test_another_file_than_the_cards_is_refused(folder, released):
    with pytest.raises(MedstressError, match="but the card says 0000"):
        load(medclip_card(folder, sha256="0" * 64))
    with pytest.raises(MedstressError, match="there is no file"):
        load(medclip_card(folder / "nowhere", text=str(folder)))
