"""The processor of a model that reads text alone, such as a judge's: its tokenizer, called as processors are."""

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import BatchFeature


class TextProcessor:
    """What a LocalGenerator needs of a processor, around a tokenizer. There is no image token, and no image goes in."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    @property
    def chat_template(self) -> Any:
        """The tokenizer's chat template, or None."""
        return self.tokenizer.chat_template

    def apply_chat_template(self, conversation: Sequence[Mapping[str, Any]], **how: Any) -> Any:
        """The conversation as the tokenizer's template writes it, which takes texts and no lists of parts."""
        turns = [{**turn, "content": _words(turn["content"])} for turn in conversation]
        return self.tokenizer.apply_chat_template(turns, **how)

    def __call__(self, text: Sequence[str], **how: Any) -> BatchFeature:
        """Token ids and attention mask of texts, [texts, tokens]."""
        return BatchFeature(dict(self.tokenizer(list(text), **how)))


def _words(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)
