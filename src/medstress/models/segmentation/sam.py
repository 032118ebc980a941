"""sam: a SAM-family checkpoint in Hugging Face format or the original one, asked with boxes or points.

Kirillov et al., "Segment anything", ICCV 2023.
The image encoder runs once an image; the small mask decoder runs once a box on the encoder's answer.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from transformers import SamModel

from medstress.cards.segmenter import MedSam, Sam
from medstress.errors import MedstressError
from medstress.models.blocks import blocks, filled, fit_batch
from medstress.models.precision import (
    MOST_IMAGES,
    Precision,
    fits_memory,
    largest_batch,
    out_of_memory,
    precision_of,
)
from medstress.models.segmentation.box_check import require_boxes
from medstress.models.segmentation.protocol import Parts
from medstress.models.segmentation.sam_checkpoint import load_checkpoint
from medstress.models.segmentation.sam_loss import mask_loss
from medstress.models.segmentation.sam_pixels import Frame, PixelPath
from medstress.models.segmentation.sam_preprocess import box_masks, read_preprocessing, sam_boxes
from medstress.models.straight_through import straight_through
from medstress.models.torch_device import torch_device
from medstress.pixels import Box, Image, Mask

# Boxes decoded at a time.
_BOXES = {"cpu": 8, "cuda": 32}

_PARTS = Parts(
    encoder=r"vision_encoder\.",
    blocks=r"vision_encoder\.layers\.(\d+)\.",
    decoder=r"mask_decoder\.",
    prompt_encoder=r"prompt_encoder\.",
    qkv=r"vision_encoder\.layers\.\d+\.attn\.qkv",
    encoder_outputs=r"vision_encoder\.layers\.\d+\.attn\.proj",
    mlp_outputs=r"vision_encoder\.layers\.\d+\.mlp\.lin2",
    decoder_projections=r"mask_decoder\.transformer\.(layers\.\d+\.\w+|final_attn_token_to_image)\.(q_proj|v_proj|out_proj)",
)


class SamSegmenter:
    """A SAM with its pixels and prompts. `predict` asks; `encode`, `decode` and the losses let gradients through.

    `prompt` is box, or point: the centre of the box as one positive click. With `mask_prompt` the box is also drawn as
    a low-resolution mask. With `multimask` three masks are made and the one with the best predicted IoU is taken.
    """

    def __init__(
        self,
        model: SamModel,
        preprocessing: PixelPath,
        *,
        batch: int,
        mask_prompt: bool = False,
        prompt: Literal["box", "point"] = "box",
        multimask: bool = False,
        precision: Precision | None = None,
        name: str = "sam",
    ) -> None:
        self.model = model
        self.preprocessing = preprocessing
        self.batch = batch
        self._mask_prompt = mask_prompt
        self._prompt = prompt
        self._multimask = multimask
        self._precision = precision or Precision()
        self._name = name
        self._grid = 4 * model.prompt_encoder.image_embedding_size[0]

    @property
    def parts(self) -> Parts:
        """What the parts of transformers' SamModel are called."""
        return _PARTS

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.shared_image_embedding.positional_embedding.device

    def encode(self, images: Sequence[Image]) -> Tensor:
        """Embeddings [n, C, g, g], float32, of images, uint8 [H, W] or [H, W, 3]; sizes may differ."""
        return self._embed(torch.stack([self.preprocessing.pixels(image, self.device) for image in images]))

    def decode(self, embeddings: Tensor, frames: Sequence[Frame], boxes: Sequence[Box]) -> Tensor:
        """Low-resolution logits [n, l, l] of one box for each embedding [n, C, g, g].

        `frames` are those of the images, one for each embedding.
        """
        corners = torch.from_numpy(sam_boxes(boxes, frames)).to(self.device)[:, None]
        side = self.preprocessing.side
        drawn = (
            torch.from_numpy(box_masks(boxes, frames, side, self._grid)).to(self.device) if self._mask_prompt else None
        )
        with self._precision.prompts():
            if self._prompt == "point":
                centres = corners.reshape(-1, 1, 2, 2).mean(2, keepdim=True)
                clicks = torch.ones(centres.shape[:3], dtype=torch.int64, device=self.device)
                sparse, dense = self.model.prompt_encoder(centres, clicks, None, drawn)
            else:
                sparse, dense = self.model.prompt_encoder(None, None, corners, drawn)
            positions: Tensor = self.model.get_image_wide_positional_embeddings()  # type: ignore[no-untyped-call]
            logits, scores = self.model.mask_decoder(
                image_embeddings=embeddings,
                image_positional_embeddings=positions.expand(len(boxes), -1, -1, -1),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=self._multimask,
            )
        best = scores[:, 0].argmax(1)
        chosen: Tensor = logits[torch.arange(len(boxes), device=self.device), 0, best]
        return chosen

    def to_image_logits(self, low: Tensor, frame: Frame) -> Tensor:
        """Low-resolution logits [n, l, l] as logits [n, H, W] in the pixels of one image."""
        return self.preprocessing.to_image(low, frame)

    def loss(
        self,
        images: Sequence[Image],
        boxes: Sequence[Sequence[Box]],
        masks: Sequence[Sequence[Mask]],
        embeddings: Tensor | None = None,
    ) -> Tensor:
        """The training loss over all objects, a scalar with gradients, through the very path that `predict` takes.

        `embeddings` are what `encode` gave for these images, where they are known.
        """
        require_boxes(images, boxes)
        if not any(boxes):
            raise MedstressError("no image of the batch has a box: there is nothing to learn from")
        known = self.encode(images) if embeddings is None else embeddings
        losses = self._image_losses(known, [self.preprocessing.frame(image) for image in images], boxes, masks)
        counts = losses.new_tensor([len(group) for group in boxes])
        return (losses * counts).sum() / counts.sum()

    def attack_loss(self, pixels: Tensor, boxes: Sequence[Sequence[Box]], masks: Sequence[Sequence[Mask]]) -> Tensor:
        """The loss of each image [n], as in training, with gradients to `pixels`, float32 [n, C, H, W], 0..255.

        See :class:`medstress.models.segmentation.protocol.LearnedSegmenter`; an image without a box has the loss 0.
        """
        assert not self.model.training, "a model that is attacked is in eval mode"
        blank = np.zeros(tuple(pixels.shape[2:]), dtype=np.uint8)
        require_boxes([blank] * len(pixels), boxes)
        if not any(boxes):
            raise MedstressError("no image of the batch has a box: there is nothing to attack")
        given = pixels.to(self.device)
        embeddings = self._embed(torch.stack([straight_through(self.preprocessing, image) for image in given]))
        return self._image_losses(embeddings, [self.preprocessing.frame(blank)] * len(pixels), boxes, masks)

    def predict(self, images: Sequence[Image], boxes: Sequence[Sequence[Box]]) -> list[list[Mask]]:
        """See :class:`medstress.models.segmentation.protocol.Segmenter`.

        Raises MedstressError with every box that is empty or reaches outside its image, and where the GPU's memory runs
        out, with the largest batch that fits.
        """
        require_boxes(images, boxes)
        assert not self.model.training, "a model that answers is in eval mode"
        try:
            return self._predict(images, boxes)
        except torch.OutOfMemoryError:
            # Looked into below: while it is handled here, the error's traceback holds what did not fit.
            pass
        raise out_of_memory(self._name, self.batch, self.largest_batch(self.batch - 1))

    def largest_batch(self, limit: int = MOST_IMAGES) -> int:
        """How many images, at most `limit`, can be encoded at a time on this device, found by trial; 0 if none."""

        def attempt(images: int) -> bool:
            side = self.preprocessing.side
            with torch.inference_mode():
                return fits_memory(lambda: self._embed(torch.zeros(images, 3, side, side, device=self.device)))

        return largest_batch(attempt, limit)

    def _embed(self, inputs: Tensor) -> Tensor:
        """Embeddings [n, C, g, g] of inputs [n, 3, side, side]."""
        with self._precision.encoder():
            answer: Tensor = self.model.vision_encoder(inputs).last_hidden_state
        return answer.float()

    def _image_losses(
        self,
        embeddings: Tensor,
        frames: Sequence[Frame],
        boxes: Sequence[Sequence[Box]],
        masks: Sequence[Sequence[Mask]],
    ) -> Tensor:
        """The mean loss of each image's objects [n]; 0 for an image without any."""
        # Expanded and not indexed: the gradient is then a plain sum, in an order that never changes.
        repeated = [embeddings[i : i + 1].expand(len(group), -1, -1, -1) for i, group in enumerate(boxes)]
        asked = [(frame, box) for frame, group in zip(frames, boxes, strict=True) for box in group]
        low = self.decode(torch.cat(repeated), [frame for frame, _ in asked], [box for _, box in asked])
        losses = []
        parts = torch.split(low, [len(group) for group in boxes])
        for part, frame, group, truth in zip(parts, frames, boxes, masks, strict=True):
            if not group:
                losses.append(low.new_zeros(()))
                continue
            targets = torch.from_numpy(np.stack(truth)).to(low)
            losses.append(mask_loss(self.to_image_logits(part, frame), targets, torch.tensor(group).to(low)))
        return torch.stack(losses)

    def _predict(self, images: Sequence[Image], boxes: Sequence[Sequence[Box]]) -> list[list[Mask]]:
        asked = [index for index, group in enumerate(boxes) if group]
        answers: list[list[Mask]] = [[] for _ in images]
        with torch.inference_mode():
            for part in blocks(asked, MOST_IMAGES):
                for index, logits in self._logits([images[index] for index in part], [boxes[index] for index in part]):
                    answers[part[index]].append((logits > 0).cpu().numpy())
        return answers

    def _logits(self, images: Sequence[Image], boxes: Sequence[Sequence[Box]]) -> Iterator[tuple[int, Tensor]]:
        """Logits [H, W] of all boxes in their order, each with the index of its image.

        Images and boxes go through the model in blocks of one size, the last one filled up with repeats: kernels choose
        their order of summation by the shape, and an answer must not depend on what was asked beside it.
        """
        assert torch.is_inference_mode_enabled(), "answers need no gradients"
        embeddings = torch.cat([self.encode(filled(block, self.batch)) for block in blocks(images, self.batch)])
        frames = [self.preprocessing.frame(image) for image in images]
        size = _BOXES[self.device.type]
        for block in blocks([(index, box) for index, group in enumerate(boxes) for box in group], size):
            full = filled(block, size)
            owners = [index for index, _ in full]
            low = self.decode(embeddings[owners], [frames[index] for index in owners], [box for _, box in full])
            for (index, _), logits in zip(block, low, strict=False):
                yield index, self.to_image_logits(logits[None], frames[index])[0]


