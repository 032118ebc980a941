"""Questions and cards for tests."""

from typing import Any

from medstress.answers.api import api_client
from medstress.answers.ask import Ask, GenerationSettings
from medstress.answers.client import ApiClient
from medstress.answers.retry import Patience
from medstress.cards.generator import GeminiApi, OpenAiApi
from tests.answers.server import Server

HASTY = Patience(tries=3, limited_tries=5, first_wait=0.002, longest_wait=0.01)
SETTINGS = GenerationSettings(max_output_tokens=16)
PNG = b"\x89PNG the bytes of a picture"


def ask(prompt: str = "Is there a mass?", image: bytes | None = PNG, **more: Any) -> Ask:
    return Ask(
        **{"sample_id": "s", "perturbation": "clean", "level": 0, "task": "vqa"} | more, image=image, prompt=prompt
    )


def openai_card(server: Server, **more: Any) -> OpenAiApi:
    facts = {"name": "it", "title": "It", "adapter": "openai_api", "model": "it-1", "base_url": server.openai}
    return OpenAiApi(**facts | more)


def gemini_card(server: Server, **more: Any) -> GeminiApi:
    facts = {"name": "it", "title": "It", "adapter": "gemini_api", "model": "it-1", "base_url": server.gemini}
    return GeminiApi(**facts | more)


CARDS = {"openai": openai_card, "gemini": gemini_card}


def client_of(card: OpenAiApi | GeminiApi, patience: Patience = HASTY, **environment: str) -> ApiClient:
    return api_client(card, environment, patience)
