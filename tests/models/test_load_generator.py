"""From a card to a generator, and the files that its answers depend on."""

from pathlib import Path

import pytest

from medstress.answers.client import ApiClient
from medstress.cards.generator import MajorityAnswer, OpenAiApi
from medstress.cards.local_vlm import LocalVlm
from medstress.errors import MedstressError
from medstress.fetch.plan import weights_sums
from medstress.models.generative.load import load_generator
from medstress.models.generative.local import LocalGenerator
from medstress.models.registry import weight_files
from tests.conftest import ROOT

TINY = ROOT / "resources" / "models" / "tiny_vlm"


def card(**facts: object) -> LocalVlm:
    return LocalVlm.model_validate({"name": "it", "title": "It", "adapter": "local_vlm", "device": "cpu"} | facts)


def test_a_local_model_is_loaded_from_its_folder() -> None:
    assert isinstance(load_generator(card(weights=str(TINY)), {}), LocalGenerator)


def test_a_client_wants_its_key_from_the_environment() -> None:
    api = OpenAiApi(name="it", title="It", adapter="openai_api", model="it-1", key_variable="IT_KEY")
    assert isinstance(load_generator(api, {"IT_KEY": "secret"}), ApiClient)
    with pytest.raises(MedstressError, match="the environment has no IT_KEY"):
        load_generator(api, {})


def test_answers_depend_on_the_template_the_tokenizer_and_the_adapter_too(tmp_path: Path) -> None:
    base = ["config.json", "chat_template.jinja", "model.safetensors", "tokenizer.model"]
    adapter = ["adapter_config.json", "adapter_model.safetensors"]
    for name in (*base, "pytorch_model.bin", "README.md", ".stamp.json"):
        (tmp_path / name).write_text(name)
    (tmp_path / "peft").mkdir()
    for name in adapter:
        (tmp_path / "peft" / name).write_text(name)
    plain = weight_files(card(weights=str(tmp_path)))
    adapted = weight_files(card(weights=str(tmp_path), peft=str(tmp_path / "peft")))
    assert sorted(path.name for path in plain) == sorted(base)
    assert [path.name for path in adapted[len(plain) :]] == adapter
    assert weight_files(MajorityAnswer(name="it", title="It", adapter="majority_answer")) == []


def test_the_sum_of_several_files_is_left_to_the_adapter() -> None:
    assert weights_sums(card(weights="downloads/models/it", sha256="0" * 64)) == {}
