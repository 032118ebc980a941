"""tiny_vlm: a real LLaVA that transformers loads, trained without a look at test."""

import csv
import hashlib
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlavaForConditionalGeneration

from medstress.answers.ask import Answer, Ask
from medstress.cards.local_vlm import LocalVlm
from medstress.errors import MedstressError
from medstress.models.generative.local import LocalGenerator, load
from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "resources"))

import tiny_vlm_data
import train_tiny_vlm

FOLDER = ROOT / "resources" / "models" / "tiny_vlm"
EMBEDDED = ROOT / "resources" / "embedded"
DATA = EMBEDDED / "minivqa"


@pytest.fixture(scope="module")
def generator() -> LocalGenerator:
    sha256 = hashlib.sha256((FOLDER / "model.safetensors").read_bytes()).hexdigest()
    card = LocalVlm(
        name="tiny_vlm",
        title="Tiny VLM",
        adapter="local_vlm",
        weights="resources/models/tiny_vlm",
        sha256=sha256,
        device="cpu",
        batch=32,
        max_new_tokens=32,
    )
    return load(card, ROOT)


def rows(name: str, split: str) -> list[dict[str, str]]:
    with (DATA / f"{name}.csv").open(newline="") as handle:
        return [row for row in csv.DictReader(handle) if row["split"] == split]


def asks(found: list[dict[str, str]], *, image: bool = True) -> list[Ask]:
    return [
        Ask(
            row["question_id"],
            "clean",
            0,
            (DATA / row["image"]).read_bytes() if image else None,
            row["question"],
            "vqa",
        )
        for row in found
    ]


def texts(generator: LocalGenerator, asked: list[Ask]) -> list[str]:
    found = dict(generator.answer(asked))
    return [answer.text for number in range(len(asked)) if isinstance(answer := found[number], Answer)]


def test_the_shipped_folder_is_a_small_llava(generator: LocalGenerator) -> None:
    assert isinstance(generator.network, LlavaForConditionalGeneration)
    assert 1e6 < sum(item.numel() for item in generator.network.parameters()) < 2e6
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 8_000_000
    assert hashlib.sha256((FOLDER / "model.safetensors").read_bytes()).hexdigest() in (FOLDER / "README.md").read_text()


def test_its_tokenizer_is_the_one_that_the_script_makes(generator: LocalGenerator) -> None:
    words = generator.processor.tokenizer
    assert tiny_vlm_data.tokenizer().get_vocab() == words.get_vocab()
    for text in ("In which quadrant of the image is the tumour?", "Röntgen 胸部", "[12, 40, 100, 7]"):
        assert words.decode(words(text)["input_ids"]) == text


def test_training_reads_prompts_as_the_chat_template_writes_them(generator: LocalGenerator) -> None:
    words, prompt = generator.processor.tokenizer, "Is there a tumour?\nOptions: yes, no"
    conversation = [{"role": "user", "content": [{"type": "text", "text": prompt}]}]
    conversation[0]["content"].insert(0, {"type": "image"})
    picture = np.zeros((80, 60, 3), np.uint8)
    written = generator.processor.apply_chat_template(conversation, add_generation_prompt=True, tokenize=False)
    inputs = generator.processor(text=[written], images=[picture], return_tensors="pt", add_special_tokens=False)
    assert inputs["input_ids"][0].tolist() == words(train_tiny_vlm.rendered(prompt, image=True))["input_ids"]
    answered = [*conversation, {"role": "assistant", "content": "yes"}]
    written = generator.processor.apply_chat_template(answered, tokenize=False)
    assert written.endswith("Options: yes, no Answer: yes</s>")


def test_the_whole_image_is_shown(generator: LocalGenerator) -> None:
    picture = np.zeros((64, 128, 3), np.uint8)
    picture[:, :4] = picture[:, -4:] = 255
    values = generator.processor.image_processor([picture], return_tensors="pt")["pixel_values"]
    assert values.shape == (1, 3, 64, 64)
    assert values[0, 0, 32, 0] > 0.5 < values[0, 0, 32, -1]


def test_it_learned_from_the_images_of_train(generator: LocalGenerator) -> None:
    found = [row for row in rows("vqa", "train") if row["content_type"] in ("Modality", "Organ")][::3]
    truth = [row["answer"] for row in found]
    seen, blind = texts(generator, asks(found)), texts(generator, asks(found, image=False))
    right, guessed = (np.mean([a == b for a, b in zip(said, truth, strict=True)]) for said in (seen, blind))
    assert right > 0.7
    assert right > guessed + 0.2


