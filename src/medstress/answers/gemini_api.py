"""Gemini's generateContent. Source: Gemini API reference, "Generating content"."""

import base64
import re
from dataclasses import dataclass
from typing import Any, ClassVar

from medstress.answers.ask import Answer, Ask, Finish
from medstress.answers.wire import Complaint, MalformedError, counted, error_of, objects_of
from medstress.cards.generator import GeminiApi

_BLOCKED = {"SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY"}


@dataclass(frozen=True)
class GeminiWire:
    """The format, with the settings of a card."""

    card: GeminiApi
    key_header: ClassVar[tuple[str, str]] = ("x-goog-api-key", "")

    def url(self) -> str:
        """Where requests are posted."""
        return f"{self.card.base_url.rstrip('/')}/models/{self.card.model}:generateContent"

    def body(self, ask: Ask) -> dict[str, Any]:
        """The image as inline PNG before the prompt, under the system prompt."""
        card = self.card
        parts: list[dict[str, Any]] = [{"text": ask.prompt}]
        if ask.image is not None:
            data = base64.b64encode(ask.image).decode("ascii")
            parts.insert(0, {"inlineData": {"mimeType": "image/png", "data": data}})
        settings: dict[str, Any] = {"maxOutputTokens": card.max_output_tokens}
        if card.temperature is not None:
            settings["temperature"] = card.temperature
        if card.thinking_budget is not None:
            settings["thinkingConfig"] = {"thinkingBudget": card.thinking_budget}
        system = {"systemInstruction": {"parts": [{"text": card.system}]}} if card.system else {}
        return {"contents": [{"role": "user", "parts": parts}], **system, "generationConfig": settings}

    def answer(self, reply: Any) -> Answer:
        """The first candidate of a reply, without its thoughts. Raises MalformedError."""
        if not isinstance(reply, dict):
            raise MalformedError("no JSON object")
        usage = reply.get("usageMetadata")
        spent = counted(usage, "candidatesTokenCount", "thoughtsTokenCount")
        if spent is None:
            spent = counted(usage, "thoughtsTokenCount")
        tokens = counted(usage, "promptTokenCount") or None, spent
        try:
            if not reply.get("candidates") and reply["promptFeedback"]["blockReason"]:
                return Answer("", *tokens, "blocked")
            candidate = reply["candidates"][0]
            parts = candidate.get("content", {}).get("parts", [])
            text = "".join(part["text"] for part in parts if "text" in part and not part.get("thought"))
            finish = str(candidate.get("finishReason"))
        except (LookupError, TypeError, AttributeError):
            raise MalformedError("no candidates with text") from None
        ends: Finish = "blocked" if finish in _BLOCKED else "length" if finish == "MAX_TOKENS" else "stop"
        return Answer(text, *tokens, ends)

    def complaint(self, status: int, reply: Any) -> Complaint:
        """What an error reply says. A quota by the day comes with a delay of seconds, which does not help."""
        error = error_of(reply)
        details = objects_of(error.get("details"))
        quotas = [
            f"{violation.get('quotaId', '')} {violation.get('quotaMetric', '')}"
            for one in details
            for violation in objects_of(one.get("violations"))
        ]
        delays = [re.fullmatch(r"(\d+(?:\.\d+)?)s", str(one.get("retryDelay", ""))) for one in details]
        return Complaint(
            message=str(error.get("message") or ""),
            exhausted=status == 429 and any(re.search(r"per_?day", quota, re.IGNORECASE) for quota in quotas),
            wait=next((float(delay[1]) for delay in delays if delay), None),
        )
