"""Pixels on their way into an image encoder of the CLIP kind, without torchvision.

Equal to transformers' CLIPImageProcessorPil: Pillow's filter on the 8-bit RGB picture, a crop from the middle, values
in 0..1, normalised. Images are decoded and resized once; whatever is asked afterwards begins with the result.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image as Picture
from torch import Tensor
from torch.nn import functional

from medstress.models.straight_through import straight_through
from medstress.pixels import Image

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
Triple = tuple[float, float, float]
Interpolation = Literal["bicubic", "bilinear"]
Mode = Literal["shortest", "squash"]
_FILTERS = {"bicubic": Picture.Resampling.BICUBIC, "bilinear": Picture.Resampling.BILINEAR}
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Preprocessing:
    """How an encoder wants its images: value = (pixel / 255 - mean) / std, [3, side, side].

    mode: shortest (the shorter side becomes `side`, then a square is cut from the middle) or squash (both sides become
    `side`). centre: whether half a pixel beside the crop is cut down (transformers) or rounded (torchvision).
    """

    side: int = 224
    mean: Triple = CLIP_MEAN
    std: Triple = CLIP_STD
    interpolation: Interpolation = "bicubic"
    mode: Mode = "shortest"
    centre: Literal["down", "round"] = "down"

    def exact(self, images: Sequence[Image], device: torch.device = _CPU) -> Tensor:
        """The input [n, 3, side, side], float32, of images uint8 [H, W] (taken as R = G = B) or [H, W, 3] RGB."""
        levels = np.stack([self._levels(image) for image in images])
        return self._normalised(torch.from_numpy(levels).to(device).permute(0, 3, 1, 2))

    def differentiable(self, pixels: Tensor) -> Tensor:
        """As :meth:`exact`, of float32 [n, C, H, W], 0..255, C = 1 or 3, with gradients to `pixels`."""
        return torch.stack([straight_through(self, image) for image in pixels])

    def pixels(self, image: Image, device: torch.device = _CPU) -> Tensor:
        """The input [3, side, side] of one image."""
        return self.exact([image], device)[0]

    def smooth(self, pixels: Tensor) -> Tensor:
        """As :meth:`pixels` without rounding to whole grey levels: [C, H, W], 0..255, to [3, side, side]."""
        height, width = pixels.shape[1:]
        below, across = self._resized(height, width)
        levels = pixels[None]
        if (below, across) != (height, width):
            levels = functional.interpolate(
                levels, (below, across), mode=self.interpolation, align_corners=False, antialias=True
            ).clamp(0, 255)
        top, left = self._corner(below, across)
        return self._normalised(levels[..., top : top + self.side, left : left + self.side].expand(-1, 3, -1, -1))[0]

    def _levels(self, image: Image) -> Image:
        """Whole grey levels [side, side, 3]."""
        below, across = self._resized(*image.shape[:2])
        levels = image
        if (below, across) != image.shape[:2]:
            levels = np.asarray(Picture.fromarray(image).resize((across, below), _FILTERS[self.interpolation]))
        top, left = self._corner(below, across)
        cut = levels[top : top + self.side, left : left + self.side]
        # Made RGB last: the three channels would be resized to the same values.
        return cut if cut.ndim == 3 else np.repeat(cut[..., None], 3, axis=2)

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        if self.mode == "squash":
            return self.side, self.side
        short = min(height, width)
        return int(self.side * height / short), int(self.side * width / short)

    def _corner(self, height: int, width: int) -> tuple[int, int]:
        spare = ((height - self.side) / 2, (width - self.side) / 2)
        # Python rounds halves to even numbers, and so does torchvision.
        return (round(spare[0]), round(spare[1])) if self.centre == "round" else (int(spare[0]), int(spare[1]))

    def _normalised(self, levels: Tensor) -> Tensor:
        mean, std = (torch.tensor(values, device=levels.device)[:, None, None] for values in (self.mean, self.std))
        return (levels / torch.tensor(255.0, device=levels.device) - mean) / std
