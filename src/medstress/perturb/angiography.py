"""Angiography: contrast washed out."""

import cv2
import numpy as np

from medstress.perturb.protocol import Perturbation, Realisation, Scene
from medstress.pixels import Image, to_uint8

# Nodes along the shorter side of the grid that the haze's thickness is interpolated from.
_NODES = 4


def _angio_haze(scene: Scene, rng: np.random.Generator) -> Realisation:
    """Scatter and veiling glare in the image intensifier lay a bright, uneven veil over the vessels.

    I' = I * t + A * (1 - t) with t = exp(-b * d(x, y)): Koschmieder's law of a veil that swallows contrast and shines
    itself. The thickness d, smooth with mean 1, is drawn once; A is the bright grey of the image (its 90th
    percentile), alike for all channels; b is the optical depth.

    Source: Narasimhan, Nayar, "Vision and the atmosphere", International Journal of Computer Vision 48, 2002 (the
    law); Bushberg, Seibert, Leidholdt, Boone, The Essential Physics of Medical Imaging, 3rd edition, Lippincott
    Williams & Wilkins 2012 (scatter and veiling glare).
    """
    height, width = scene.image.shape[:2]
    shorter = min(height, width)
    nodes = rng.uniform(0.6, 1.4, (round(_NODES * height / shorter), round(_NODES * width / shorter)))
    thickness = cv2.resize(nodes.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    thickness = np.maximum(thickness, np.float32(0.1))
    thickness = thickness / np.float32(thickness.mean(dtype=np.float64))
    if scene.image.ndim == 3:
        thickness = thickness[..., None]
    veil = np.float32(np.percentile(scene.image[::2, ::2], 90))
    below = scene.image.astype(np.float32) - veil

    def render(depth: float) -> Image:
        values = np.exp(thickness * np.float32(-depth)) * below
        values += veil
        return to_uint8(values)

    return Realisation(render)


ANGIO_HAZE = Perturbation(
    "angio_haze",
    _angio_haze,
    unit="optical depth",
    mildest=0.002,
    typical=0.4,
    strongest=20,
    modalities=frozenset({"angiography"}),
)

TYPES = (ANGIO_HAZE,)
