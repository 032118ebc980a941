"""Dermoscopy: light lost towards the corners, glare of the contact plate, and hair over the lesion."""

import math

import cv2
import numpy as np
import numpy.typing as npt

from medstress.perturb.light import GAMMA, field_of_view, light_of, lit, stored
from medstress.perturb.planes import Plane, join, split
from medstress.perturb.protocol import Perturbation, Realisation, Scene
from medstress.perturb.relief import relief, spread
from medstress.pixels import Image

_Floats = npt.NDArray[np.float32]


def _offsets(shape: tuple[int, ...], x: float, y: float) -> tuple[_Floats, _Floats]:
    """Distances from a point given as shares of the sides, in shorter sides: across [1, W] and down [H, 1]."""
    height, width = shape[:2]
    unit = min(height, width)
    across = (np.arange(width, dtype=np.float32)[None, :] - np.float32(x * (width - 1))) / np.float32(unit)
    down = (np.arange(height, dtype=np.float32)[:, None] - np.float32(y * (height - 1))) / np.float32(unit)
    return across, down


def _vignette(scene: Scene, rng: np.random.Generator) -> Realisation:
    """The lens passes less light towards the corners, down to darkness outside a bright middle.

    At field angle a the light falls as cos(a)^4. With s stops lost in the farthest corner, at distance R of the
    optical axis: light = clean * (1 + (r/R)^2 * (2^(s/2) - 1))^-2, stored = 255 * light^(1/2.2). The axis is drawn
    within 8 % of the middle.

    Source: Born and Wolf, Principles of Optics, Cambridge University Press, 1999 (illumination of the image plane).
    """
    across, down = _offsets(scene.image.shape, *rng.uniform(0.42, 0.58, 2))
    squared = across**2 + down**2
    squared /= squared.max()
    clean = split(scene.image)

    def render(stops: float) -> Image:
        gain = cv2.pow(1 + squared * np.float32(2 ** (stops / 2) - 1), -2 / GAMMA)
        return join(np.asarray(plane * gain, dtype=np.float32) for plane in clean)

    return Realisation(render)


# Width of the skin's relief in shorter sides; by how much it brightens and dims what it mirrors, a deviation of the
# logarithm; and the shares of the lamp's light that go astray and, of these, that the relief mirrors.
_SKIN, _GLITTER = 0.012, 0.8
_ASTRAY, _MIRRORED = 0.08, 0.6


def _glare(image: Image, rng: np.random.Generator) -> Plane:
    """What a lamp whose mirror image is as bright as white adds to the light, float32 [H, W]."""
    across, down = _offsets(image.shape, *rng.uniform(0.25, 0.75, 2))
    angle, length, width = rng.uniform(0, math.pi), rng.uniform(0.07, 0.11), rng.uniform(0.04, 0.06)
    along = (across * np.float32(math.cos(angle)) + down * np.float32(math.sin(angle))) / np.float32(length)
    aside = (down * np.float32(math.cos(angle)) - across * np.float32(math.sin(angle))) / np.float32(width)
    squared = along**2 + aside**2
    rough = spread(relief(rng, image.shape, _SKIN), image.shape)
    glitter = np.asarray(cv2.exp(rough * np.float32(_GLITTER)), dtype=np.float32)
    stray = 1 - _MIRRORED + np.float32(_MIRRORED) * glitter
    glare = np.float32(1 - _ASTRAY) / (1 + squared**2) + np.float32(_ASTRAY) / (1 + squared) * stray
    return np.asarray(glare * lit(image, field_of_view(image)), dtype=np.float32)


def _light_reflection(scene: Scene, rng: np.random.Generator) -> Realisation:
    """A lamp is mirrored in the contact plate: a white patch in smooth glare, with some glitter on the skin's relief.

    light = clean + s * (0.92 / (1 + q^4) + 0.08 * (0.4 + 0.6 * exp(0.8 * n)) / (1 + q^2)), and what is stored is
    255 * min(light, 1)^(1/2.2). q is the distance from the middle of the lamp's mirror image in its half axes (an
    ellipse that is drawn once), n a random relief of the skin with deviation 1, and s the luminance of the mirror
    image, white being 1. The patch saturates and the glare falls slowly, so a brighter lamp blinds a larger part. None
    of it lies outside the field of view.

    Source: Talvala, Adams, Horowitz and Levoy, "Veiling glare in high dynamic range imaging", ACM Transactions on
    Graphics, 2007.
    """
    glare = _glare(scene.image, rng)
    clean = light_of(scene.image)

    def render(luminance: float) -> Image:
        added = np.asarray(glare * np.float32(luminance), dtype=np.float32)
        return stored(plane + added for plane in clean)

    return Realisation(render)


# One index a hair in 8 bits; the last one stands for skin.
_MOST_HAIRS = 255
_OUTLINE_POINTS = 20
# Outlines are given to the drawing in 1/16 pixel.
_SHIFT = 4


