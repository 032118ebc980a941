"""Segmenters without prompts: one network, one object an image, every box answered with the whole foreground."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from medstress.cards.segmenter import DeepLabV3, UNet
from medstress.errors import MedstressError
from medstress.models.blocks import blocks, filled, fit_batch
from medstress.models.precision import Precision, fits_memory, largest_batch, out_of_memory, precision_of
from medstress.models.segmentation.box_check import require_boxes
from medstress.models.segmentation.likely_adapter import likely_adapter
from medstress.models.segmentation.protocol import Parts
from medstress.models.segmentation.sam_loss import mask_loss
from medstress.models.torch_device import torch_device
from medstress.models.weight_file import check_weight_file, misfits
from medstress.pixels import Box, Image, Mask
from medstress.seeds import seed_of

# ImageNet's, in grey levels of red, green and blue.
_MEAN = (123.675, 116.28, 103.53)
_STD = (58.395, 57.12, 57.375)
# Images that `batch: auto` tries at most.
_MOST = 64


@dataclass(frozen=True)
class Architecture:
    """A network [n, 3, side, side] -> logits [n, 1, side, side]: its weights, how it is asked, and its parts."""

    model: nn.Module
    logits: Callable[[Tensor], Tensor]
    parts: Parts


class WholeImageSegmenter:
    """Looks at whole images, as squares of `side` pixels.

    A :class:`medstress.models.segmentation.protocol.LearnedSegmenter`.
    """

    def __init__(
        self, network: Architecture, *, side: int, name: str, batch: int = 1, precision: Precision | None = None
    ) -> None:
        self.model = network.model
        self.parts = network.parts
        self.batch = batch
        self._ask = network.logits
        self._side = side
        self._name = name
        self._precision = precision or Precision()

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    def encode(self, images: Sequence[Image]) -> Tensor:
        """The inputs [n, 3, side, side] of images, uint8 [H, W] or [H, W, 3]; sizes may differ."""
        return torch.cat([self._input(_channels(image).to(self.device)) for image in images])

    def loss(
        self,
        images: Sequence[Image],
        boxes: Sequence[Sequence[Box]],
        masks: Sequence[Sequence[Mask]],
        embeddings: Tensor | None = None,
    ) -> Tensor:
        """The training loss, a scalar: the mean over images with an object, through the path that `predict` takes.

        Raises MedstressError where an image has several objects, or none has one.
        """
        self._check(images, boxes)
        asked = [index for index, group in enumerate(boxes) if group]
        if not asked:
            raise MedstressError("no image of the batch has an object: there is nothing to learn from")
        inputs = self.encode(images) if embeddings is None else embeddings
        logits = self._logits(inputs[asked])
        sizes = [images[index].shape[:2] for index in asked]
        return torch.stack(_losses(logits, sizes, [masks[index][0] for index in asked])).mean()

    def attack_loss(self, pixels: Tensor, boxes: Sequence[Sequence[Box]], masks: Sequence[Sequence[Mask]]) -> Tensor:
        """The loss of each image [n], as in training, with gradients to `pixels`, float32 [n, C, H, W], 0..255.

        Nothing on the path rounds, so it is that of `predict`; an image without a box has the loss 0.
        """
        assert not self.model.training, "a model that is attacked is in eval mode"
        height, width = pixels.shape[2:]
        self._check([np.zeros((height, width), dtype=np.uint8)] * len(pixels), boxes)
        logits = self._logits(self._input(pixels.to(self.device)))
        truth = [group[0] if group else np.zeros((height, width), dtype=bool) for group in masks]
        counted = logits.new_tensor([bool(group) for group in boxes])
        return torch.stack(_losses(logits, [(height, width)] * len(pixels), truth)) * counted

    def predict(self, images: Sequence[Image], boxes: Sequence[Sequence[Box]]) -> list[list[Mask]]:
        """See :class:`medstress.models.segmentation.protocol.Segmenter`.

        Raises MedstressError where an image has several boxes, for a box that is empty or reaches outside its image,
        and where the GPU's memory runs out, with the largest batch that fits.
        """
        self._check(images, boxes)
        assert not self.model.training, "a model that answers is in eval mode"
        asked = [index for index, group in enumerate(boxes) if group]
        answers: list[list[Mask]] = [[] for _ in images]
        try:
            with torch.inference_mode():
                for part in blocks(asked, self.batch):
                    logits = self._logits(self.encode([images[index] for index in filled(part, self.batch)]))
                    for index, one in zip(part, logits, strict=False):
                        full = _resized(one[None, None], images[index].shape[:2])
                        answers[index].append((full[0, 0] > 0).cpu().numpy())
                return answers
        except torch.OutOfMemoryError:
            # Looked into below: as long as the error is handled here, what did not fit is held by its traceback.
            pass
        raise out_of_memory(self._name, self.batch, self.largest_batch(self.batch - 1))

    def largest_batch(self, limit: int = _MOST) -> int:
        """How many images, at most `limit`, fit this device at a time, found by trial; 0 if none."""

        def attempt(images: int) -> bool:
            with torch.inference_mode():
                return fits_memory(
                    lambda: self._logits(torch.zeros(images, 3, self._side, self._side, device=self.device))
                )

        return largest_batch(attempt, limit)

    def _input(self, pixels: Tensor) -> Tensor:
        """The input [n, 3, side, side] of images [n, C, H, W], C = 1 (taken as R = G = B) or 3, 0..255."""
        square = functional.interpolate(
            pixels.float(), (self._side, self._side), mode="bilinear", align_corners=False, antialias=True
        )
        mean, std = (square.new_tensor(values)[:, None, None] for values in (_MEAN, _STD))
        return (square - mean) / std

    def _logits(self, inputs: Tensor) -> Tensor:
        """Logits [n, side, side], float32."""
        with self._precision.encoder():
            return self._ask(inputs)[:, 0].float()

    def _check(self, images: Sequence[Image], boxes: Sequence[Sequence[Box]]) -> None:
        several = [str(index) for index, group in enumerate(boxes) if len(group) > 1]
        if several:
            raise MedstressError(
                f"model {self._name} takes no prompts and cannot tell the objects of one image apart, but image "
                f"{', '.join(several)} of {len(images)} has several. Leave it out of studies on this data set, or make "
                "them one object (`labels.kind: binary` in the data set's card)."
            )
        require_boxes(images, boxes)


def _channels(image: Image) -> Tensor:
    """[1, C, H, W] of an image [H, W] or [H, W, 3]."""
    channels = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(channels))[None]


def _resized(logits: Tensor, size: tuple[int, ...]) -> Tensor:
    return functional.interpolate(logits, size, mode="bilinear", align_corners=False)


def _losses(logits: Tensor, sizes: Sequence[tuple[int, ...]], masks: Sequence[Mask]) -> list[Tensor]:
    """The loss of each image's logits [n, side, side] at its own size, all of its pixels alike."""
    losses = []
    for one, (height, width), mask in zip(logits, sizes, masks, strict=True):
        everywhere = one.new_tensor([[0, 0, width, height]])
        truth = torch.from_numpy(np.ascontiguousarray(mask))[None].to(one)
        losses.append(mask_loss(_resized(one[None, None], (height, width))[0], truth, everywhere))
    return losses


