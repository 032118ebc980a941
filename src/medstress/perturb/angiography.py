"""Angiography: contrast washed out."""

import cv2
import numpy as np
import numpy.typing as npt

from medstress.perturb.light import field_of_view
from medstress.perturb.protocol import Perturbation, Realisation, Scene
from medstress.pixels import Image, to_uint8

# Nodes along each side of the grid that the veil's thickness is interpolated from, and how far they are from 1.
_NODES, _UNEVENNESS = 3, 0.15
# Standard deviation of the veil's edge at the collimator, share of the shorter side.
_EDGE = 0.004


def _inside(image: Image) -> npt.NDArray[np.float32]:
    """1 in the collimated field and 0 on the black around it, float32 [H, W]: fields are convex, with soft edges."""
    height, width = image.shape[:2]
    seen = field_of_view(image)
    rows = np.flatnonzero(seen.any(axis=1))
    ends = np.concatenate([seen[rows].argmax(axis=1), width - 1 - seen[rows, ::-1].argmax(axis=1)])
    outline = cv2.convexHull(np.stack([ends, np.tile(rows, 2)], axis=1).astype(np.int32))
    field = np.zeros((height, width), np.float32)
    cv2.fillConvexPoly(field, outline, 1)
    sigma = max(0.5, _EDGE * min(height, width))
    return np.asarray(field * cv2.GaussianBlur(field, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE))


def _angio_haze(scene: Scene, rng: np.random.Generator) -> Realisation:
    """Scatter and veiling glare in the image intensifier lay a bright, smooth veil over the vessels.

    I' = I + (1 - t) * max(A - I, 0) with t = exp(-b * d(x, y)): Koschmieder's law of a veil that swallows contrast and
    shines itself, so that nothing gets darker. The thickness d, smooth and within 15 % of 1, is drawn once; A is the
    bright grey of the image (its 98th percentile in the field), alike for all channels; b is the optical depth. What
    the collimator leaves black around the field stays black.

    Source: Narasimhan, Nayar, "Vision and the atmosphere", International Journal of Computer Vision 48, 2002 (the
    law); Bushberg, Seibert, Leidholdt, Boone, The Essential Physics of Medical Imaging, 3rd edition, Lippincott
    Williams & Wilkins 2012 (scatter and veiling glare).
    """
    height, width = scene.image.shape[:2]
    nodes = rng.uniform(1 - _UNEVENNESS, 1 + _UNEVENNESS, (_NODES, _NODES)).astype(np.float32)
    thickness = cv2.resize(nodes, (width, height), interpolation=cv2.INTER_CUBIC)
    inside = _inside(scene.image)
    veil = np.float32(np.percentile(scene.image[inside > 0.5], 98))
    clean = scene.image.astype(np.float32)
    lift = np.maximum(veil - clean, 0) * (inside if clean.ndim == 2 else inside[..., None])

    def render(depth: float) -> Image:
        veiled = 1 - np.asarray(cv2.exp(thickness * np.float32(-depth)), dtype=np.float32)
        return to_uint8(clean + (veiled if clean.ndim == 2 else veiled[..., None]) * lift)

    return Realisation(render)


ANGIO_HAZE = Perturbation(
    "angio_haze",
    _angio_haze,
    unit="optical depth",
    mildest=0.002,
    typical=0.5,
    strongest=20,
    modalities=frozenset({"angiography"}),
)

TYPES = (ANGIO_HAZE,)
