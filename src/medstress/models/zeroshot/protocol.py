"""What a classifier is: an image encoder whose embeddings a head turns into one logit a class."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from medstress.pixels import Image

if TYPE_CHECKING:
    from torch import Tensor, nn

Features = npt.NDArray[np.float32]
"""One row an image or text, float32 [n, D]."""


@dataclass(frozen=True)
class Targets:
    """Where LoRA may go: regular expressions that match whole names of the image encoder's modules.

    q, k, v, out (of attention) and mlp match linear layers. qkv matches fused projections, for which q, k and v are
    thirds of the output, in this order. conv matches convolutions. None where a model has no such part.
    """

    q: str | None = None
    k: str | None = None
    v: str | None = None
    qkv: str | None = None
    out: str | None = None
    mlp: str | None = None
    conv: str | None = None


class ImageEncoder(Protocol):
    """Images to embeddings. Resolution, padding, statistics and batching are its own."""

    @property
    def model(self) -> "nn.Module":
        """The network: what is trained, in eval mode whenever it answers or is attacked."""
        ...

    @property
    def encoder(self) -> str:
        """A regular expression that matches the beginning of the names of the image encoder's parameters."""
        ...

    @property
    def targets(self) -> Targets:
        """Where LoRA may go."""
        ...

    def embed(self, images: Sequence[Image]) -> Features:
        """Embeddings of images, uint8 [H, W] or [H, W, 3] RGB as stored.

        Of unit length for image-text models, logits for plain classifiers. That of an image does not depend on which
        others are embedded with it.
        """
        ...

    def inputs(self, images: Sequence[Image]) -> "Tensor":
        """The network's input, float32 [n, 3, S, S], on its device: what `embed` begins with."""
        ...

    def differentiable_inputs(self, pixels: "Tensor") -> "Tensor":
        """As `inputs`, of float32 [n, C, H, W], 0..255, C = 1 for grey and 3 for RGB, with gradients to `pixels`.

        For whole grey levels its values are those of `inputs`; where that rounds, the gradient is the one without.
        """
        ...

    def features(self, inputs: "Tensor") -> "Tensor":
        """The network's input to embeddings [n, D], with gradients where the caller allows them."""
        ...


class ImageTextModel(ImageEncoder, Protocol):
    """An image encoder and a text encoder with one space of embeddings."""

    @property
    def scale(self) -> float:
        """What cosines are multiplied with to be logits: exp(logit_scale)."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> Features:
        """Embeddings of texts, of unit length. That of a text does not depend on the others."""
        ...
