"""Chat completions as OpenAI defined them and vLLM, TGI, Ollama and many others serve them.

Source: OpenAI API reference, "Create chat completion".
"""

import base64
from dataclasses import dataclass
from typing import Any, ClassVar

from medstress.answers.ask import Answer, Ask, Finish
from medstress.answers.wire import Complaint, MalformedError, counted, error_of
from medstress.cards.generator import OpenAiApi

_FINISH: dict[str, Finish] = {"length": "length", "content_filter": "blocked"}
_EXHAUSTED = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}
_SETTING = {"unsupported_parameter", "unsupported_value"}


@dataclass(frozen=True)
class OpenAiWire:
    """The format, with the settings of a card."""

    card: OpenAiApi
    key_header: ClassVar[tuple[str, str]] = ("Authorization", "Bearer ")

    def url(self) -> str:
        """Where requests are posted."""
        return f"{self.card.base_url.rstrip('/')}/chat/completions"

    def body(self, ask: Ask) -> dict[str, Any]:
        """The image as a PNG data URL before the prompt, under the system prompt."""
        card = self.card
        content: list[dict[str, Any]] = [{"type": "text", "text": ask.prompt}]
        if ask.image is not None:
            url = f"data:image/png;base64,{base64.b64encode(ask.image).decode('ascii')}"
            content.insert(0, {"type": "image_url", "image_url": {"url": url, "detail": card.detail}})
        system = [{"role": "system", "content": card.system}] if card.system else []
        return {
            "model": card.model,
            "messages": [*system, {"role": "user", "content": content}],
            card.token_parameter: card.max_output_tokens,
            **({} if card.temperature is None else {"temperature": card.temperature}),
        }

    def answer(self, reply: Any) -> Answer:
        """The first choice of a reply. Raises MalformedError."""
        try:
            choice = reply["choices"][0]
            message = choice["message"]
            content, refusal, finish = message.get("content"), message.get("refusal"), choice.get("finish_reason")
        except (LookupError, TypeError, AttributeError):
            raise MalformedError("no choices with a message") from None
        if not isinstance(content, str | None) or not isinstance(refusal, str | None):
            raise MalformedError("the content is no text")
        usage = reply.get("usage")
        # A gateway that does not count says 0, which no prompt has.
        tokens = counted(usage, "prompt_tokens") or None, counted(usage, "completion_tokens")
        if refusal:
            return Answer(refusal, *tokens, "refused")
        return Answer(content or "", *tokens, _FINISH.get(str(finish), "stop"))

    def complaint(self, status: int, reply: Any) -> Complaint:
        """What an error reply says."""
        error = error_of(reply)
        codes = {str(error.get("code")), str(error.get("type"))}
        return Complaint(
            message=str(error.get("message") or ""),
            exhausted=status == 402 or bool(codes & _EXHAUSTED),
            setting=status == 400 and bool(codes & _SETTING),
            blocked=status == 400 and "content_filter" in codes,
        )
