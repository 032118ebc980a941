"""sam_med2d: SAM-Med2D (Cheng et al., arXiv 2308.16184), asked with boxes. Needs the extra `sam`."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from medstress.cards.segmenter import SamMed2d
from medstress.models.blocks import fit_batch
from medstress.models.precision import Precision, precision_of
from medstress.models.segmentation.protocol import Parts
from medstress.models.segmentation.sam import SamSegmenter
from medstress.models.segmentation.sam_pixels import Frame
from medstress.models.torch_device import torch_device
from medstress.models.torchvision_bridge import require_extra
from medstress.pixels import Box, Image

if TYPE_CHECKING:
    from medstress.models.segmentation.sam_med2d_encoder import SamMed2dNetwork

_CPU = torch.device("cpu")
_MEAN = (123.675, 116.28, 103.53)
_STD = (58.395, 57.12, 57.375)

_ATTENTION = r"mask_decoder\.transformer\.(layers\.\d+\.\w+|final_attn_token_to_image)"
_PARTS = Parts(
    encoder=r"image_encoder\.",
    blocks=r"image_encoder\.blocks\.(\d+)\.",
    decoder=r"mask_decoder\.",
    prompt_encoder=r"prompt_encoder\.",
    qkv=r"image_encoder\.blocks\.\d+\.attn\.qkv",
    encoder_outputs=r"image_encoder\.blocks\.\d+\.attn\.proj",
    mlp_outputs=r"image_encoder\.blocks\.\d+\.mlp\.lin2",
    decoder_projections=rf"{_ATTENTION}\.(q_proj|v_proj|out_proj)",
    adapters=r"image_encoder\.blocks\.\d+\.Adapter\.",
)


@dataclass(frozen=True)
class Med2dPixels:
    """SAM-Med2D's way in and out, that of its authors' training and test and not SAM's.

    An image whose sides are both shorter than the input's is put in the middle of zeros; any other is stretched to the
    square by its nearest pixels. Channels are blue, green, red, and blue has what is red's mean and deviation in SAM.
    A :class:`medstress.models.segmentation.sam_pixels.PixelPath`.
    """

    side: int

    def frame(self, image: Image) -> Frame:
        """The size of an image [H, W] or [H, W, 3] in the input: its own, or all of it."""
        return self._frame(*image.shape[:2])

    def pixels(self, image: Image, device: torch.device = _CPU) -> Tensor:
        """The input [3, side, side], float32, of an image, uint8 [H, W] (taken as R = G = B) or [H, W, 3] RGB."""
        channels = torch.from_numpy(np.ascontiguousarray(image if image.ndim == 3 else image[..., None])).to(device)
        return self.smooth(channels.permute(2, 0, 1).float())

    def smooth(self, pixels: Tensor) -> Tensor:
        """The same for an image [C, H, W], 0..255, differentiable: pixels are chosen, and never mixed or rounded."""
        frame = self._frame(*pixels.shape[1:])
        mean, std = (pixels.new_tensor(values)[:, None, None] for values in (_MEAN, _STD))
        values = (pixels.expand(3, -1, -1).flip(0) - mean) / std
        if frame.scaled_height == self.side:
            chosen = (nearest(size, self.side) for size in (frame.height, frame.width))
            down, across = (torch.from_numpy(indices).to(pixels.device) for indices in chosen)
            return values[:, down][:, :, across]
        top, left = self.corner(frame)
        right, bottom = self.side - frame.width - left, self.side - frame.height - top
        return functional.pad(values, (left, right, top, bottom))

    def to_image(self, low: Tensor, frame: Frame) -> Tensor:
        """Low-resolution logits [n, l, l] at the input's size, the padding cut off, resized: [n, H, W]."""
        full = functional.interpolate(low[:, None], (self.side, self.side), mode="bilinear", align_corners=False)
        top, left = self.corner(frame)
        seen = full[..., top : top + frame.scaled_height, left : left + frame.scaled_width]
        return functional.interpolate(seen, (frame.height, frame.width), mode="bilinear", align_corners=False)[:, 0]

    def corner(self, frame: Frame) -> tuple[int, int]:
        """Row and column of an image's first pixel in the input."""
        return (self.side - frame.scaled_height) // 2, (self.side - frame.scaled_width) // 2

    def prompts(self, boxes: Sequence[Box], frames: Sequence[Frame]) -> Tensor:
        """Boxes [n, 4] in input pixels, float32; half-open, as SAM-Med2D was trained on them."""
        rows = []
        for (x0, y0, x1, y1), frame in zip(boxes, frames, strict=True):
            top, left = self.corner(frame)
            across, down = frame.scaled_width / frame.width, frame.scaled_height / frame.height
            rows.append((x0 * across + left, y0 * down + top, x1 * across + left, y1 * down + top))
        return torch.tensor(rows, dtype=torch.float32)

    def _frame(self, height: int, width: int) -> Frame:
        small = max(height, width) < self.side
        return Frame(height, width, *((height, width) if small else (self.side, self.side)))


