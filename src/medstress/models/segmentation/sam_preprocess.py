"""Pixels and boxes on their way into SAM, without transformers' processors (and without torchvision).

Equal to transformers' SamImageProcessorPil and SamProcessor: Pillow's bilinear filter on the 8-bit picture (its
support grows when it shrinks: antialiasing) until the longer side is the model's; rescaled, normalised, padded with
zeros at the right and at the bottom. transformers' torchvision processor rounds otherwise when it resizes.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as Picture
from torch import Tensor
from torch.nn import functional

from medstress.errors import MedstressError
from medstress.models.segmentation.sam_pixels import Frame, bilinear_weights, resized
from medstress.pixels import Box, Image

PROCESSOR_FILE = "preprocessor_config.json"
# transformers 5 saves a whole processor under this name, the image part inside.
_WHOLE_PROCESSOR_FILE = "processor_config.json"
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
# The value of a mask prompt where the box is and, negated, where it is not: SAM takes logits, and this is a sure one.
_MASK_LOGIT = 4.0
_CPU = torch.device("cpu")

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Preprocessing:
    """How a checkpoint wants its pixels: value = (pixel * factor - mean) / std, padded with 0 to [3, side, side].

    A :class:`medstress.models.segmentation.sam_pixels.PixelPath`.
    """

    side: int
    factor: float = 1 / 255
    mean: tuple[float, ...] = _IMAGENET_MEAN
    std: tuple[float, ...] = _IMAGENET_STD

    def frame(self, image: Image) -> Frame:
        """Where an image [H, W] or [H, W, 3] lies in the input: its longer side is the input's."""
        height, width = image.shape[:2]
        return self._frame(height, width)

    def pixels(self, image: Image, device: torch.device = _CPU) -> Tensor:
        """The input [3, side, side] of an image, uint8 [H, W] (taken as R = G = B) or [H, W, 3] RGB."""
        frame = self.frame(image)
        colour = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
        size = frame.scaled_width, frame.scaled_height
        levels = np.array(Picture.fromarray(colour).resize(size, Picture.Resampling.BILINEAR))
        return self._normalised(torch.from_numpy(levels).to(device).permute(2, 0, 1), frame)

    def smooth(self, pixels: Tensor) -> Tensor:
        """As `pixels` without Pillow's rounding to whole grey levels: [C, H, W], 0..255, to [3, side, side]."""
        height, width = pixels.shape[1:]
        frame = self._frame(height, width)
        down, across = bilinear_weights(height, frame.scaled_height), bilinear_weights(width, frame.scaled_width)
        levels = resized(pixels, down, across)
        return self._normalised(levels.expand(3, -1, -1), frame, pixels.dtype)

    def to_image(self, low: Tensor, frame: Frame) -> Tensor:
        """Low-resolution logits [n, l, l] at the input's size, the padding cut off, resized: [n, H, W]."""
        full = functional.interpolate(low[:, None], (self.side, self.side), mode="bilinear", align_corners=False)
        seen = full[..., : frame.scaled_height, : frame.scaled_width]
        return functional.interpolate(seen, (frame.height, frame.width), mode="bilinear", align_corners=False)[:, 0]

    def _frame(self, height: int, width: int) -> Frame:
        scale = self.side / max(height, width)
        return Frame(height, width, int(height * scale + 0.5), int(width * scale + 0.5))

    def _normalised(self, levels: Tensor, frame: Frame, dtype: torch.dtype = torch.float32) -> Tensor:
        # Rounded to float32 after each step, as transformers does.
        mean, std = (torch.tensor(values, dtype=dtype, device=levels.device) for values in (self.mean, self.std))
        values = ((levels.double() * self.factor).to(dtype) - mean[:, None, None]) / std[:, None, None]
        return functional.pad(values, (0, self.side - frame.scaled_width, 0, self.side - frame.scaled_height))


