"""local_vlm: real LLaVA and Gemma 3 networks of random weights, loaded from folders and asked in batches."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from transformers import LlavaProcessor

from medstress.answers.ask import Answer, Ask, Failure
from medstress.cards.local_vlm import LocalVlm
from medstress.errors import MedstressError
from medstress.models.generative import local
from medstress.models.generative.folder import weights_sum
from medstress.models.generative.local import LocalGenerator, load
from medstress.models.generative.prompt import Writer, picture
from medstress.models.generative.tokens import read_answer, thinking_marks
from medstress.pixels import encode_png
from tests.models.vlm_folders import save_gemma, save_llava

KINDS = ("llava", "gemma")


def card(weights: str, **changes: Any) -> LocalVlm:
    plain = {
        "name": "small",
        "title": "Small",
        "adapter": "local_vlm",
        "device": "cpu",
        "max_new_tokens": 8,
        "batch": 5,
    }
    return LocalVlm(**plain | {"weights": weights} | changes)


def png(seed: int, *, colour: bool = False) -> bytes:
    shape = (40, 60, 3) if colour else (40, 60)
    return encode_png(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def ask(number: int, image: bytes | None, words: int = 1) -> Ask:
    return Ask(str(number), "clean", 0, image, f"{'what is it? ' * words}{number}", "vqa")


ASKS = [
    ask(number, png(number, colour=number % 2 == 0) if number % 3 else None, 1 + number % 4) for number in range(11)
]


def answers(generator: LocalGenerator, asks: list[Ask]) -> list[Answer | Failure]:
    found = dict(generator.answer(asks))
    assert sorted(found) == list(range(len(asks)))
    return [found[number] for number in range(len(asks))]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vlm")
    save_llava(folder / "llava")
    save_gemma(folder / "gemma")
    save_llava(folder / "mute", chat=False)
    return folder


@pytest.fixture(scope="module")
def generators(root: Path) -> dict[str, LocalGenerator]:
    return {kind: load(card(kind), root) for kind in KINDS}


@pytest.fixture
def copied(root: Path, tmp_path: Path) -> Path:
    shutil.copytree(root / "llava", tmp_path / "llava")
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_does_not_depend_on_its_batch(generators: dict[str, LocalGenerator], kind: str) -> None:
    together = answers(generators[kind], ASKS)
    assert together == [answers(generators[kind], [one])[0] for one in ASKS]
    assert together == answers(generators[kind], ASKS[::-1])[::-1]
    assert all(isinstance(answer, Answer) and answer.text for answer in together)


def test_the_image_and_the_question_both_change_the_answer(generators: dict[str, LocalGenerator]) -> None:
    asks = [ask(1, png(1)), ask(1, png(2)), ask(1, None), ask(2, png(1))]
    assert len({answer.text for answer in answers(generators["llava"], asks) if isinstance(answer, Answer)}) == 4


@pytest.fixture
def seen(generators: dict[str, LocalGenerator]) -> Iterator[list[int]]:
    """How many images each pass of LLaVA's image encoder saw."""
    counts: list[int] = []
    tower = generators["llava"].network.model.vision_tower
    hook = tower.register_forward_pre_hook(lambda _, given: counts.append(len(given[0])))
    yield counts
    hook.remove()


def test_each_image_goes_through_the_network_once_and_none_without(
    generators: dict[str, LocalGenerator], seen: list[int]
) -> None:
    answers(generators["llava"], ASKS)
    assert sum(seen) == sum(one.image is not None for one in ASKS)
    assert len(seen) == 2  # seven images, five at a time
    seen.clear()
    answers(generators["llava"], [replace(one, image=None) for one in ASKS])
    assert not seen


