"""The clip adapter is transformers' own CLIP, asked in its own way."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Picture
from transformers import AutoTokenizer, CLIPModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from medstress.cards.classifier import Clip
from medstress.errors import MedstressError
from medstress.models.zeroshot.clip import load
from medstress.models.zeroshot.clip_pixels import Preprocessing
from medstress.models.zeroshot.encoder import TorchImageText
from medstress.models.zeroshot.head import text_head
from medstress.specs import ClassTexts

WEIGHTS = Path("resources/models/tiny_clip")
TEXTS = ["a medical image of a CT belonging to modality", "an image of fundus", "X-ray"]


def card(weights: Path = WEIGHTS) -> Clip:
    return Clip(name="tiny_clip", title="Tiny CLIP", adapter="clip", weights=str(weights), device="cpu")


@pytest.fixture(scope="module")
def clip() -> TorchImageText:
    return load(card())


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = [(64, 64), (90, 70, 3), (65, 131), (224, 160, 3), (33, 40)]
    return [rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]


def test_logits_are_those_of_transformers(clip: TorchImageText, images: list[np.ndarray]) -> None:
    model = CLIPModel.from_pretrained(WEIGHTS).eval()
    pictures = [Picture.fromarray(image).convert("RGB") for image in images]
    pixels = CLIPImageProcessorPil.from_pretrained(WEIGHTS)(pictures, return_tensors="pt")["pixel_values"]
    tokens = AutoTokenizer.from_pretrained(WEIGHTS)(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        theirs = model(pixel_values=pixels, input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"])
    head = text_head(clip, ClassTexts(classes=list("abc"), texts=[[text] for text in TEXTS]))
    ours = head.logits(clip.embed(images))
    np.testing.assert_allclose(ours, theirs.logits_per_image.numpy(), rtol=0, atol=2e-5)
    assert torch.equal(clip.inputs(images), pixels)


def test_an_answer_does_not_depend_on_what_is_asked_beside_it(clip: TorchImageText, images: list[np.ndarray]) -> None:
    together = clip.embed(images * 3)
    alone = np.concatenate([clip.embed([image]) for image in images])
    assert np.array_equal(together[: len(images)], alone)
    texts = clip.embed_texts(TEXTS * 5)
    assert np.array_equal(texts[1], clip.embed_texts([TEXTS[1]])[0])


def test_gradients_go_through_the_path_that_is_scored(clip: TorchImageText, images: list[np.ndarray]) -> None:
    image = images[1]
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float().requires_grad_(True)
    inputs = clip.differentiable_inputs(pixels)
    assert torch.equal(inputs.detach(), clip.inputs([image]))
    clip.features(inputs)[0, 0].backward()
    assert pixels.grad is not None
    assert torch.isfinite(pixels.grad).all()
    assert pixels.grad.abs().sum() > 0


@pytest.mark.parametrize("combine", ["features", "mean_logits", "max_logits"])
def test_several_templates(clip: TorchImageText, images: list[np.ndarray], combine: str) -> None:
    texts = ClassTexts(classes=["one", "two"], texts=[TEXTS[:2], TEXTS[1:]], combine=combine)
    found = text_head(clip, texts).logits(clip.embed(images))
    embedded = clip.embed(images).astype(np.float64)
    groups = [clip.embed_texts(group).astype(np.float64) for group in texts.texts]
    if combine == "features":
        means = [group.mean(0) / np.linalg.norm(group.mean(0)) for group in groups]
        wanted = np.stack([embedded @ mean for mean in means], 1)
    else:
        reduce = np.mean if combine == "mean_logits" else np.max
        wanted = np.stack([reduce(embedded @ group.T, axis=1) for group in groups], 1)
    np.testing.assert_allclose(found, clip.scale * wanted, rtol=1e-5)


def test_labels_that_are_not_there_are_taken_off(clip: TorchImageText, images: list[np.ndarray]) -> None:
    whole = ClassTexts(kind="multi_label", classes=["a", "b"], texts=[["a"], ["b"]], negatives=[["no a"], ["no b"]])
    there, absent = (
        text_head(clip, ClassTexts(classes=["a", "b"], texts=texts)).logits(clip.embed(images))
        for texts in (whole.texts, whole.negatives)
    )
    found = text_head(clip, whole).logits(clip.embed(images))
    np.testing.assert_allclose(found, there - absent, rtol=0, atol=1e-4)


@pytest.mark.parametrize("side", [32, 224])
@pytest.mark.parametrize("shape", [(50, 50), (301, 200, 3), (120, 333)])
def test_pixels_are_those_of_transformers(shape: tuple[int, ...], side: int) -> None:
    image = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    processor = CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
    theirs = processor(Picture.fromarray(image).convert("RGB"), return_tensors="pt")["pixel_values"]
    assert torch.equal(Preprocessing(side).exact([image]), theirs)


def test_a_processor_that_asks_for_something_else(tmp_path: Path) -> None:
    folder = shutil.copytree(WEIGHTS, tmp_path / "clip")
    said = json.loads((folder / "preprocessor_config.json").read_text())
    said |= {"resample": 0, "do_center_crop": False}
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    with pytest.raises(MedstressError, match=r"(?s)resample is 0.*do_center_crop is off"):
        load(card(folder))


def test_a_folder_without_a_tokenizer(tmp_path: Path) -> None:
    folder = shutil.copytree(WEIGHTS, tmp_path / "clip")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(MedstressError, match=r"neither tokenizer.json nor vocab.json found"):
        load(card(folder))


def test_weights_that_the_card_does_not_mean() -> None:
    with pytest.raises(MedstressError, match="sha256"):
        load(card().model_copy(update={"sha256": "0" * 64}))