def load_whole_image(card: UNet | DeepLabV3, build: Callable[[], Architecture], root: Path) -> WholeImageSegmenter:
    """The segmenter of a card, in eval mode on its device, with weights relative to `root`.

    Without weights they are drawn, from a seed that the card's name gives. Raises MedstressError where the file is
    missing, broken or not what the card means, and where the device is not there. Sets the number of threads that torch
    uses in this process.
    """
    device = torch_device(card.device, card=card.name)
    torch.set_num_threads(card.threads)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of("drawn weights", card.name))
        network = build()
    if card.weights is not None:
        _load_weights(network.model, root / card.weights, card)
    network.model.to(device).train(False)
    segmenter = WholeImageSegmenter(network, side=card.side, name=card.name, precision=precision_of(card, device))
    fit_batch(segmenter, card, device)
    if card.compiled and device.type == "cuda":
        network.model.compile()
    return segmenter


def _load_weights(model: nn.Module, path: Path, card: UNet | DeepLabV3) -> None:
    where = f"model card {card.name}: weights {card.weights!r}"
    check_weight_file(path, card.sha256, where)
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise MedstressError(f"{where}: {path.name} is not a readable safetensors file ({error}).") from None
    problems = misfits(model.state_dict(), tensors, f"adapter {card.adapter} with this card")
    if problems:
        advice = likely_adapter(tensors, card.adapter)
        raise MedstressError(f"{where}: {path.name} does not fit: {'; '.join(problems)}. {advice}".rstrip())
    model.load_state_dict(tensors, strict=True)
