"""sam: a SAM-family checkpoint in Hugging Face format, asked with boxes (Kirillov et al., "Segment anything", ICCV 2023).

The image encoder runs once an image; the small mask decoder runs once a box on the encoder's answer.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import SamConfig, SamModel

from medstress.config import Sam
from medstress.errors import MedstressError
from medstress.models.segmentation.protocol import Segmenter
from medstress.models.segmentation.sam_loss import mask_loss
from medstress.models.segmentation.sam_preprocess import (
    Frame,
    Preprocessing,
    box_masks,
    check_box,
    read_preprocessing,
    sam_boxes,
)
from medstress.pixels import Box, Image, Mask

# Boxes decoded at a time.
_BOXES = 8


class SamSegmenter:
    """A SAM with its pixels and prompts. `predict` asks; `encode`, `decode` and `loss` let gradients through."""

    def __init__(self, model: SamModel, preprocessing: Preprocessing, *, mask_prompt: bool, batch: int) -> None:
        self.model = model
        self.preprocessing = preprocessing
        self._mask_prompt = mask_prompt
        self._batch = batch
        self._grid = 4 * model.config.prompt_encoder_config.image_embedding_size

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.shared_image_embedding.positional_embedding.device

    def encode(self, images: Sequence[Image]) -> Tensor:
        """Embeddings [n, C, g, g] of images, uint8 [H, W] or [H, W, 3]; sizes may differ."""
        pixels = np.stack([self.preprocessing.pixels(image) for image in images])
        answer: Tensor = self.model.vision_encoder(torch.from_numpy(pixels).to(self.device)).last_hidden_state
        return answer

    def decode(self, embeddings: Tensor, frames: Sequence[Frame], boxes: Sequence[Box]) -> Tensor:
        """Low-resolution logits [n, l, l] of one box for each embedding [n, C, g, g]; `frames` are those of the images."""
        prompts = torch.from_numpy(sam_boxes(boxes, frames)).to(self.device)
        side = self.preprocessing.side
        drawn = torch.from_numpy(box_masks(boxes, frames, side, self._grid)).to(self.device) if self._mask_prompt else None
        sparse, dense = self.model.prompt_encoder(None, None, prompts[:, None], drawn)
        positions = self.model.get_image_wide_positional_embeddings()
        logits: Tensor = self.model.mask_decoder(
            image_embeddings=embeddings,
            image_positional_embeddings=positions.expand(len(boxes), -1, -1, -1),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )[0]
        return logits[:, 0, 0]

    def to_image_logits(self, low: Tensor, frame: Frame) -> Tensor:
        """Logits [n, H, W] in the pixels of one image: brought to the input's size, the padding cut off, resized."""
        side = self.preprocessing.side
        full = functional.interpolate(low[:, None], (side, side), mode="bilinear", align_corners=False)
        seen = full[..., : frame.scaled_height, : frame.scaled_width]
        return functional.interpolate(seen, (frame.height, frame.width), mode="bilinear", align_corners=False)[:, 0]

    def loss(
        self, images: Sequence[Image], boxes: Sequence[Sequence[Box]], masks: Sequence[Sequence[Mask]]
    ) -> Tensor:
        """The training loss over all objects, a scalar with gradients, through the very path that `predict` takes."""
        problems = list(_problems(images, boxes))
        if problems:
            raise MedstressError("\n".join(problems))
        embeddings = self.encode(images)
        losses, counts = [], []
        for index, (image, asked, truth) in enumerate(zip(images, boxes, masks, strict=True)):
            frame = self.preprocessing.frame(image)
            repeated = embeddings[index : index + 1].expand(len(asked), -1, -1, -1)
            logits = self.to_image_logits(self.decode(repeated, [frame] * len(asked), asked), frame)
            targets = torch.from_numpy(np.stack(truth)).to(logits)
            losses.append(mask_loss(logits, targets, torch.tensor(asked).to(logits)) * len(asked))
            counts.append(len(asked))
        return torch.stack(losses).sum() / sum(counts)

    def predict(self, images: Sequence[Image], boxes: Sequence[Sequence[Box]]) -> list[list[Mask]]:
        """See :class:`medstress.models.segmentation.protocol.Segmenter`."""
        problems = list(_problems(images, boxes))
        if problems:
            raise MedstressError("\n".join(problems))
        answers: list[list[Mask]] = [[] for _ in images]
        asked = [index for index, group in enumerate(boxes) if group]
        with torch.inference_mode():
            for start in range(0, len(asked), self._batch):
                part = asked[start : start + self._batch]
                embeddings = self.encode([images[index] for index in part])
                for index, embedding in zip(part, embeddings, strict=True):
                    answers[index] = self._masks(embedding, images[index], boxes[index])
        return answers

    def _masks(self, embedding: Tensor, image: Image, boxes: Sequence[Box]) -> list[Mask]:
        frame = self.preprocessing.frame(image)
        found: list[Mask] = []
        for start in range(0, len(boxes), _BOXES):
            part = boxes[start : start + _BOXES]
            low = self.decode(embedding.expand(len(part), -1, -1, -1), [frame] * len(part), part)
            found.extend((self.to_image_logits(low, frame) > 0).cpu().numpy())
        return found


def _problems(images: Sequence[Image], boxes: Sequence[Sequence[Box]]) -> Iterator[str]:
    for index, (image, group) in enumerate(zip(images, boxes, strict=True)):
        height, width = image.shape[:2]
        for box in group:
            if said := check_box(box, height, width):
                yield f"image {index} of {len(images)}: {said}."
