"""New tokens to an answer: where it ends, and what of it was thought and not said."""

from collections.abc import Collection, Sequence
from typing import Any

from medstress.answers.ask import Answer

# MedGemma 1.5 puts its thinking between two unused tokens of Gemma's vocabulary; Qwen and others write tags.
_MARKS = (("<unused94>", "<unused95>"), ("<think>", "</think>"))

Marks = tuple[tuple[int, int], ...]
"""Pairs of tokens: where thinking begins and where it ends."""


def thinking_marks(words: Any) -> Marks:
    """The marks that a tokenizer has as tokens of their own."""
    known = [[words.convert_tokens_to_ids(mark) for mark in pair] for pair in _MARKS]
    return tuple(
        (first, last) for first, last in known if None not in (first, last) and words.unk_token_id not in (first, last)
    )


def read_answer(tokens: Sequence[int], asked: int, words: Any, ends: Collection[int], marks: Marks) -> Answer:
    """The answer in a row of new tokens, which are padding after the first of `ends`; `asked` tokens went before.

    Thinking that never ends leaves no text: what stands there is no answer.
    """
    stop = next((place for place, token in enumerate(tokens) if token in ends), None)
    said = list(tokens if stop is None else tokens[:stop])
    spent = len(tokens) if stop is None else stop + 1
    for begin, end in marks:
        if end in said:
            said = said[len(said) - said[::-1].index(end) :]
        elif begin in said:
            return Answer("", asked, spent, "length")
    text: str = words.decode(said, skip_special_tokens=True)
    return Answer(text.strip(), asked, spent, "length" if stop is None else "stop")
