"""UniMed-CLIP's checkpoints, with the names of its authors' code and without their fork of open_clip."""

import numpy as np
import open_clip
import pytest
import torch
from torch import nn
from transformers import BertTokenizer

from medstress.cards.classifier import UniMedClip
from medstress.errors import MedstressError
from medstress.models.zeroshot import unimed_clip
from medstress.models.zeroshot.load import load_classifier
from tests.extras.clip_files import TEXTS, TINY_VIT, bert, hf_clip, pictures, tokenizer_files, vision_as_published

TINY = {"embed_dim": 32, "vision_cfg": TINY_VIT}


def card(folder, **settings):
    return UniMedClip(
        name="a",
        title="A",
        adapter="unimed_clip",
        weights=str(folder / "unimed.pt"),
        text=str(folder / "text"),
        device="cpu",
        batch=3,
        **settings,
    )


@pytest.fixture(scope="module")
def parts():
    """The image encoder, the text encoder and its projection, all of them transformers' and torch's own."""
    torch.manual_seed(2)
    projection = nn.Sequential(nn.Linear(128, 80, bias=False), nn.GELU(), nn.Linear(80, 32, bias=False))
    return hf_clip(), bert(), projection


@pytest.fixture(scope="module")
def tensors(parts):
    """As the authors' training saves them: wrapped, and with the positions that an older transformers had."""
    vision, text, projection = parts
    bare = {
        **vision_as_published(vision.state_dict()),
        **{f"text_encoder.transformer.{name}": value for name, value in text.state_dict().items()},
        **{f"text_encoder.proj.{name}": value for name, value in projection.state_dict().items()},
        "text_encoder.transformer.embeddings.position_ids": torch.arange(256)[None],
        "logit_scale": torch.tensor(4.2),
    }
    return {f"module.{name}": value for name, value in bare.items()}


@pytest.fixture
def folder(tmp_path, tensors):
    (tokenizer_files(tmp_path / "text") / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    bert().config.save_pretrained(tmp_path / "text")
    save(tmp_path, {"epoch": 3, "name": "unimed", "state_dict": tensors, "optimizer": {"lr": np.float64(1e-4)}})
    return tmp_path


def save(folder, what):
    torch.save(what, folder / "unimed.pt")


def test_logits_equal_those_of_the_towers_of_transformers(parts, folder):
    vision, text, projection = parts
    model = unimed_clip.load_as(card(folder), TINY, folder)
    words = BertTokenizer(str(folder / "text" / "vocab.txt"), do_lower_case=True)
    tokens = words(TEXTS, padding="max_length", max_length=256, truncation=True, return_tensors="pt")
    with torch.inference_mode():
        hidden = text(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]).last_hidden_state
        texts = projection(hidden[:, 0])
        images = vision.get_image_features(model.inputs(pictures())).pooler_output
        wanted = np.exp(4.2) * nn.functional.normalize(images) @ nn.functional.normalize(texts).T
    found = model.scale * model.embed(pictures()) @ model.embed_texts(TEXTS).T
    assert np.abs(found - wanted.numpy()).max() < 2e-5
    assert wanted.std() > 0.1
    assert model.targets.qkv and model.targets.out and model.targets.mlp


def test_a_tokenizer_that_names_its_kind_is_enough(folder):
    with_config = unimed_clip.load_as(card(folder), TINY, folder).embed_texts(TEXTS)
    (folder / "text" / "config.json").unlink()
    tokenizer_files(folder / "text")
    assert np.array_equal(unimed_clip.load_as(card(folder), TINY, folder).embed_texts(TEXTS), with_config)


@pytest.mark.parametrize(("vision", "theirs"), [("vit_b16", "ViT-B-16"), ("vit_l14_336", "ViT-L-14-336")])
def test_the_image_encoders_are_those_of_the_published_names(vision, theirs):
    published = open_clip.get_model_config(f"{theirs}-quickgelu")
    ours = unimed_clip._VISION[vision]
    assert ours == {"embed_dim": published["embed_dim"], "vision_cfg": published["vision_cfg"]}
    assert published["quick_gelu"]


def test_what_is_wrong_is_said(folder, tensors):
    def refused():
        with pytest.raises(MedstressError) as error:
            unimed_clip.load_as(card(folder), TINY, folder)
        return str(error.value)

    wider = bert().config
    wider.hidden_size = 192
    wider.save_pretrained(folder / "text")
    assert "config.json there is of a text encoder 192 wide, but the one in the weights is 128 wide" in refused()
    bert().config.save_pretrained(folder / "text")
    save(folder, {"state_dict": {name: value for name, value in tensors.items() if "proj.2" not in name}})
    assert "the weights do not fit: text.proj.2.weight not in the file" in refused()
    save(folder, {"state_dict": {"visual.proj": torch.zeros(2, 2)}})
    assert "is no checkpoint of UniMed-CLIP" in refused() and "adapter open_clip" in refused()
    save(folder, {"state_dict": tensors, "optimizer": folder})
    assert "which is code and not data" in refused()
    (folder / "text" / "vocab.txt").unlink()
    assert "the tokenizer of the text tower (tokenizer.json or vocab.txt) is not in" in refused()
    (folder / "unimed.pt").unlink()
    with pytest.raises(MedstressError, match="there is no file"):
        load_classifier(card(folder))
