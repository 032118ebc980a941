"""Colour: saturation, and the closed forms of changes in hue, saturation and value."""

import cv2
import numpy as np
import numpy.typing as npt

from medstress.perturb.planes import join, split
from medstress.perturb.protocol import Perturbation, Realisation, Scene
from medstress.pixels import Image

# Luma of Rec. ITU-R BT.601.
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def hsv_saturation(image: Image, factor: float, offset: float) -> npt.NDArray[np.float32]:
    """Saturation S (of hue, saturation, value, 0..1) becomes clip(factor * S + offset); float32 [H, W, 3], 0..255.

    rgb' = V - (V - rgb) * S' / S, with V the largest channel and S = (V - smallest) / V. Hue is undefined where all
    channels are equal and counts as 0, as everywhere: grey turns red, (V, V * (1 - S'), V * (1 - S')). Grey levels are
    neither rounded nor cut off. image: uint8 [H, W, 3].
    """
    colours = split(image)
    value = colours.max(axis=0)
    chroma = value - colours.min(axis=0)
    grey = chroma == 0
    # S' / S = S' * V / chroma, where S' is at most 1; the chroma of grey pixels is replaced below.
    inverse = value / np.where(grey, np.float32(1), chroma)
    ratio = np.clip(np.float32(factor) + np.float32(offset) * inverse, 0, inverse)
    colours -= value
    colours *= ratio
    if offset > 0:
        colours[1:, grey] = -np.float32(min(offset, 1)) * value[grey]
    colours += value
    return np.asarray(cv2.merge(list(colours)), dtype=np.float32)


def hsv_value(image: Image, factor: float, offset: float) -> npt.NDArray[np.float32]:
    """Value V (the largest channel, 0..1) becomes clip(factor * V + offset); float32 [H, W, 3], 0..255, not rounded.

    rgb' = rgb * V' / V; black turns grey, V' in all channels. image: uint8 [H, W, 3].
    """
    colours = split(image)
    value = colours.max(axis=0)
    wanted = np.clip(np.float32(factor) * value + np.float32(offset * 255), 0, 255)
    black = value == 0
    colours *= wanted / np.where(black, np.float32(1), value)
    colours[:, black] = wanted[black]
    return np.asarray(cv2.merge(list(colours)), dtype=np.float32)


def _saturate(scene: Scene, rng: np.random.Generator) -> Realisation:
    """Colours are too vivid, as with a wrong camera setting, until channels clip.

    I' = clip(Y + (1 + s) * (I - Y)), with the luma Y = .299 R + .587 G + .114 B of each pixel. Grey pixels keep their
    value: on a grey image nothing changes at any strength, and every level is unreachable.

    Source: Recommendation ITU-R BT.601, 2011 (luma); Hendrycks and Dietterich, "Benchmarking neural network robustness
    to common corruptions and perturbations", ICLR 2019 (saturation as a corruption).
    """
    clean = split(scene.image)
    chroma = clean - (clean * _LUMA[:, None, None]).sum(axis=0) if len(clean) == 3 else np.zeros_like(clean)

    def render(gain: float) -> Image:
        vivid = chroma * np.float32(gain)
        vivid += clean
        return join(vivid)

    return Realisation(render)


SATURATE = Perturbation("saturate", _saturate, unit="gain of chroma", mildest=0.005, typical=1.5, strongest=200)

TYPES = (SATURATE,)
