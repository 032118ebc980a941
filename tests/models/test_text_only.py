"""Models that read text alone, for judges: loaded by the card of any local model, with `image: no`."""

from pathlib import Path

import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM

from medstress.answers.ask import Answer, Ask
from medstress.cards.local_vlm import LocalVlm
from medstress.errors import MedstressError
from medstress.models.generative.local import load
from tests.models.vlm_folders import byte_tokenizer

# As Gemma 2's: turns are texts, and there is no system prompt.
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}"
    "{{ raise_exception('no system role') }}{% endif %}[INST] {{ message['content'] | trim }} [/INST]{% endfor %}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("judge")
    torch.manual_seed(0)
    words = byte_tokenizer(["<pad>", "<s>", "</s>"], "<s>", "</s>")
    words.chat_template = TEMPLATE
    words.save_pretrained(place)
    config = Gemma2Config(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        initializer_range=0.3,
        tie_word_embeddings=False,
        eos_token_id=2,
        pad_token_id=0,
    )
    model = Gemma2ForCausalLM(config)
    model.generation_config.do_sample = True
    model.save_pretrained(place)
    return place


def card(folder: Path, **changes: object) -> LocalVlm:
    plain = {"name": "judge", "title": "Judge", "adapter": "local_vlm", "device": "cpu", "max_new_tokens": 8}
    return LocalVlm.model_validate(plain | {"weights": str(folder), "image": False} | changes)


def replies(generator: object, asks: list[Ask]) -> list[Answer]:
    found = dict(generator.answer(asks))  # type: ignore[attr-defined]
    return [found[number] for number in range(len(asks))]


def test_it_answers_greedily_and_alike_in_every_batch(folder: Path) -> None:
    asks = [Ask(str(number), "clean", 0, None, "grade this " * (number + 1), "judge") for number in range(5)]
    together = replies(load(card(folder, batch=5)), asks)
    assert [answer.text for answer in together] == [one.text for one in replies(load(card(folder, batch=1)), asks)]
    assert len({answer.text for answer in together}) > 1
    assert all(isinstance(answer, Answer) and (answer.tokens_out or 0) <= 8 for answer in together)


def test_attention_caps_its_scores_as_the_model_was_trained(folder: Path) -> None:
    assert load(card(folder)).network.config._attn_implementation == "eager"


def test_its_template_reads_the_question_as_one_text(folder: Path) -> None:
    generator = load(card(folder))
    assert generator._writer.text(" a question ", image=False) == "<s>[INST] a question [/INST]"
    begins = generator._writer.inputs(["a question"], [])["input_ids"][0].tolist()
    assert begins.count(generator.processor.tokenizer.bos_token_id) == 1


def test_a_card_that_would_show_it_images_says_what_to_write(folder: Path) -> None:
    with pytest.raises(MedstressError, match="It reads text alone: write `image: no`, if it is to judge"):
        load(card(folder, image=True))
    with pytest.raises(MedstressError, match="refuses the conversation"):
        replies(load(card(folder, system="Be strict.")), [Ask("0", "clean", 0, None, "grade", "judge")])
