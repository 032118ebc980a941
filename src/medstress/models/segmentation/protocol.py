"""What a segmenter is, and what one with weights can do besides."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from medstress.pixels import Box, Image, Mask

if TYPE_CHECKING:
    from torch import Tensor, nn


class Segmenter(Protocol):
    """Answers box prompts with masks. Everything else (resolution, padding, normalisation, batching) is its own."""

    def predict(self, images: Sequence[Image], boxes: Sequence[Sequence[Box]]) -> list[list[Mask]]:
        """One mask [H, W] for each box of each image.

        `images` are uint8 [H, W] or [H, W, 3] RGB as stored; boxes are x0, y0, x1, y1 in pixels, half-open, inside the
        image and not empty. The answer for a box depends on its image and itself alone.
        """
        ...


@dataclass(frozen=True)
class Parts:
    """What the parts of a model are called: regular expressions that match the beginning of names.

    encoder, prompt_encoder and decoder match parameters; `blocks` matches parameters of the image encoder's blocks and
    has one group, the block's number. The others match whole names of linear modules: qkv (the fused query, key and
    value of every encoder block), encoder_outputs (the projection after attention), mlp_outputs (the last layer of
    every encoder block's MLP), decoder_projections (query, value and output of every attention of the decoder).
    adapters matches parameters of adapters that the model has. None where a model has no such part.
    """

    encoder: str
    blocks: str
    decoder: str
    prompt_encoder: str | None = None
    qkv: str | None = None
    encoder_outputs: str | None = None
    mlp_outputs: str | None = None
    decoder_projections: str | None = None
    adapters: str | None = None


class LearnedSegmenter(Segmenter, Protocol):
    """A segmenter with weights, whose losses let gradients through the very path that is scored."""

    @property
    def model(self) -> "nn.Module":
        """The network: what is trained, in eval mode whenever it answers or is attacked."""
        ...

    @property
    def parts(self) -> Parts:
        """What its parts are called."""
        ...

    def encode(self, images: Sequence[Image]) -> "Tensor":
        """Embeddings of images, whose first axis is the image; sizes may differ."""
        ...

    def loss(
        self,
        images: Sequence[Image],
        boxes: Sequence[Sequence[Box]],
        masks: Sequence[Sequence[Mask]],
        embeddings: "Tensor | None" = None,
    ) -> "Tensor":
        """The training loss, a scalar: the mean over all objects.

        `embeddings` are what `encode` gave, where they are known; then nothing but the sizes of `images` is looked at.
        """
        ...

    def attack_loss(
        self, pixels: "Tensor", boxes: Sequence[Sequence[Box]], masks: Sequence[Sequence[Mask]]
    ) -> "Tensor":
        """The loss of each image [n] over its objects, with gradients to `pixels`, float32 [n, C, H, W], 0..255.

        `pixels` are images of one size as stored, C = 1 for grey and 3 for RGB. Its values are those of the path that
        `predict` takes; where that path rounds, the gradient is the one without rounding.
        """
        ...
