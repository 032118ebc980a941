"""How an image is varied while a classifier learns: cropped, mirrored, and perturbed where the card says so."""

import math
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from medstress.adapt.examples import Example
from medstress.adapt.variation import perturbed
from medstress.cards.strategy import Augmentation

# Of the area and of width over height, as RobustMedCLIP is trained (Imam et al., arXiv 2505.15425).
_AREA = (0.8, 1.0)
_ASPECT = (3 / 4, 4 / 3)
_TRIES = 10
Corner = tuple[int, int, int, int]


def varied_image(example: Example, rng: np.random.Generator, augmentation: Augmentation | None = None) -> Example:
    """A copy whose image is a part of the old one, at the old size, perhaps mirrored, perhaps perturbed.

    The part has 80 to 100 % of the area and an aspect between 3:4 and 4:3 of the image's pixels, as far as that fits.
    """
    height, width = example.image.shape[:2]
    part, mirrored = _part(height, width, rng), bool(rng.random() < 0.5)
    scene = example.scene
    image = np.asarray(_seen(scene.image, part, mirrored), dtype=np.uint8)
    raw = None if scene.raw is None else np.asarray(_seen(scene.raw, part, mirrored), dtype=np.float32)
    seen = replace(example, scene=replace(scene, image=image, raw=raw))
    return seen if augmentation is None else perturbed(seen, rng, augmentation)


def _part(height: int, width: int, rng: np.random.Generator) -> Corner:
    """Top, left, bottom and right of a part, half-open; the whole where none was found that fits."""
    for _ in range(_TRIES):
        area = height * width * rng.uniform(*_AREA)
        aspect = math.exp(rng.uniform(math.log(_ASPECT[0]), math.log(_ASPECT[1])))
        across, below = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if across <= width and below <= height:
            top, left = int(rng.integers(height - below + 1)), int(rng.integers(width - across + 1))
            return top, left, top + below, left + across
    return 0, 0, height, width


def _seen(pixels: npt.NDArray[Any], part: Corner, mirrored: bool) -> npt.NDArray[Any]:
    top, left, bottom, right = part
    height, width = pixels.shape[:2]
    inside = np.ascontiguousarray(pixels[top:bottom, left:right])
    resized = cv2.resize(inside, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(resized[:, ::-1] if mirrored else resized)