def test_an_image_is_encoded_once_for_all_its_questions(
    generators: dict[str, LocalGenerator], seen: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asks = [ask(number, png(number % 3), 1 + number % 4) for number in range(12)]
    found = answers(generators["llava"], asks)
    assert seen == [3]
    monkeypatch.setattr(local, "WINDOW", 2)
    seen.clear()
    order = sorted(range(12), key=lambda number: number % 3)
    assert answers(generators["llava"], [asks[number] for number in order]) == [found[number] for number in order]
    assert seen == [2, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_encoded_first_or_together_a_question_has_one_answer(root: Path, kind: str) -> None:
    first, together = load(card(kind), root), load(card(kind), root)
    together._images.apart = False
    for generator in (first, together) if kind == "gemma" else ():
        torch.manual_seed(0)
        # Which begins as zeros, so that images say nothing.
        torch.nn.init.normal_(generator.network.model.multi_modal_projector.mm_input_projection_weight)
    asks = [ask(number, png(number % 3), 1 + number % 4) for number in range(7)]
    found = answers(first, asks)
    assert found == answers(together, asks)
    assert found != answers(first, [replace(one, image=png(9)) for one in asks])
    assert first._images.apart
    writer, shown = (
        Writer(first.processor, first.card),
        [picture(png(number), first.processor, pad=False) for number in (1, 2)],
    )
    prompts = ["what is it?", "and what is that, at its left?"]
    given = writer.inputs(prompts, shown)
    encoded = first._images.encode(shown)
    texts = [
        writer.text(prompt, image=True).replace(first.processor.image_token, one.words)
        for prompt, one in zip(prompts, encoded, strict=True)
    ]
    tokens = writer.tokens(texts)
    inputs = first._images.inputs([tokens[text] for text in texts], encoded)
    assert set(given) - set(inputs) == {"pixel_values"}
    assert all(torch.equal(inputs[name], given[name]) for name in set(given) & set(inputs))


def test_an_image_that_is_several_for_the_network_goes_with_each_question(root: Path) -> None:
    generator = load(card("gemma"), root)
    crops = {"do_pan_and_scan": True, "pan_and_scan_min_crop_size": 8}
    generator.processor.images_kwargs = generator.processor.images_kwargs | crops
    asks = [ask(number, png(number % 3)) for number in range(7)]
    found = answers(generator, asks)
    assert not generator._images.apart
    assert all(isinstance(answer, Answer) and answer.text for answer in found)
    assert found == [answers(generator, [one])[0] for one in asks]


def test_a_card_may_leave_all_images_out(root: Path, generators: dict[str, LocalGenerator]) -> None:
    blind = load(card("llava", image=False), root)
    assert answers(blind, ASKS) == answers(generators["llava"], [replace(one, image=None) for one in ASKS])


def test_nothing_that_a_folder_says_of_sampling_is_done(generators: dict[str, LocalGenerator]) -> None:
    said = generators["gemma"].network.generation_config
    assert (said.do_sample, said.temperature, said.max_new_tokens) == (False, None, 8)
    assert said.eos_token_id == [1, 4]  # the end of a turn ends an answer


def test_tokens_are_counted_to_the_end_of_the_answer(generators: dict[str, LocalGenerator]) -> None:
    words = generators["gemma"].processor.tokenizer
    said = words("lung")["input_ids"]
    assert read_answer([*said, 4, 0, 0], 9, words, {1, 4}, ()) == Answer("lung", 9, 5, "stop")
    assert read_answer(said, 9, words, {1, 4}, ()) == Answer("lung", 9, 4, "length")
    assert read_answer([1, 0], 9, words, {1, 4}, ()) == Answer("", 9, 1, "stop")


def test_thinking_is_left_out_and_never_taken_for_an_answer(generators: dict[str, LocalGenerator]) -> None:
    words = generators["gemma"].processor.tokenizer
    marks = thinking_marks(words)
    assert marks == ((8, 9),)
    thought, said = words("no, it is the heart")["input_ids"], words("lung")["input_ids"]
    assert read_answer([8, *thought, 9, *said, 1], 3, words, {1}, marks).text == "lung"
    assert read_answer([8, *thought, 1], 3, words, {1}, marks) == Answer("", 3, len(thought) + 2, "length")
    assert read_answer([8, *thought, *said], 3, words, {1}, marks).text == ""
    assert read_answer([*said, 1], 3, words, {1}, marks).text == "lung"
    assert thinking_marks(generators["llava"].processor.tokenizer) == ()


def test_a_picture_or_question_that_cannot_be_asked_fails_alone(generators: dict[str, LocalGenerator]) -> None:
    asks = [
        ask(0, png(0)),
        ask(1, b"no picture"),
        replace(ask(2, png(2)), prompt="is <image> an image?"),
        ask(3, png(3)),
    ]
    found = answers(generators["llava"], asks)
    assert found[0] == answers(generators["llava"], asks[:1])[0]
    assert isinstance(found[1], Failure)
    assert "not a readable PNG" in found[1].error
    assert isinstance(found[2], Failure)
    assert "takes for an image" in found[2].error
    assert isinstance(found[3], Answer)
    assert isinstance(answers(generators["llava"], asks[1:2])[0], Failure)
    assert not list(generators["llava"].answer([]))


def test_a_picture_that_cannot_be_read_fails_alone_with_each_question(root: Path) -> None:
    generator = load(card("llava"), root)
    asks = [ask(0, png(0)), ask(1, b"no picture"), ask(2, b"no picture")]
    expected = answers(generator, asks)
    generator._images.apart = False
    assert answers(generator, asks) == expected
    assert answers(generator, asks[1:]) == expected[1:]


@pytest.mark.parametrize("apart", [True, False])
def test_a_question_longer_than_the_model_reads_fails_alone(copied: Path, apart: bool) -> None:
    file = copied / "llava/config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    config["text_config"]["max_position_embeddings"] = 120
    file.write_text(json.dumps(config), encoding="utf-8")
    generator = load(card("llava"), copied)
    generator._images.apart = apart
    asks = [ask(0, png(0)), ask(1, png(1), words=20), ask(2, None, words=20), ask(3, None)]
    found = answers(generator, asks)
    assert [isinstance(one, Failure) for one in found] == [False, True, True, False]
    assert isinstance(found[1], Failure)
    assert "more than the 120 that the model reads" in found[1].error


def test_a_processor_that_writes_questions_in_its_own_way_is_given_all_of_them(root: Path) -> None:
    class Own(LlavaProcessor):
        def __call__(self, images: Any = None, text: Any = None, **more: Any) -> Any:
            return super().__call__(images, [f"{one} now" for one in text], **more)

    generator = load(card("llava"), root)
    generator.processor.__class__ = Own
    asks = [ask(number, png(number % 3)) for number in range(4)]
    found = answers(generator, asks)
    assert not generator._images.apart
    assert found == [answers(generator, [one])[0] for one in asks]


def test_a_model_without_a_chat_template_is_written_to_plainly(
    root: Path, generators: dict[str, LocalGenerator]
) -> None:
    with pytest.raises(MedstressError, match=r"has no chat template.*`template: plain`"):
        load(card("mute"), root)
    plain = load(card("mute", template="plain", layout="<s>[INST] {image}\n{prompt} [/INST]"), root)
    assert answers(plain, ASKS) == answers(generators["llava"], ASKS)
    braces = replace(ASKS[1], prompt="what is {image} or {prompt}?")
    assert isinstance(answers(plain, [braces])[0], Answer)


def test_a_prompt_begins_once(root: Path) -> None:
    twice = load(card("mute", template="plain", layout="<s><s>{image}\n{prompt}"), root)
    with pytest.raises(MedstressError, match="begins 2 times with '<s>'"):
        answers(twice, ASKS[:1])


def test_a_template_that_refuses_the_system_prompt_is_said(root: Path) -> None:
    with pytest.raises(MedstressError, match=r"no system prompt.*Leave out `system`"):
        answers(load(card("llava", system="You are a radiologist."), root), ASKS[:1])


def test_padding_makes_a_square_in_the_mean_colour(generators: dict[str, LocalGenerator]) -> None:
    processor = generators["llava"].processor
    padded = np.asarray(picture(png(1), processor, pad=True))
    assert padded.shape == (60, 60, 3)
    assert padded[0, 0].tolist() == [122, 116, 104]
    np.testing.assert_array_equal(padded[10:50], np.asarray(picture(png(1), processor, pad=False)))


def test_memory_that_runs_out_halves_an_automatic_batch(
    root: Path, generators: dict[str, LocalGenerator], monkeypatch: pytest.MonkeyPatch
) -> None:
    automatic = load(card("llava", batch="auto"), root)
    generate = automatic.network.generate

    def small(**inputs: Any) -> Any:
        if len(inputs["input_ids"]) > 3:
            raise torch.OutOfMemoryError
        return generate(**inputs)

    monkeypatch.setattr(automatic.network, "generate", small)
    assert answers(automatic, ASKS) == answers(generators["llava"], ASKS)
    assert automatic.batch == 3
    automatic.card, automatic.batch = card("llava"), 5
    with pytest.raises(MedstressError, match=r"memory ran out with 5 questions at a time.*`batch: auto`"):
        answers(automatic, ASKS)


def test_a_peft_adapter_goes_on_top(root: Path, tmp_path: Path, generators: dict[str, LocalGenerator]) -> None:
    torch.manual_seed(1)
    low_rank = LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False)
    get_peft_model(load(card("llava"), root).network, low_rank).save_pretrained(str(tmp_path))
    adapted = load(card("llava", peft=str(tmp_path)), root)
    assert not adapted.network.training
    found = answers(adapted, ASKS)
    assert found != answers(generators["llava"], ASKS)
    assert max(answer.tokens_out or 0 for answer in found if isinstance(answer, Answer)) == 8  # as the card says
    with pytest.raises(MedstressError, match=r"adapter_config.json not found"):
        load(card("llava", peft="nowhere"), root)
    with pytest.raises(MedstressError, match="does not fit the model"):
        load(card("gemma", peft=str(tmp_path)), root)


@pytest.mark.parametrize(
    ("kind", "message"),
    [("llava_mistral", "Take a converted checkpoint"), ("bert", "no image-text-to-text model of this transformers")],
)
def test_another_kind_of_model_is_named(copied: Path, kind: str, message: str) -> None:
    config = copied / "llava" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"model_type": kind}))
    with pytest.raises(MedstressError, match=message):
        load(card("llava"), copied)