def test_it_writes_boxes_and_captions_that_can_be_read(generator: LocalGenerator) -> None:
    boxes = texts(generator, asks(rows("grounding", "train")[:12]))
    assert all(len([int(part) for part in box.strip("[]").split(",")]) == 4 for box in boxes)
    described = [{**row, "question": "Describe this image."} for row in rows("captioning", "train")[:6]]
    assert all(text[0].isupper() and text.endswith(".") for text in texts(generator, asks(described)))


def test_an_answer_does_not_depend_on_its_batch(generator: LocalGenerator) -> None:
    asked = (
        asks(rows("vqa", "val")[:24:2]) + asks(rows("grounding", "val")[:4]) + asks(rows("vqa", "val")[:4], image=False)
    )
    together = texts(generator, asked)
    assert together == [texts(generator, [one])[0] for one in asked]
    assert len(set(together)) > 5


def test_training_reads_no_test_image(tmp_path: Path) -> None:
    shutil.copytree(EMBEDDED, tmp_path / "embedded", ignore=shutil.ignore_patterns("raw", "licences", "minivqa"))
    for sheet in (tmp_path / "embedded").glob("*/sheet.csv"):
        with sheet.open(newline="") as handle:
            for row in csv.DictReader(handle):
                if row["split"] == "test":
                    (sheet.parent / row["image"]).unlink()
    for split in ("train", "val"):
        read = tiny_vlm_data.entries(split, tmp_path / "embedded")
        assert {entry.image for entry in read} == {row["image"] for row in rows("vqa", split)}
    with pytest.raises(MedstressError, match="not trained with the split 'test'"):
        tiny_vlm_data.entries("test", tmp_path / "embedded")


def test_a_step_of_training_is_the_same_every_time() -> None:
    train = tiny_vlm_data.entries("train")
    first, again, other = (train_tiny_vlm.batch_of(train, 0, step) for step in (7, 7, 8))
    assert [(item.prompt, item.answer) for item in first] == [(item.prompt, item.answer) for item in again]
    assert all(np.array_equal(one.pixels, two.pixels) for one, two in zip(first, again, strict=True))
    assert [item.prompt for item in first] != [item.prompt for item in other]


def test_changed_images_have_changed_answers() -> None:
    train = [entry for entry in tiny_vlm_data.entries("train") if entry.image.endswith("brain2_z09.png")]
    shown, rng = train[0].shown, np.random.default_rng(0)
    places = set()
    for _ in range(40):
        changed = tiny_vlm_data.changed(shown, part=False, rng=rng)
        assert changed.pixels.shape == changed.tumour.shape
        # The tumour is the same pixels wherever it went.
        assert set(changed.pixels[changed.tumour].tolist()) <= set(shown.pixels[shown.tumour].tolist())
        asked = tiny_vlm_data.questions(changed, rng)
        places |= {question.answer for question in asked if question.content_type == "Position"}
    assert {"left", "right", "upper", "lower"} <= places
    parts = [tiny_vlm_data.changed(shown, part=True, rng=rng) for _ in range(40)]
    assert 10 < sum(part.tumour.any() for part in parts) < 30


def test_only_answers_are_learned() -> None:
    words = tiny_vlm_data.tokenizer()
    model = train_tiny_vlm.tiny_model(words, 0)
    example = tiny_vlm_data.Example(np.zeros((64, 64, 3), np.uint8), "Is there a tumour?", "no")
    other = tiny_vlm_data.Example(None, "Describe this image.", "A CT image of the chest.")
    with torch.no_grad():
        alone, _ = train_tiny_vlm.losses_of(model, words, [example], None)
        both, _ = train_tiny_vlm.losses_of(model, words, [example, other], None)
        tokens = words(train_tiny_vlm.rendered(example.prompt, image=True), return_tensors="pt")["input_ids"]
        said = torch.tensor([[*words(" no")["input_ids"], words.eos_token_id]])
        pixels = torch.full((1, 3, 64, 64), -1.0)
        logits = model(input_ids=torch.cat([tokens, said], dim=1), pixel_values=pixels).logits
    expected = torch.nn.functional.cross_entropy(logits[0, -said.shape[1] - 1 : -1], said[0])
    torch.testing.assert_close(alone[0], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(both[0], expected, rtol=1e-4, atol=1e-5)


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    shutil.copytree(EMBEDDED / "brain_mri_tumour", tmp_path / "brain_mri_tumour")
    (tmp_path / "brain_mri_tumour" / "brain2_z09.png").unlink()
    with pytest.raises(MedstressError, match=r"brain2_z09\.png: not there, or no image"):
        tiny_vlm_data.entries("train", tmp_path)