@lru_cache(maxsize=64)
def nearest(size: int, side: int) -> npt.NDArray[np.int64]:
    """Which of `size` pixels each of `side` pixels takes its value from, as OpenCV's INTER_NEAREST chooses them."""
    # An array: a tensor that is first made in inference mode could not be used for gradients later.
    line = np.arange(size, dtype=np.float32)[:, None]
    return cv2.resize(line, (1, side), interpolation=cv2.INTER_NEAREST)[:, 0].astype(np.int64)


class SamMed2dSegmenter(SamSegmenter):
    """A SAM-Med2D with its pixels and prompts, asked, trained and attacked as a SAM is."""

    def __init__(
        self,
        network: "SamMed2dNetwork",
        *,
        batch: int = 1,
        multimask: bool = True,
        precision: Precision | None = None,
        name: str = "sam_med2d",
    ) -> None:
        self._network = network
        self._pixels = Med2dPixels(network.shape.side)
        super().__init__(
            cast(Any, network), self._pixels, batch=batch, multimask=multimask, precision=precision, name=name
        )

    @property
    def parts(self) -> Parts:
        """What the parts of the published checkpoint are called."""
        return _PARTS

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self._network.parameters()).device

    def decode(self, embeddings: Tensor, frames: Sequence[Frame], boxes: Sequence[Box]) -> Tensor:
        """Low-resolution logits [n, l, l] of one box for each embedding [n, C, g, g]; `frames` are those of images."""
        prompts = self._pixels.prompts(boxes, frames).to(self.device)
        with self._precision.prompts():
            return self._network.decode(embeddings, prompts, multimask=self._multimask)

    def _embed(self, inputs: Tensor) -> Tensor:
        with self._precision.encoder():
            return self._network.encode(inputs).float()


def load(card: SamMed2d, root: Path = Path()) -> SamMed2dSegmenter:
    """The segmenter of a card, whose weights are relative to `root`.

    Raises MedstressError where the extra `sam` is missing, the file is no SAM-Med2D or not the one that the card means,
    and where the device is not there. Sets the number of threads that torch uses in this process.
    """
    require_extra("sam", card.adapter, "segment-anything")
    from medstress.models.segmentation.sam_med2d_checkpoint import load_checkpoint
    from medstress.models.segmentation.sam_med2d_encoder import Shape

    device = torch_device(card.device, card=card.name)
    torch.set_num_threads(card.threads)
    network = load_checkpoint(root / card.weights, card, Shape()).to(device).train(False)
    segmenter = SamMed2dSegmenter(
        network, multimask=card.multimask, precision=precision_of(card, device), name=card.name
    )
    fit_batch(segmenter, card, device)
    if card.compiled and device.type == "cuda":
        network.image_encoder.compile()
    return segmenter
