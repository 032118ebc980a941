"""From a card to a client."""

import json
from collections.abc import Mapping

from medstress.answers.ask import GenerationSettings
from medstress.answers.client import ApiClient
from medstress.answers.gemini_api import GeminiWire
from medstress.answers.openai_api import OpenAiWire
from medstress.answers.retry import Patience
from medstress.answers.secret import Secret
from medstress.answers.spend import Prices, Spend
from medstress.cards.generator import GeminiApi, OpenAiApi

_NOT_OF_THE_ANSWER = {
    "name",
    "title",
    "baseline",
    "gpu",
    "key_variable",
    "third_party",
    "concurrency",
    "timeout",
    "price_in",
    "price_out",
    "image_tokens",
    "spending_limit",
    "boxes",  # these are in the prompt
    # These are in the settings.
    "system",
    "max_output_tokens",
    "temperature",
}


def api_client(
    card: OpenAiApi | GeminiApi, environment: Mapping[str, str], patience: Patience | None = None
) -> ApiClient:
    """A client for one run. Raises MedstressError where the card's key is not in the environment."""
    prices = Prices(card.price_in or 0.0, card.price_out or 0.0, card.image_tokens or 0)
    return ApiClient(
        wire=OpenAiWire(card) if isinstance(card, OpenAiApi) else GeminiWire(card),
        secret=Secret(card.key_variable, environment),
        spend=Spend(prices, card.system, card.max_output_tokens, card.spending_limit),
        concurrency=card.concurrency,
        timeout=card.timeout,
        patience=patience or Patience(),
    )


def settings_of(card: OpenAiApi | GeminiApi) -> GenerationSettings:
    """What a card says about how answers are made."""
    return GenerationSettings(card.max_output_tokens, card.temperature, card.system)


def identity_of(card: OpenAiApi | GeminiApi) -> str:
    """What of a card decides which answers come, as canonical JSON: the `model` of an answer's key."""
    said = card.model_dump(mode="json", exclude=_NOT_OF_THE_ANSWER)
    said["base_url"] = said["base_url"].rstrip("/")  # as requests go to it
    return json.dumps(said, sort_keys=True)
