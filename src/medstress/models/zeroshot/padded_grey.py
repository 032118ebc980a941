"""MedCLIP's way in: grey, padded to a square, without torchvision.

What MedCLIPProcessor of its authors' package does (Wang et al., EMNLP 2022): every image becomes grey, also a coloured
one, and lies in the middle of a black square that is at least as large as the input; so a small image keeps its pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image as Picture
from torch import Tensor
from torch.nn import functional

from medstress.models.straight_through import straight_through
from medstress.pixels import Image

_CPU = torch.device("cpu")
# ITU-R 601-2, as Pillow weighs red, green and blue.
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class PaddedGrey:
    """value = (grey / 255 - mean) / std, three times the same, [3, side, side]. Pillow's bicubic filter."""

    side: int = 224
    mean: float = 0.5862785803043838
    std: float = 0.27950088968644304

    def exact(self, images: Sequence[Image], device: torch.device = _CPU) -> Tensor:
        """The input [n, 3, side, side], float32, of images uint8 [H, W] or [H, W, 3] RGB."""
        levels = np.stack([self._levels(image) for image in images])
        return self._normalised(torch.from_numpy(levels).to(device)[:, None])

    def differentiable(self, pixels: Tensor) -> Tensor:
        """As :meth:`exact`, of float32 [n, C, H, W], 0..255, C = 1 or 3, with gradients to `pixels`."""
        return torch.stack([straight_through(self, image) for image in pixels])

    def pixels(self, image: Image, device: torch.device = _CPU) -> Tensor:
        """The input [3, side, side] of one image."""
        return self.exact([image], device)[0]

    def smooth(self, pixels: Tensor) -> Tensor:
        """As :meth:`pixels` without rounding to whole grey levels: [C, H, W], 0..255, to [3, side, side]."""
        height, width = pixels.shape[1:]
        grey = pixels if pixels.shape[0] == 1 else (pixels * pixels.new_tensor(_LUMA)[:, None, None]).sum(0, True)
        size, top, left = self._square(height, width)
        levels = functional.pad(grey, (left, size - width - left, top, size - height - top))[None]
        if size != self.side:
            levels = functional.interpolate(
                levels, (self.side, self.side), mode="bicubic", align_corners=False, antialias=True
            ).clamp(0, 255)
        return self._normalised(levels)[0]

    def _levels(self, image: Image) -> Image:
        """Whole grey levels [side, side]."""
        height, width = image.shape[:2]
        size, top, left = self._square(height, width)
        square = np.zeros((size, size), np.uint8)
        square[top : top + height, left : left + width] = np.asarray(Picture.fromarray(image).convert("L"))
        if size == self.side:
            return square
        return np.asarray(Picture.fromarray(square).resize((self.side, self.side), Picture.Resampling.BICUBIC))

    def _square(self, height: int, width: int) -> tuple[int, int, int]:
        """Side of the square, and row and column of the image's first pixel in it."""
        size = max(self.side, height, width)
        return size, (size - height) // 2, (size - width) // 2

    def _normalised(self, levels: Tensor) -> Tensor:
        mean, std, white = (torch.tensor(value, device=levels.device) for value in (self.mean, self.std, 255.0))
        return ((levels / white - mean) / std).expand(-1, 3, -1, -1)
