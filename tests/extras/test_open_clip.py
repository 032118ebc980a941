"""The adapter of open_clip's hub format: equal to transformers and to open_clip itself, and offline."""

import json
import re
import socket
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image as Picture

from medstress.errors import MedstressError
from medstress.models.zeroshot.load import load_classifier
from medstress.models.zeroshot.open_clip_network import require_open_clip
from tests.extras.clip_files import (
    PUBLISHED_TEXT,
    TEXTS,
    TINY_TEXT,
    TINY_VIT,
    bert,
    card,
    clip_as_published,
    hf_clip,
    hub_folder,
    pictures,
    tokenizer_files,
)

VIT = {"embed_dim": 32, "quick_gelu": True, "vision_cfg": TINY_VIT, "text_cfg": TINY_TEXT}
RESNET = {
    "embed_dim": 32,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16, "patch_size": None},
    "text_cfg": TINY_TEXT,
}
BIOMED = {
    "embed_dim": 32,
    "vision_cfg": {
        "timm_model_name": "vit_tiny_patch16_224",
        "timm_model_pretrained": False,
        "timm_pool": "",
        "timm_proj": "linear",
        "image_size": 224,
    },
    "text_cfg": {
        "hf_model_name": PUBLISHED_TEXT,
        "hf_tokenizer_name": PUBLISHED_TEXT,
        "hf_proj_type": "mlp",
        "hf_pooler_type": "cls_last_hidden_state_pooler",
        "context_length": 64,
    },
}


def with_local_text(folder):
    """The configuration of BIOMED with a text tower that open_clip itself finds without the network."""
    local = folder / "text"
    bert().config.save_pretrained(local)
    return BIOMED | {"text_cfg": BIOMED["text_cfg"] | {"hf_model_name": str(local), "hf_model_pretrained": False}}