def _outlines(rng: np.random.Generator, height: int, width: int) -> npt.NDArray[np.float64]:
    """Hairs as tapered cubic Bezier curves: outlines [hairs, points, 2], x and y in shorter sides.

    Hairs lean one way, bend up to a quarter of their length, and are 0.5 to 1 % of the shorter side wide.
    """
    unit = min(height, width)
    count = _MOST_HAIRS
    heading = rng.uniform(0, 2 * math.pi) + rng.normal(0, 0.45, count)
    length = rng.uniform(0.35, 1.1, count)
    bend = rng.uniform(-0.25, 0.25, (2, count)) * length
    half_width = rng.uniform(0.0025, 0.005, count)
    middle = rng.uniform(0, 1, (count, 2)) * (width / unit, height / unit)
    forward = np.stack([np.cos(heading), np.sin(heading)], axis=1)
    aside = np.stack([-forward[:, 1], forward[:, 0]], axis=1)
    root = middle - forward * length[:, None] / 2
    controls = np.stack(
        [root + forward * (length * step)[:, None] + aside * sway[:, None]
         for step, sway in ((0, 0 * length), (1 / 3, bend[0]), (2 / 3, bend[1]), (1, 0 * length))]
    )  # fmt: skip
    t = np.linspace(0, 1, _OUTLINE_POINTS)
    weights = np.stack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3])
    line = (weights[:, None, :, None] * controls[:, :, None, :]).sum(axis=0)
    tangent = np.gradient(line, axis=1)
    normal = np.stack([-tangent[..., 1], tangent[..., 0]], axis=-1)
    normal /= np.maximum(np.hypot(tangent[..., 0], tangent[..., 1]), 1e-9)[..., None]
    # A hair is widest at its root and ends in a point.
    edge = normal * (half_width[:, None] * np.sqrt(1 - t**2))[..., None]
    return np.concatenate([line + edge, (line - edge)[:, ::-1]], axis=1)


def _first_hair(rng: np.random.Generator, height: int, width: int, fineness: int) -> npt.NDArray[np.uint8]:
    """The index of the first hair over each cell of a canvas `fineness` times finer than the image; 255 is skin."""
    canvas = np.full((height * fineness, width * fineness), _MOST_HAIRS, np.uint8)
    corners = _outlines(rng, height, width) * (min(height, width) * fineness)
    fixed = np.rint(corners * 2**_SHIFT).astype(np.int32)
    for index in range(_MOST_HAIRS - 1, -1, -1):
        cv2.fillPoly(canvas, [fixed[index]], index, shift=_SHIFT)
    return canvas


def _hair(scene: Scene, rng: np.random.Generator) -> Realisation:
    """Hairs lie over the skin, one more after another: dark ones, or white ones where the image is dark.

    stored = (1 - a) * clean + a * hair, with a the share of a pixel that hairs cover. Hairs are cubic Bezier curves
    that taper to a point, 0.5 to 1 % of the shorter side wide, all drawn once; strength n shows the first n of them,
    the last one as translucent as the fraction of n says. None are seen outside the field of view.

    Source: Lee, Ng, Gallagher, Coldman and McLean, "DullRazor: a software approach to hair removal from images",
    Computers in Biology and Medicine, 1997.
    """
    height, width = scene.image.shape[:2]
    fineness = min(max(round(768 / min(height, width)), 2), 8)
    first = _first_hair(rng, height, width, fineness)
    opacity = np.append(rng.uniform(0.75, 1.0, _MOST_HAIRS), 0)
    shade = rng.uniform(0.4, 1.0)
    index = np.arange(_MOST_HAIRS + 1)
    brown = np.array([64, 44, 34]) * shade if np.median(scene.image) >= 64 else np.full(3, 170 + 60 * shade)
    colour = (brown if scene.image.ndim == 3 else brown[1:2]).astype(np.float32)
    clean = split(scene.image)
    seen = lit(scene.image, field_of_view(scene.image)) / np.float32(255)

    def render(hairs: float) -> Image:
        table = np.rint(255 * opacity * np.clip(hairs - index, 0, 1)).astype(np.uint8)
        cover = cv2.resize(cv2.LUT(first, table), (width, height), interpolation=cv2.INTER_AREA)
        visible = seen * cover
        return join(plane + (tint - plane) * visible for plane, tint in zip(clean, colour, strict=True))

    return Realisation(render)


VIGNETTE = Perturbation(
    "vignette",
    _vignette,
    unit="stops of light lost in the corner",
    mildest=0.02,
    typical=5,
    strongest=24,
    modalities=frozenset({"dermoscopy", "endoscopy", "microscopy", "pathology"}),
)
LIGHT_REFLECTION = Perturbation(
    "light_reflection",
    _light_reflection,
    unit="luminance of the lamp's mirror image, white is 1",
    mildest=0.002,
    typical=35,
    strongest=2000,
    modalities=frozenset({"dermoscopy"}),
)
HAIR = Perturbation(
    "hair",
    _hair,
    unit="hairs",
    mildest=0.02,
    typical=22,
    strongest=_MOST_HAIRS,
    modalities=frozenset({"dermoscopy"}),
)

TYPES = (VIGNETTE, LIGHT_REFLECTION, HAIR)
