"""From a card to a model that answers in words."""

from collections.abc import Mapping

from medstress.answers.api import api_client
from medstress.answers.ask import Generator
from medstress.answers.client import ApiClient
from medstress.cards.generator import GeminiApi, OpenAiApi
from medstress.cards.local_vlm import LocalVlm
from medstress.models.torchvision_bridge import make_torchvision_importable


def load_generator(card: LocalVlm | OpenAiApi | GeminiApi, environment: Mapping[str, str]) -> Generator | ApiClient:
    """The model behind a card; keys come from the environment.

    Raises MedstressError where a key, a file of weights or the device is missing.
    """
    if not isinstance(card, LocalVlm):
        return api_client(card, environment)
    make_torchvision_importable()
    # torch, which a client of a server starts without.
    from medstress.models.generative.local import load

    return load(card)
