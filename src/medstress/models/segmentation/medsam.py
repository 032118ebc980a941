"""medsam: MedSAM, asked with boxes as its authors ask it.

Ma et al., "Segment anything in medical images", Nature Communications 2024. The network is a SAM ViT-B; what differs is
the way in and out (MedSAM_Inference.py of its repository): the image is stretched to the square input by cubic splines,
cut to whole grey levels and brought to 0..1 by its own extremes, without ImageNet's statistics; probabilities, not
logits, are resized to the image, from low resolution at once.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from medstress.cards.segmenter import MedSam
from medstress.models.segmentation.sam import SamSegmenter, segmenter_of
from medstress.models.segmentation.sam_checkpoint import load_checkpoint
from medstress.models.segmentation.sam_pixels import Frame, Weights, resized
from medstress.models.torch_device import torch_device
from medstress.pixels import Image

_CPU = torch.device("cpu")
# What float64 sums are off by, and more: a value that is whole in exact arithmetic must not be cut to the one below.
_WHOLE = 1e-9


@dataclass(frozen=True)
class MedSamPixels:
    """MedSAM's way in and out. A :class:`medstress.models.segmentation.sam_pixels.PixelPath`."""

    side: int

    def frame(self, image: Image) -> Frame:
        """Every image [H, W] or [H, W, 3] fills the input, whatever its aspect."""
        height, width = image.shape[:2]
        return Frame(height, width, self.side, self.side)

    def pixels(self, image: Image, device: torch.device = _CPU) -> Tensor:
        """The input [3, side, side], 0..1, of an image, uint8 [H, W] (taken as R = G = B) or [H, W, 3] RGB."""
        channels = torch.from_numpy(np.ascontiguousarray(image if image.ndim == 3 else image[..., None])).to(device)
        return _to_unit(torch.floor(self._stretched(channels.permute(2, 0, 1)) + _WHOLE)).float()

    def smooth(self, pixels: Tensor) -> Tensor:
        """As `pixels` without the cut to whole grey levels: [C, H, W], 0..255, to [3, side, side]."""
        return _to_unit(self._stretched(pixels)).to(pixels.dtype)

    def to_image(self, low: Tensor, frame: Frame) -> Tensor:
        """Logits [n, H, W] of the probabilities that the low-resolution logits [n, l, l] become in the image.

        Computed from the shares of object and background, so that sure pixels keep a gradient.
        """
        size = frame.height, frame.width
        shares = torch.cat([low, -low])[:, None].sigmoid()
        here, not_here = functional.interpolate(shares, size, mode="bilinear", align_corners=False)[:, 0].chunk(2)
        smallest = torch.finfo(low.dtype).tiny
        return here.clamp(min=smallest).log() - not_here.clamp(min=smallest).log()

    def _stretched(self, channels: Tensor) -> Tensor:
        """Grey levels [3, side, side], float64, within the image's own range: splines overshoot."""
        height, width = channels.shape[1:]
        levels = resized(channels, spline_weights(height, self.side), spline_weights(width, self.side))
        return levels.clamp(channels.min().double(), channels.max().double()).expand(3, -1, -1)


def _to_unit(levels: Tensor) -> Tensor:
    low, high = levels.amin(), levels.amax()
    return (levels - low) / (high - low).clamp(min=1e-8)


@lru_cache(maxsize=32)
def spline_weights(size: int, wanted: int) -> Weights:
    """scikit-image's `resize(order=3, anti_aliasing=True)` along one axis as a matrix [wanted, size], float64.

    A Gaussian where it shrinks (sigma half of the factor less one), then cubic splines between pixel centres, mirrored
    at the edges.
    """
    factor = size / wanted
    filtered = np.eye(size)
    if factor > 1:
        filtered = ndimage.gaussian_filter1d(filtered, (factor - 1) / 2, axis=0, mode="mirror")
    weights = ndimage.zoom(filtered, (1 / factor, 1), order=3, mode="mirror", grid_mode=True)
    return np.ascontiguousarray(weights)


def load(card: MedSam, root: Path = Path()) -> SamSegmenter:
    """The segmenter of a card, whose weights are relative to `root`.

    Raises MedstressError as :func:`medstress.models.segmentation.sam.load` does.
    """
    device = torch_device(card.device, card=card.name)
    torch.set_num_threads(card.threads)
    model = load_checkpoint(root / card.weights, card)
    return segmenter_of(model, MedSamPixels(model.prompt_encoder.input_image_size), card, device)
