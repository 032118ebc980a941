"""Lessons as tensors, the loss of their answers alone, and the order that they come in."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from medstress.adapt.lessons import Lesson
from medstress.cards.local_vlm import LocalVlm
from medstress.errors import MedstressError
from medstress.models.generative.prompt import Writer, picture
from medstress.seeds import generator, seed_of

IGNORED = -100
"""The label of tokens that are not learnt."""


class AnswerBatches:
    """Makes batches of lessons: prompts exactly as the model is asked later, and behind them the answers."""

    def __init__(self, processor: Any, card: LocalVlm, ends: frozenset[int]) -> None:
        self._processor, self._card, self._ends = processor, card, ends
        self._writer = Writer(processor, card)

    def __call__(self, lessons: Sequence[Lesson]) -> dict[str, Any]:
        """The network's inputs, padded at the right, and `labels` [n, length]: the answers' tokens with their ends.

        All lessons have an image, or none has. Raises MedstressError where a picture or a prompt cannot be read.
        """
        prompts, pictures = [], []
        for lesson in lessons:
            try:
                self._writer.check(lesson.prompt)
                self._writer.check(lesson.answer)
                if lesson.image is not None:
                    pictures.append(picture(lesson.image, self._processor, pad=self._card.pad_square))
            except MedstressError as error:
                raise MedstressError(f"{lesson.sample_id}: {error}") from error
            prompts.append(lesson.prompt)
        asked = dict(self._writer.inputs(prompts, pictures))
        replies = [torch.tensor(self.reply(lesson)) for lesson in lessons]
        there = asked["attention_mask"].bool()
        shape = there.shape
        found: dict[str, Any] = {}
        for name, value in asked.items():
            if not isinstance(value, Tensor) or value.shape != shape:
                found[name] = value
                continue
            ends = [_behind(name, reply, value.dtype) for reply in replies]
            padding = self._processor.tokenizer.pad_token_id if name == "input_ids" else 0
            found[name] = _padded(value, there, ends, padding)
        nothing = torch.full(shape, IGNORED)
        return {**found, "labels": _padded(nothing, there, replies, IGNORED)}

    def reply(self, lesson: Lesson) -> list[int]:
        """The tokens of a lesson's answer, up to and with the one that ends it."""
        words, image = self._processor.tokenizer, lesson.image is not None
        before = self._writer.text(lesson.prompt, image=image)
        said = self._writer.reply(lesson.prompt, lesson.answer, image=image)
        asked, whole, alone = (
            words(text, add_special_tokens=False)["input_ids"] for text in (before, before + said, said)
        )
        # Where prompt and answer share a token, the prompt stays what the model is asked with.
        tokens = whole[len(asked) :] if whole[: len(asked)] == asked else alone
        end = next((place for place, token in enumerate(tokens) if token in self._ends), None)
        if end is not None:
            return list(tokens[: end + 1])
        last = words.eos_token_id if words.eos_token_id in self._ends else min(self._ends)
        return [*tokens, last]


def _behind(name: str, reply: Tensor, dtype: torch.dtype) -> Tensor:
    """What a reply adds to an input of a prompt's length: its tokens, ones for the mask, zeros for marks of images."""
    if name == "input_ids":
        return reply
    return (torch.ones_like(reply) if name == "attention_mask" else torch.zeros_like(reply)).to(dtype)


def _padded(values: Tensor, there: Tensor, behind: Sequence[Tensor], padding: int) -> Tensor:
    """Rows of `values` where `there` is true, each with what goes behind it, padded at the right."""
    rows = [torch.cat([value[seen], more]) for value, seen, more in zip(values, there, behind, strict=True)]
    return pad_sequence(rows, batch_first=True, padding_value=padding)


def answer_loss(outputs: Any, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
    """Cross-entropy of the tokens with a label [n, length], summed and divided by how many the whole step has.

    Outputs may begin with virtual tokens, which have no label.
    """
    logits: Tensor = outputs.logits[:, -labels.shape[1] : -1]
    # With layers on several GPUs the logits are on another one than the inputs.
    wanted = labels[:, 1:].to(logits.device)
    learnt = wanted != IGNORED
    total = functional.cross_entropy(logits[learnt].float(), wanted[learnt], reduction="sum")
    return total / int(learnt.sum() if num_items_in_batch is None else num_items_in_batch)


class Curriculum(Dataset[Lesson]):
    """All lessons of a training in their order, a pure function of the seed: every pass is a new shuffle of all."""

    def __init__(self, lessons: Sequence[Lesson], seed: int, length: int) -> None:
        self._lessons, self._seed, self._length = lessons, seed, length
        self._shuffled = lru_cache(maxsize=2)(self._shuffle)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, place: int) -> Lesson:
        if place >= self._length:
            raise IndexError(place)
        turn, index = divmod(place, len(self._lessons))
        lesson: Lesson = self._lessons[self._shuffled(turn)[index]]
        return lesson

    def _shuffle(self, turn: int) -> npt.NDArray[np.int64]:
        return generator(seed_of("finetune", str(self._seed), str(turn))).permutation(len(self._lessons))
