"""sam: a SAM-family checkpoint in Hugging Face format, asked with boxes.

Kirillov et al., "Segment anything", ICCV 2023.
The image encoder runs once an image; the small mask decoder runs once a box on the encoder's answer.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import SamModel

from medstress.cards.model import Sam
from medstress.errors import MedstressError
from medstress.models.segmentation.sam_checkpoint import load_checkpoint
from medstress.models.segmentation.sam_loss import mask_loss
from medstress.models.segmentation.sam_preprocess import (
    Frame,
    Preprocessing,
    box_masks,
    check_box,
    read_preprocessing,
    sam_boxes,
)
from medstress.models.torch_device import torch_device
from medstress.pixels import Box, Image, Mask

T = TypeVar("T")

# Boxes decoded at a time.
_BOXES = 8
# Images whose embeddings are held at a time; a unit of predict has no more.
_IMAGES = 40


class SamSegmenter:
    """A SAM with its pixels and prompts. `predict` asks; `encode`, `decode` and `loss` let gradients through."""

    def __init__(self, model: SamModel, preprocessing: Preprocessing, *, mask_prompt: bool, batch: int) -> None:
        self.model = model
        self.preprocessing = preprocessing
        self._mask_prompt = mask_prompt
        self._batch = batch
        self._grid = 4 * model.prompt_encoder.image_embedding_size[0]

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
        """Low-resolution logits [n, l, l] of one box for each embedding [n, C, g, g].

        `frames` are those of the images, one for each embedding.
        """
        prompts = torch.from_numpy(sam_boxes(boxes, frames)).to(self.device)
        side = self.preprocessing.side
        drawn = (
            torch.from_numpy(box_masks(boxes, frames, side, self._grid)).to(self.device) if self._mask_prompt else None
        )
        sparse, dense = self.model.prompt_encoder(None, None, prompts[:, None], drawn)
        positions: Tensor = self.model.get_image_wide_positional_embeddings()  # type: ignore[no-untyped-call]
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

    def loss(self, images: Sequence[Image], boxes: Sequence[Sequence[Box]], masks: Sequence[Sequence[Mask]]) -> Tensor:
        """The training loss over all objects, a scalar with gradients, through the very path that `predict` takes."""
        _check(images, boxes)
        if not any(boxes):
            raise MedstressError("no image of the batch has a box: there is nothing to learn from")
        embeddings = self.encode(images)
        losses = []
        for index, (image, asked, truth) in enumerate(zip(images, boxes, masks, strict=True)):
            if not asked:
                continue
            frame = self.preprocessing.frame(image)
            repeated = embeddings[index : index + 1].expand(len(asked), -1, -1, -1)
            logits = self.to_image_logits(self.decode(repeated, [frame] * len(asked), asked), frame)
            targets = torch.from_numpy(np.stack(truth)).to(logits)
            losses.append(mask_loss(logits, targets, torch.tensor(asked).to(logits)) * len(asked))
        return torch.stack(losses).sum() / sum(map(len, boxes))

    def predict(self, images: Sequence[Image], boxes: Sequence[Sequence[Box]]) -> list[list[Mask]]:
        """See :class:`medstress.models.segmentation.protocol.Segmenter`.

        Raises MedstressError with every box that is empty or reaches outside its image.
        """
        _check(images, boxes)
        assert not self.model.training, "a model that answers is in eval mode"
        asked = [index for index, group in enumerate(boxes) if group]
        answers: list[list[Mask]] = [[] for _ in images]
        with torch.inference_mode():
            for part in _blocks(asked, _IMAGES):
                for index, logits in self._logits([images[index] for index in part], [boxes[index] for index in part]):
                    answers[part[index]].append((logits > 0).cpu().numpy())
        return answers

    def _logits(self, images: Sequence[Image], boxes: Sequence[Sequence[Box]]) -> Iterator[tuple[int, Tensor]]:
        """Logits [H, W] of all boxes in their order, each with the index of its image.

        Images and boxes go through the model in blocks of one size, the last one filled up with repeats: kernels choose
        their order of summation by the shape, and an answer must not depend on what was asked beside it.
        """
        assert torch.is_inference_mode_enabled(), "answers need no gradients"
        embeddings = torch.cat([self.encode(_filled(block, self._batch)) for block in _blocks(images, self._batch)])
        frames = [self.preprocessing.frame(image) for image in images]
        for block in _blocks([(index, box) for index, group in enumerate(boxes) for box in group], _BOXES):
            filled = _filled(block, _BOXES)
            owners = [index for index, _ in filled]
            low = self.decode(embeddings[owners], [frames[index] for index in owners], [box for _, box in filled])
            for (index, _), logits in zip(block, low, strict=False):
                yield index, self.to_image_logits(logits[None], frames[index])[0]


def _blocks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _filled(items: Sequence[T], size: int) -> list[T]:
    """The items and as many repeats of the last one as make `size`."""
    return [*items, *[items[-1]] * (size - len(items))]


def _check(images: Sequence[Image], boxes: Sequence[Sequence[Box]]) -> None:
    problems = []
    for index, (image, group) in enumerate(zip(images, boxes, strict=True)):
        height, width = image.shape[:2]
        said = (check_box(box, height, width) for box in group)
        problems += [f"image {index} of {len(images)}: {problem}." for problem in said if problem]
    if problems:
        raise MedstressError("\n".join(problems))


def load(card: Sam, root: Path = Path()) -> SamSegmenter:
    """The segmenter of a card, whose weights are relative to `root`.

    Raises MedstressError where the folder is no SAM checkpoint or not the one that the card means, and where the device
    is not there. Sets the number of threads that torch uses in this process.
    """
    folder = root / card.weights
    device = torch_device(card.device, card=card.name)
    torch.set_num_threads(card.threads)
    model = load_checkpoint(folder, card)
    torch.nn.Module.to(model, device).train(False)
    preprocessing = read_preprocessing(folder, model.prompt_encoder.input_image_size)
    return SamSegmenter(model, preprocessing, mask_prompt=card.mask_prompt, batch=card.batch)
