"""Rotation, scaling and translation: the scene moves in the frame, and masks, boxes and points with it.

Levels are displacements from a table, since SSIM says nothing about geometry. What leaves the frame is lost; what
enters is filled with the data set's background and marked as not valid.
"""

import math

import cv2
import numpy as np

from medstress.perturb.protocol import Perturbation, Realisation, Scene
from medstress.perturb.warp import affine, warp_image
from medstress.pixels import Image
from medstress.rows import WarpRow


def _centre(image: Image) -> tuple[float, float]:
    height, width = image.shape[:2]
    return (width - 1) / 2, (height - 1) / 2


def _rotation(scene: Scene, rng: np.random.Generator) -> Realisation:
    """The scene lies at an angle in the frame.

    p' = c + R(s * angle) (p - c), with c the image's centre, R a rotation, and the sense s = -1 or 1 drawn once.

    Source: Engstrom, Tran, Tsipras, Schmidt and Madry, "Exploring the landscape of spatial robustness", ICML 2019.
    """
    sign = 1 if rng.random() < 0.5 else -1

    def warp(degrees: float) -> WarpRow:
        return affine(np.asarray(cv2.getRotationMatrix2D(_centre(scene.image), sign * degrees, 1.0)))

    return Realisation(lambda degrees: warp_image(scene.image, warp(degrees), scene.background), warp)


def _scaling(scene: Scene, rng: np.random.Generator) -> Realisation:
    """The scene is smaller in the frame, as if the field of view had grown.

    p' = c + (1 - share) * (p - c), with c the image's centre.

    Source: Szeliski, "Computer Vision: Algorithms and Applications", Springer, 2022 (planar transformations).
    """

    def warp(share: float) -> WarpRow:
        return affine(np.asarray(cv2.getRotationMatrix2D(_centre(scene.image), 0.0, 1 - share)))

    return Realisation(lambda share: warp_image(scene.image, warp(share), scene.background), warp)


def _translation(scene: Scene, rng: np.random.Generator) -> Realisation:
    """The scene is not in the middle of the frame.

    p' = p + share * (width * cos a, height * sin a), with the direction a drawn once.

    Source: Engstrom, Tran, Tsipras, Schmidt and Madry, "Exploring the landscape of spatial robustness", ICML 2019.
    """
    height, width = scene.image.shape[:2]
    angle = rng.uniform(0, 2 * math.pi)

    def warp(share: float) -> WarpRow:
        shift = share * width * math.cos(angle), share * height * math.sin(angle)
        return affine(np.array([[1.0, 0.0, shift[0]], [0.0, 1.0, shift[1]]]))

    return Realisation(lambda share: warp_image(scene.image, warp(share), scene.background), warp)


ROTATION = Perturbation(
    "rotation",
    _rotation,
    unit="degrees",
    mildest=0,
    typical=15,
    strongest=180,
    table=(5, 10, 15, 20, 25),
    moves_pixels=True,
)
SCALING = Perturbation(
    "scaling",
    _scaling,
    unit="share of the side lost",
    mildest=0,
    typical=0.15,
    strongest=0.9,
    table=(0.05, 0.10, 0.15, 0.20, 0.25),
    moves_pixels=True,
)
TRANSLATION = Perturbation(
    "translation",
    _translation,
    unit="share of the side",
    mildest=0,
    typical=0.06,
    strongest=0.9,
    table=(0.02, 0.04, 0.06, 0.08, 0.10),
    moves_pixels=True,
)

TYPES = (ROTATION, SCALING, TRANSLATION)
