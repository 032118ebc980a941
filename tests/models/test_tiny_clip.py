"""tiny_clip: a real CLIPModel that transformers loads, trained without a look at test."""

import csv
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, CLIPModel, CLIPTokenizer
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from medstress.errors import MedstressError
from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "resources"))

import tiny_clip_data
import train_tiny_clip

FOLDER = ROOT / "resources" / "models" / "tiny_clip"
DATA = ROOT / "resources" / "embedded" / "modality"
CLASSES = ["MRI", "CT", "ultrasound", "pathology", "X-ray", "fundus"]
MODALITIES = ["mri", "ct", "ultrasound", "pathology", "xray", "fundus"]
PROMPT = "a medical image of a {} belonging to modality"


def sheet() -> list[dict[str, str]]:
    with (DATA / "sheet.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def groups(label: str, *splits: str) -> set[str]:
    return {row["group"] for row in sheet() if row["label"] == label and row["split"] in splits}


@pytest.fixture(scope="module")
def model() -> CLIPModel:
    return CLIPModel.from_pretrained(FOLDER, local_files_only=True).eval()


@pytest.fixture(scope="module")
def words() -> CLIPTokenizer:
    return AutoTokenizer.from_pretrained(FOLDER, local_files_only=True)


def texts_of(words: CLIPTokenizer, texts: list[str], **options: object) -> torch.Tensor:
    return words(texts, padding=True, truncation=True, return_tensors="pt", **options)


def pixels_of(split: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixel values and labels of the images of a split, read and prepared without the training script."""
    processor = CLIPImageProcessorPil.from_pretrained(FOLDER, local_files_only=True)
    rows = [row for row in sheet() if row["split"] == split]
    images = [cv2.imread(str(DATA / row["image"]), cv2.IMREAD_COLOR)[..., ::-1] for row in rows]
    values = processor(images, return_tensors="pt", input_data_format="channels_last")["pixel_values"]
    return values, torch.tensor([CLASSES.index(row["label"]) for row in rows])


def test_the_shipped_folder_is_a_small_clip_model(model: CLIPModel, words: CLIPTokenizer) -> None:
    assert 1e6 < sum(item.numel() for item in model.parameters()) < 3e6
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 8_000_000
    assert model.config.text_config.vocab_size == len(words)
    assert words.model_max_length == model.config.text_config.max_position_embeddings >= 32


def test_prompts_survive_the_tokenizer(words: CLIPTokenizer) -> None:
    prompts = [template.format(name) for template in tiny_clip_data.TEMPLATES for name in CLASSES]
    for prompt, tokens in zip(prompts, words(prompts)["input_ids"], strict=True):
        assert (tokens[0], tokens[-1]) == (words.bos_token_id, words.eos_token_id)
        assert len(tokens) <= words.model_max_length
        said = words.decode(tokens, skip_special_tokens=True)
        assert said.replace(" ", "") == prompt.lower().replace(" ", "")


def test_words_it_never_saw_are_spelt_out_and_long_prompts_are_cut(words: CLIPTokenizer) -> None:
    tokens = words("Röntgen 胸部 zebra")["input_ids"]
    assert tokens.count(words.eos_token_id) == 1  # the unknown token is the end token
    long = words("an image of a very long sentence " * 20, truncation=True)["input_ids"]
    assert len(long) == words.model_max_length
    assert long[-1] == words.eos_token_id


def test_padding_does_not_change_what_a_prompt_means(model: CLIPModel, words: CLIPTokenizer) -> None:
    assert model.config.text_config.eos_token_id == words.eos_token_id
    prompts = [PROMPT.format("CT"), "a photo of a fundus in a far longer sentence than the other one has"]
    with torch.no_grad():
        together = model.get_text_features(**texts_of(words, prompts)).pooler_output
        alone = model.get_text_features(**texts_of(words, prompts[:1])).pooler_output
    torch.testing.assert_close(together[:1], alone, rtol=1e-4, atol=1e-5)


def test_it_tells_the_train_images_apart(model: CLIPModel, words: CLIPTokenizer) -> None:
    values, labels = pixels_of("train")
    assert values.shape[1:] == (3, 64, 64)
    for prompt in (PROMPT, "a medical image of {}", "a photo of a {}"):
        texts = texts_of(words, [prompt.format(name) for name in CLASSES])
        with torch.no_grad():
            found = model(pixel_values=values, **texts).logits_per_image.argmax(1)
        recalls = [(found[labels == label] == label).float().mean().item() for label in range(len(CLASSES))]
        assert np.mean(recalls) > 0.9


def test_the_shipped_tokenizer_is_the_one_that_the_script_makes(words: CLIPTokenizer) -> None:
    assert tiny_clip_data.tokenizer().get_vocab() == words.get_vocab()


def test_every_class_has_sources_of_its_own_in_every_split() -> None:
    assert list(tiny_clip_data.CLASSES) == CLASSES
    for label in CLASSES:
        train, val, test = (groups(label, split) for split in ("train", "val", "test"))
        assert train
        assert test
        assert not (train & val or train & test or val & test)
        assert not val or len(train | val | test) >= 3
    assert len({row["group"] for row in sheet()}) == sum(
        len(groups(label, "train", "val", "test")) for label in CLASSES
    )


def test_the_images_are_what_the_sheet_says() -> None:
    assert {path.name for path in DATA.glob("*.png")} == {row["image"] for row in sheet()}
    assert sum(path.stat().st_size for path in DATA.iterdir()) < 2_000_000
    seen = set()
    for row in sheet():
        pixels = cv2.imread(str(DATA / row["image"]), cv2.IMREAD_UNCHANGED)
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 2 or pixels.shape[2] == 3
        assert 64 <= min(pixels.shape[:2]) <= max(pixels.shape[:2]) <= 192
        assert pixels.std() > 5
        assert row["modality"] == MODALITIES[CLASSES.index(row["label"])]
        seen.add(pixels.tobytes())
    assert len(seen) == len(sheet())


def test_training_reads_no_test_image(tmp_path: Path) -> None:
    folder = tmp_path / "modality"
    shutil.copytree(DATA, folder)
    for row in sheet():
        if row["split"] == "test":
            (folder / row["image"]).unlink()
    for split in ("train", "val"):
        rows = [row for row in sheet() if row["split"] == split]
        read = tiny_clip_data.samples(split, folder)
        assert [(CLASSES[item.label], item.group) for item in read] == [(row["label"], row["group"]) for row in rows]
    with pytest.raises(MedstressError, match="not trained with the split 'test'"):
        tiny_clip_data.samples("test", folder)


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "modality"
    folder.mkdir()
    shutil.copy(DATA / "sheet.csv", folder)
    with pytest.raises(MedstressError, match=r"mri_ch2_axial_50\.png: not there"):
        tiny_clip_data.samples("train", folder)


def test_a_step_of_training_is_the_same_every_time() -> None:
    seen = tiny_clip_data.samples("train")
    first, again, other = (train_tiny_clip.batch_of(seen, 0, step) for step in (7, 7, 8))
    np.testing.assert_array_equal(first.images, again.images)
    assert first.captions == again.captions
    assert not np.array_equal(first.images, other.images)
    assert first.shares.shape == (len(first.images), len(CLASSES)) == (8 * len(CLASSES), len(CLASSES))
    torch.testing.assert_close(first.shares.sum(1), torch.ones(len(first.images)))
