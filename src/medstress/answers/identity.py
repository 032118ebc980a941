"""What of a model decides which answers come: the `model` and the settings of an answer's key."""

import json
from importlib.metadata import version

from medstress.answers import api
from medstress.answers.ask import GenerationSettings
from medstress.cards.generator import GeminiApi, OpenAiApi
from medstress.cards.local_vlm import LocalVlm

_PACKAGES = ("torch", "transformers")
_NOT_OF_THE_ANSWER = {
    "name",
    "title",
    "baseline",
    "gpu",
    "download",
    "batch",
    "image",  # an ask has one, or has none
    "boxes",  # these are in the prompt
    # A hash of the files stands for these.
    "weights",
    "sha256",
    "peft",
    "environment",  # the code's hash has what it says, and versions are beside it
    # These are in the settings.
    "system",
    "max_new_tokens",
}


def settings_of(card: LocalVlm | OpenAiApi | GeminiApi) -> GenerationSettings:
    """What a card says about how answers are made."""
    if isinstance(card, LocalVlm):
        return GenerationSettings(card.max_new_tokens, 0.0, card.system)
    return api.settings_of(card)


def identity_of(card: LocalVlm | OpenAiApi | GeminiApi, weights: str, code: str) -> str:
    """What stands for a model in keys. `weights`: a hash of its files; `code`: of what runs it.

    With it are the versions of the packages that do the arithmetic. None of these says anything of a model behind an
    interface of the web, whose answers were paid for.
    """
    if not isinstance(card, LocalVlm):
        return api.identity_of(card)
    said = json.dumps(card.model_dump(mode="json", exclude=_NOT_OF_THE_ANSWER), sort_keys=True)
    return json.dumps([said, weights, code, {name: version(name) for name in _PACKAGES}])