def random_weights(model_cfg):
    """A network of open_clip with weights and statistics drawn anew, none of them a special value."""
    config = json.loads(json.dumps(model_cfg))
    kind = open_clip.CustomTextCLIP if "hf_model_name" in config["text_cfg"] else open_clip.CLIP
    model = kind(**config).eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name == "logit_scale" or not tensor.dtype.is_floating_point:
                continue
            tensor.normal_(0, 0.05)
            if name.endswith("running_var") or (tensor.ndim == 1 and name.endswith("weight")):
                tensor.abs_().add_(0.5)
    return model.state_dict()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Hub folders as open_clip itself can load them, by kind."""
    root = tmp_path_factory.mktemp("hub")
    biomed = tokenizer_files(root / "biomed")
    made = with_local_text(biomed)
    return {
        "vit": hub_folder(root / "vit", VIT, random_weights(VIT)),
        "resnet": hub_folder(
            root / "resnet", RESNET, random_weights(RESNET), mean=[0.4] * 3, std=[0.3] * 3, interpolation="bilinear"
        ),
        "biomed": hub_folder(
            biomed, made, random_weights(made), name="open_clip_pytorch_model.bin", resize_mode="squash"
        ),
    }


@pytest.fixture(scope="module")
def models(folders):
    return {kind: load_classifier(card(folder)) for kind, folder in folders.items()}


KINDS = ["vit", "resnet", "biomed"]


def logits(model, images, texts):
    return model.scale * model.embed(images) @ model.embed_texts(texts).T


@pytest.mark.parametrize("kind", KINDS)
def test_logits_equal_those_of_open_clip_itself(kind, folders, models):
    theirs, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{folders[kind]}")
    theirs.eval()
    tokens = open_clip.get_tokenizer(f"local-dir:{folders[kind]}")(TEXTS)
    inputs = torch.stack([preprocess(Picture.fromarray(image)) for image in pictures()])
    with torch.inference_mode():
        wanted, _ = theirs.get_logits(inputs, tokens)
    assert torch.equal(models[kind].inputs(pictures()), inputs)
    found = logits(models[kind], pictures(), TEXTS)
    assert np.abs(found - wanted.numpy()).max() < 2e-5
    assert found.std() > 1e-3


def test_the_same_weights_give_the_same_logits_as_in_transformers(tmp_path):
    reference = hf_clip()
    model = load_classifier(card(hub_folder(tmp_path / "hub", VIT, clip_as_published(reference.state_dict()))))
    with torch.inference_mode():
        wanted = reference(
            input_ids=open_clip.tokenize(TEXTS), pixel_values=model.inputs(pictures())
        ).logits_per_image.numpy()
    assert np.abs(logits(model, pictures(), TEXTS) - wanted).max() < 1e-5
    assert wanted.std() > 0.1


def test_biomedclip_needs_neither_network_nor_configuration_of_its_text_tower(tmp_path, monkeypatch, folders, models):
    def refuse(*_):
        raise AssertionError("looked at the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    tensors = torch.load(folders["biomed"] / "open_clip_pytorch_model.bin", weights_only=True)
    # Saved by an older transformers.
    tensors["text.transformer.embeddings.position_ids"] = torch.arange(256)[None]
    folder = hub_folder(
        tokenizer_files(tmp_path / "hub"), BIOMED, tensors, name="open_clip_pytorch_model.bin", resize_mode="squash"
    )
    model = load_classifier(card(folder))
    assert np.array_equal(logits(model, pictures(), TEXTS), logits(models["biomed"], pictures(), TEXTS))
    assert model.inputs(pictures()).shape == (5, 3, 224, 224)


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_does_not_depend_on_what_is_asked_beside_it(kind, models):
    model, images = models[kind], pictures()
    together = model.embed(images)
    assert together.dtype == np.float32
    assert np.array_equal(together, np.concatenate([model.embed([image]) for image in images]))
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    texts = model.embed_texts(TEXTS)
    assert np.array_equal(texts, np.concatenate([model.embed_texts([text]) for text in TEXTS]))
    assert np.allclose(np.linalg.norm(texts, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_the_pixels_through_the_path_that_answers(kind, models):
    model = models[kind]
    for image in pictures()[:2]:
        channels = image if image.ndim == 3 else image[..., None]
        pixels = torch.from_numpy(channels.transpose(2, 0, 1).astype(np.float32))[None].requires_grad_()
        inputs = model.differentiable_inputs(pixels)
        assert torch.allclose(inputs, model.inputs([image]), atol=1e-6)
        model.features(inputs)[0, 0].backward()
        assert pixels.grad.abs().max() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_lora_may_go_where_the_image_goes_through(kind, models):
    model, called = models[kind], set()
    modules = dict(model.model.named_modules())
    patterns = {part: pattern for part, pattern in vars(model.targets).items() if pattern}
    matched = {name: part for part, pattern in patterns.items() for name in modules if re.fullmatch(pattern, name)}
    handles = [modules[name].register_forward_hook(lambda *_, name=name: called.add(name)) for name in matched]
    model.embed(pictures()[:1])
    for handle in handles:
        handle.remove()
    assert called == set(matched)
    layer = torch.nn.Conv2d if kind == "resnet" else torch.nn.Linear
    assert all(isinstance(modules[name], layer) and re.match(model.encoder, name) for name in matched)
    if kind == "resnet":
        # The stem has three convolutions and each of the four blocks; short cuts have four more, which are left out.
        assert set(patterns) == {"conv"} and len(matched) == 3 + 4 * 3
    else:
        layers = {"vit": 2, "biomed": 12}[kind]
        parts = list(matched.values())
        assert {part: parts.count(part) for part in patterns} == {"qkv": layers, "out": layers, "mlp": 2 * layers}


def test_everything_that_does_not_fit_is_named(tmp_path, folders):
    def refused(**settings):
        with pytest.raises(MedstressError) as error:
            load_classifier(card(folder, **settings))
        return str(error.value)

    folder = tmp_path / "hub"
    assert "there is no open_clip_config.json in" in refused()
    tensors = hf_clip().state_dict()
    hub_folder(folder, VIT, tensors)
    said = refused()
    assert said.startswith(
        f"model card a: weights {str(folder)!r}: the weights do not fit: ln_final.bias, ln_final.weight"
    )
    assert "more not in the file" in said and "unknown to the network" in said
    assert "sha256" in refused(sha256="0" * 64)
    hub_folder(folder, VIT | {"vision_cfg": {"wings": 2}}, tensors)
    assert "describes no network" in refused() and "wings" in refused()
    hub_folder(folder, VIT, clip_as_published(tensors), resize_mode="longest", interpolation="nearest")
    assert "resize_mode is longest" in refused() and "interpolation is nearest" in refused()
    hub_folder(folder, BIOMED, torch.load(folders["biomed"] / "open_clip_pytorch_model.bin", weights_only=True))
    assert "the tokenizer of the text tower (tokenizer.json or vocab.txt) is not in" in refused()


def test_a_fork_of_the_same_name_is_told_apart(monkeypatch):
    fork = ModuleType("open_clip")
    fork.__spec__, fork.__file__ = ModuleSpec("open_clip", None), "UniMed-CLIP/src/open_clip/__init__.py"
    monkeypatch.setitem(sys.modules, "open_clip", fork)
    with pytest.raises(MedstressError, match=r"UniMed-CLIP/src/open_clip/__init__\.py is an older fork"):
        require_open_clip("open_clip")