def read_preprocessing(folder: Path, side: int) -> Preprocessing:
    """What a checkpoint's processor file says; SAM's own values where there is no such file.

    Raises MedstressError where the file asks for what SAM does not do.
    """
    path = next((folder / name for name in (PROCESSOR_FILE, _WHOLE_PROCESSOR_FILE) if (folder / name).is_file()), None)
    if path is None:
        return Preprocessing(side)
    try:
        said: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise MedstressError(
            f"{path}: not readable as JSON ({error}). Copy it again from the model's source."
        ) from None
    said = said.get("image_processor") or said
    longest = (said.get("size") or {}).get("longest_edge", side)
    pad = said.get("pad_size") or {"height": side, "width": side}
    problems = [
        problem
        for wrong, problem in (
            (longest != side, f"size.longest_edge is {longest}, but the model takes {side} pixels"),
            (pad != {"height": side, "width": side}, f"pad_size is {pad}, but the model takes {side} x {side} pixels"),
            (said.get("resample", 2) != 2, f"resample is {said.get('resample')}; only 2 (bilinear) is supported"),
            (not said.get("do_resize", True), "do_resize is off; images could not reach the model's size"),
            (not said.get("do_pad", True), "do_pad is off; images could not reach the model's size"),
        )
        if wrong
    ]
    if problems:
        raise MedstressError("\n".join(f"{path}: {problem}." for problem in problems))
    plain = not said.get("do_normalize", True)
    return Preprocessing(
        side,
        factor=float(said.get("rescale_factor", 1 / 255)) if said.get("do_rescale", True) else 1.0,
        mean=(0.0,) * 3 if plain else tuple(said.get("image_mean", _IMAGENET_MEAN)),
        std=(1.0,) * 3 if plain else tuple(said.get("image_std", _IMAGENET_STD)),
    )


def check_box(box: Box, height: int, width: int) -> str | None:
    """What is wrong with a prompt box, in words; None where nothing is."""
    x0, y0, x1, y1 = box
    if not all(np.isfinite(box)) or not (x0 < x1 and y0 < y1):
        return f"box {_spelt(box)} is empty; expected x0 < x1 and y0 < y1 in pixels"
    if x0 < 0 or y0 < 0 or x1 > width or y1 > height:
        return f"box {_spelt(box)} reaches outside the image of {width} x {height} pixels"
    return None


def _spelt(box: Box) -> str:
    return "(" + ", ".join(f"{value:g}" for value in box) + ")"


def sam_boxes(boxes: Sequence[Box], frames: Sequence[Frame]) -> npt.NDArray[np.float64]:
    """Boxes [n, 4] as SAM was trained on them, in input pixels; float64, as transformers' processor gives them.

    Ours end one past the last pixel; SAM's corners are pixels (the model adds half a pixel to reach their centres).
    """
    corners: npt.NDArray[np.float64] = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    corners[:, 2:] = np.maximum(corners[:, 2:] - 1, corners[:, :2])
    corners *= _scales(frames)
    return corners


def box_masks(boxes: Sequence[Box], frames: Sequence[Frame], side: int, grid: int) -> Floats:
    """Boxes as SAM's low-resolution mask prompts, logits [n, 1, grid, grid] of a square input of `side` pixels.

    A cell that the box covers in part has a value in between.
    """
    edges = np.array(boxes, dtype=np.float64).reshape(-1, 4) * _scales(frames) * (grid / side)
    cells = np.arange(grid)

    def covered(low: npt.NDArray[np.float64], high: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        overlap = np.minimum(high[:, None], cells + 1) - np.maximum(low[:, None], cells)
        return np.asarray(np.clip(overlap, 0, 1), dtype=np.float64)

    share = covered(edges[:, 1], edges[:, 3])[:, :, None] * covered(edges[:, 0], edges[:, 2])[:, None, :]
    return np.asarray(_MASK_LOGIT * (2 * share - 1), dtype=np.float32)[:, None]


def _scales(frames: Sequence[Frame]) -> npt.NDArray[np.float64]:
    """Input pixels per image pixel, [n, 4] in the order of a box."""
    across_down = [(frame.scaled_width / frame.width, frame.scaled_height / frame.height) * 2 for frame in frames]
    return np.array(across_down, dtype=np.float64).reshape(-1, 4)