def segmenter_of(model: SamModel, preprocessing: PixelPath, card: Sam | MedSam, device: torch.device) -> SamSegmenter:
    """The segmenter around a loaded model, in eval mode on a device, as fast as its card allows.

    Raises MedstressError where the device has no such number format or cannot hold a single image.
    """
    torch.nn.Module.to(model, device).train(False)
    segmenter = SamSegmenter(
        model,
        preprocessing,
        batch=1,
        mask_prompt=isinstance(card, Sam) and card.mask_prompt,
        prompt=card.prompt if isinstance(card, Sam) else "box",
        multimask=isinstance(card, Sam) and card.multimask,
        precision=precision_of(card, device),
        name=card.name,
    )
    fit_batch(segmenter, card, device)
    if card.compiled and device.type == "cuda":
        # In place, so that weights keep their names. Compiled when first called, after a strategy added its layers.
        model.vision_encoder.compile()
    return segmenter


def load(card: Sam, root: Path = Path()) -> SamSegmenter:
    """The segmenter of a card, whose weights are relative to `root`.

    Raises MedstressError where the weights are no SAM checkpoint or not the one that the card means, and where the
    device is not there. Sets the number of threads that torch uses in this process.
    """
    path = root / card.weights
    device = torch_device(card.device, card=card.name)
    torch.set_num_threads(card.threads)
    model = load_checkpoint(path, card)
    side = model.prompt_encoder.input_image_size
    return segmenter_of(model, read_preprocessing(path, side), card, device)