def test_what_is_missing_or_wrong_in_a_folder_is_named(copied: Path) -> None:
    folder = copied / "llava"
    with pytest.raises(MedstressError, match="but the card says " + "0" * 64):
        load(card("llava", sha256="0" * 64), copied)
    tensors = load_file(folder / "model.safetensors")
    gone = next(name for name in tensors if "q_proj" in name)
    save_file(
        {name: value for name, value in tensors.items() if name != gone}, folder / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(MedstressError, match=r"do not fit config\.json: .*q_proj.* not in the weights"):
        load(card("llava"), copied)
    (folder / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(MedstressError, match="not loadable"):
        load(card("llava"), copied)
    (folder / "model.safetensors").unlink()
    with pytest.raises(MedstressError, match=r"no \*\.safetensors or"):
        load(card("llava"), copied)
    with pytest.raises(MedstressError, match=r"config\.json not found"):
        load(card("nowhere"), copied)


def test_a_folder_without_a_processor_is_named(copied: Path) -> None:
    for name in ("processor_config.json", "tokenizer.json", "tokenizer_config.json"):
        (copied / "llava" / name).unlink()
    with pytest.raises(MedstressError, match=r"the processor or the tokenizer in .* is missing"):
        load(card("llava"), copied)


def test_weights_in_several_files_have_one_sum(copied: Path, generators: dict[str, LocalGenerator]) -> None:
    network = load(card("llava"), copied).network
    (copied / "llava" / "model.safetensors").unlink()
    network.save_pretrained(copied / "llava", max_shard_size="40KB")
    files = sorted((copied / "llava").glob("*.safetensors"))
    assert len(files) > 1
    assert answers(load(card("llava", sha256=weights_sum(files)), copied), ASKS) == answers(generators["llava"], ASKS)
    with pytest.raises(MedstressError, match="have the sha256"):
        load(card("llava", sha256="0" * 64), copied)


def test_gemma_in_half_precision_is_refused(root: Path) -> None:
    with pytest.raises(MedstressError, match="Write `precision: bf16`"):
        load(card("gemma", precision="fp16"), root)


def test_more_gpus_than_there_are_is_an_error(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(MedstressError, match="gpu is 2, but PyTorch sees 1 here"):
        load(card("llava", gpu=2, device="auto", precision="fp32"), root)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"template": "plain", "layout": "{image}"}, r"layout has no \{prompt\}"),
        ({"template": "plain", "layout": "{prompt}"}, r"layout has no \{image\}"),
        ({"template": "plain", "system": "x"}, "system belongs to template chat"),
        ({"layout": "{image}{prompt}"}, "layout belongs to template plain"),
        ({"compiled": True}, "compiled is for image encoders"),
        ({"max_new_tokens": 0}, "greater than or equal to 1"),
    ],
)
def test_a_card_says_what_does_not_fit(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        card("llava", **changes)
