"""Image encoders in torch: whatever the network, it is asked in blocks of one size, in eval and inference mode."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from medstress.cards.learned import Learned
from medstress.models.blocks import blocks, filled, fit_batch
from medstress.models.precision import (
    MOST_IMAGES,
    Precision,
    fits_memory,
    largest_batch,
    out_of_memory,
    precision_of,
)
from medstress.models.torch_device import torch_device
from medstress.models.zeroshot.protocol import Features, Targets
from medstress.pixels import Image

# Where a card says `auto` on a CPU; more gains nothing.
_CPU_BATCH = 8
# Texts encoded at a time.
_TEXTS = 8


class Pixels(Protocol):
    """How an encoder wants its images, such as :class:`medstress.models.zeroshot.clip_pixels.Preprocessing`."""

    @property
    def side(self) -> int:
        """Of the square input, in pixels."""
        ...

    def exact(self, images: Sequence[Image], device: torch.device) -> Tensor:
        """The input [n, 3, side, side], float32, of images uint8 [H, W] or [H, W, 3] RGB."""
        ...

    def differentiable(self, pixels: Tensor) -> Tensor:
        """As `exact`, of float32 [n, C, H, W], 0..255, with gradients to `pixels`."""
        ...


@dataclass
class TorchEncoder:
    """An image encoder: see :class:`medstress.models.zeroshot.protocol.ImageEncoder`.

    forward: inputs [n, 3, side, side] to embeddings [n, D]; normalised here where `unit` is set. encoder and targets:
    as the protocol has them.
    """

    model: nn.Module
    preprocessing: Pixels
    forward: Callable[[Tensor], Tensor]
    encoder: str
    targets: Targets
    name: str
    unit: bool = True
    precision: Precision = field(default_factory=Precision)
    batch: int = _CPU_BATCH

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.model.parameters()).device

    def inputs(self, images: Sequence[Image]) -> Tensor:
        """See the protocol."""
        return self.preprocessing.exact(images, self.device)

    def differentiable_inputs(self, pixels: Tensor) -> Tensor:
        """See the protocol."""
        return self.preprocessing.differentiable(pixels.to(self.device))

    def features(self, inputs: Tensor) -> Tensor:
        """See the protocol."""
        with self.precision.encoder():
            # Convolutions sum in another order where channels lie last, as they do in some ways here and not in others.
            found = self.forward(inputs.contiguous())
        return unit(found.float()) if self.unit else found.float()

    def embed(self, images: Sequence[Image]) -> Features:
        """See the protocol. Raises MedstressError where the GPU's memory runs out, with the largest batch that fits."""
        assert not self.model.training, "a model that answers is in eval mode"
        try:
            with torch.inference_mode():
                return np.concatenate([self._embed(self.inputs(block)) for block in blocks(images, self.batch)])
        except torch.OutOfMemoryError:
            # Looked into below: while it is handled here, the error's traceback holds what did not fit.
            pass
        raise out_of_memory(self.name, self.batch, self.largest_batch(self.batch - 1))

    def largest_batch(self, limit: int = MOST_IMAGES) -> int:
        """How many images, at most `limit`, can be encoded at a time on this device, found by trial; 0 if none."""

        def attempt(images: int) -> bool:
            side = self.preprocessing.side
            with torch.inference_mode():
                return fits_memory(lambda: self.features(torch.zeros(images, 3, side, side, device=self.device)))

        return largest_batch(attempt, limit)

    def _embed(self, inputs: Tensor) -> Features:
        """Embeddings of at most a batch, filled up to one with repeats."""
        full = torch.cat([inputs, inputs[-1:].expand(self.batch - len(inputs), -1, -1, -1)])
        found: Features = self.features(full)[: len(inputs)].cpu().numpy()
        return found


@dataclass
class TorchImageText(TorchEncoder):
    """An image-text model: see :class:`medstress.models.zeroshot.protocol.ImageTextModel`.

    encode_texts: texts to embeddings [n, D], all padded to one length; normalised here.
    """

    encode_texts: Callable[[Sequence[str]], Tensor] = field(kw_only=True)
    scale: float = field(kw_only=True)

    def embed_texts(self, texts: Sequence[str]) -> Features:
        """See the protocol."""
        assert not self.model.training, "a model that answers is in eval mode"
        with torch.inference_mode():
            found = [
                unit(self.encode_texts(filled(block, _TEXTS)).float())[: len(block)] for block in blocks(texts, _TEXTS)
            ]
        return np.asarray(torch.cat(found).cpu().numpy(), dtype=np.float32)


def unit(features: Tensor) -> Tensor:
    """Rows [n, D] at length 1."""
    return functional.normalize(features, dim=-1, eps=0.0)


def place(encoder: TorchEncoder, card: Learned) -> None:
    """Put an encoder, in eval mode, on the device that its card wants, with its precision, batch and threads.

    Raises MedstressError where the device is not there or cannot hold a single image. Sets the number of threads that
    torch uses in this process.
    """
    device = torch_device(card.device, card=card.name)
    torch.set_num_threads(card.threads)
    nn.Module.to(encoder.model, device).train(False)
    encoder.precision = precision_of(card, device)
    fit_batch(encoder, card, device)
