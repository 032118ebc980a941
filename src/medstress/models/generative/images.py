"""Images behind the image encoder of a network, to be shown with as many questions as there are about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from PIL import Image as Pillow
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers.modeling_outputs import BaseModelOutputWithPooling

_FEATURES = "mm_encoder_outputs"
_MARKS = "token_type_ids"
_KNOWN = {"input_ids", "attention_mask", "pixel_values", "text_replacement_offsets", _MARKS}


class TogetherError(Exception):
    """The network reads images and questions only together."""


@dataclass(frozen=True)
class Shown:
    """An image as the language model reads it: what stands in the prompt for its token, and features [n, width]."""

    words: str
    features: Tensor


class ImageEncoder:
    """The image encoder of a network with its projector, apart from the language model.

    transformers lets `generate` take what it made of images in place of their pixels. That is enough for models such
    as LLaVA and Gemma 3, where an image is one array of pixels and one list of features; others, which tell the
    language model more of an image than that, are not `apart`, and are given the pixels with every question.
    """

    def __init__(self, network: Any, processor: Any) -> None:
        whole = network.get_base_model() if hasattr(network, "get_base_model") else network
        self._model = getattr(whole, "base_model", whole)
        self._network, self._processor = network, processor
        self._listed = False
        self._marks = False
        self.checked = False
        self.apart = (
            hasattr(self._model, "get_image_features")
            and _FEATURES in signature(self._model.forward).parameters
            and hasattr(processor, "get_text_with_replacements")
            and bool(getattr(processor, "image_token", None))
        )

    @torch.inference_mode()
    def encode(self, pictures: Sequence[Pillow.Image]) -> list[Shown]:
        """Each picture as the language model reads it. Raises TogetherError where network or processor is another."""
        try:
            made = self._processor(
                text=[self._processor.image_token] * len(pictures),
                images=[[one] for one in pictures],
                padding=True,
                return_tensors="pt",
                add_special_tokens=False,
                return_text_replacement_offsets=True,
            )
            words = [one["replacement"] for (one,) in made["text_replacement_offsets"]]
        except (KeyError, TypeError, ValueError):
            raise self._not_apart() from None
        features: Any = ()
        if set(made) <= _KNOWN and len(made["pixel_values"]) == len(pictures):
            pixels = made["pixel_values"].to(self._network.device, dtype=self._network.dtype)
            found = self._model.get_image_features(pixel_values=pixels, return_dict=True)
            # A class of its own would have more to say than the features.
            features = found.pooler_output if type(found) is BaseModelOutputWithPooling else ()
        if len(features) != len(pictures):
            raise self._not_apart()
        self._listed = not isinstance(features, Tensor)
        self._marks = _MARKS in made
        return [Shown(*pair) for pair in zip(words, features, strict=True)]

    def check(self, row: Sequence[int], shown: Shown, whole: Mapping[str, Any]) -> None:
        """Raise TogetherError where a question as tokens is not what the processor makes of it and its image, `whole`.

        That is so of all questions or of none: `checked` after one that is.
        """
        ours = self.inputs([row], [shown])
        names = set(whole) - {"pixel_values"}
        if names != set(ours) - {_FEATURES} or any(whole[name].tolist() != ours[name].tolist() for name in names):
            raise self._not_apart()
        self.checked = True

    def _not_apart(self) -> TogetherError:
        self.apart = False
        return TogetherError()

    def inputs(self, rows: Sequence[Sequence[int]], shown: Sequence[Shown]) -> dict[str, Any]:
        """The network's inputs for prompts as tokens, each with its image, padded at the left."""
        device = self._network.device
        ids = _padded(rows, self._processor.tokenizer.pad_token_id).to(device)
        inputs = {"input_ids": ids, "attention_mask": _padded([[1] * len(row) for row in rows], 0).to(device)}
        if self._marks:
            inputs[_MARKS] = _padded(self._processor.create_mm_token_type_ids(rows), 0).to(device)
        features: Any = [one.features for one in shown]
        if not self._listed:
            features = torch.stack(features)
        return {**inputs, _FEATURES: {"image": BaseModelOutputWithPooling(pooler_output=features)}}


def _padded(rows: Sequence[Sequence[int]], padding: int) -> Tensor:
    return pad_sequence(
        [torch.tensor(row) for row in rows], batch_first=True, padding_value=padding, padding_side="left"
    )
