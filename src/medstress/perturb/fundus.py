"""Fundus photographs: light that misses the pupil, a cloudy lens, and dust near the camera's lens.

All three leave what lies outside the round field of view black.
"""

import math

import cv2
import numpy as np
import numpy.typing as npt

from medstress.perturb.discs import coverage, draw_discs, scale_at
from medstress.perturb.planes import Planes, blurred, join, looked_up, split
from medstress.perturb.protocol import Perturbation, Realisation, Scene
from medstress.pixels import Image, Mask

_Map = npt.NDArray[np.float32]

# White, as the light of the flash that media and dust scatter straight back.
_FLASH = np.float32(255)
# Darker than this share of the bright parts, and connected to the frame: outside the field of view.
_DARK = 0.08


def field_of_view(image: Image) -> Mask:
    """The pixels [H, W] that show the eye: all but the dark areas that touch the frame."""
    brightest = image if image.ndim == 2 else np.asarray(image.max(axis=-1))
    dark = (brightest <= _DARK * np.percentile(brightest[::4, ::4], 98)).astype(np.uint8)
    _, areas = cv2.connectedComponents(dark, connectivity=4)
    frame = np.concatenate([areas[0], areas[-1], areas[:, 0], areas[:, -1]])
    outside = np.zeros(int(areas.max()) + 1, dtype=bool)
    outside[frame] = True
    outside[0] = False
    return np.asarray(~outside[areas])


def _blur_inside(planes: Planes, inside: Mask, sigma: float) -> Planes:
    """A Gaussian blur that takes nothing from outside the field of view."""
    weight = np.maximum(blurred(inside.astype(np.float32), sigma), np.float32(1e-3))
    return np.stack([blurred(plane * inside, sigma) / weight for plane in planes])


def _smooth_field(height: int, width: int, rng: np.random.Generator) -> _Map:
    """A random field [H, W] in about -1..1 that varies over a third of the image."""
    coarse = rng.uniform(-1, 1, (4, 4)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def _fundus_illumination(scene: Scene, rng: np.random.Generator) -> Realisation:
    """The camera is not aligned with the pupil: one side of the fundus is lost in the dark, the other too bright.

    I' = clip(I * 2^(s * (b - f))), with f the squared distance from a badly placed centre of the light, plus a smooth
    random unevenness, scaled to 0..1 over the field of view, and b between .05 and .2, drawn once: the exposure meter
    makes up for a part of the light that is lost. s is the range of light over the field of view, in stops.

    Source: Shen et al., "Modeling and enhancing low-quality retinal fundus images", IEEE TMI 2021 (uneven illumination
    as a smooth field of light).
    """
    height, width = scene.image.shape[:2]
    inside = field_of_view(scene.image)
    angle, offset = rng.uniform(0, 2 * math.pi), rng.uniform(0.25, 0.45)
    brightening = rng.uniform(0.05, 0.2)
    uneven = _smooth_field(height, width, rng)
    side = min(height, width)
    rows = (np.arange(height, dtype=np.float32) - (height - 1) / 2) / side - offset * math.sin(angle)
    columns = (np.arange(width, dtype=np.float32) - (width - 1) / 2) / side - offset * math.cos(angle)
    loss = (rows * rows)[:, None] + columns * columns + np.float32(0.12) * uneven
    counted = loss[inside] if inside.any() else loss.ravel()
    low, high = float(counted.min()), float(counted.max())
    # Exponent of e for one stop; nothing changes outside the field of view.
    exponent = (brightening - (loss - low) / max(high - low, 1e-6)) * math.log(2) * inside
    exponent = exponent.astype(np.float32)
    clean = split(scene.image)

    def render(stops: float) -> Image:
        return join(clean * cv2.exp(exponent * np.float32(stops)))

    return Realisation(render)


def _fundus_haze(scene: Scene, rng: np.random.Generator) -> Realisation:
    """A cataract or another cloudy medium scatters light: a pale veil, and an unsharp view through it.

    I' = t * (t * I + (1 - t) * blur(I)) + (1 - t) * V inside the field of view, with the transmission t = exp(-s * a),
    an uneven density a of mean about 1, drawn once, and a veil V as white as the flash. s is the optical depth of the
    medium.

    Source: Peli and Peli, "Restoration of retinal images obtained through cataracts", IEEE TMI 1989 (attenuation and
    veil); Shen et al., "Modeling and enhancing low-quality retinal fundus images", IEEE TMI 2021.
    """
    height, width = scene.image.shape[:2]
    inside = field_of_view(scene.image)
    density = (1 + 0.35 * _smooth_field(height, width, rng)) * inside
    attenuation = -density.astype(np.float32)
    clean = split(scene.image)
    soft = _blur_inside(clean, inside, max(0.015 * min(height, width), 0.8))
    # Horner's scheme in t: V + t * ((blur - V) + t * (I - blur)).
    scattered, sharp = soft - _FLASH, clean - soft

    def render(depth: float) -> Image:
        transmission = cv2.exp(attenuation * np.float32(depth))
        seen = sharp * transmission
        seen += scattered
        seen *= transmission
        seen += _FLASH
        return join(seen)

    return Realisation(render)


# The depth below a spot's edge, as a share of the image's side for the largest, over which its soft edge rises.
_SOFTNESS = 0.12
_RISE = np.arange(256) / 255
_SOFT_EDGE = (_RISE * _RISE * (3 - 2 * _RISE)).astype(np.float32)


def _fundus_spots(scene: Scene, rng: np.random.Generator) -> Realisation:
    """Dust on the lenses shows as unsharp round spots, dark where it absorbs light and bright where it scatters it.

    Spots grow, become more and become denser with the share s of the field of view that they cover. With soft discs
    D and B of the dark and the bright ones, I' = I * (1 - o * D) and I'' = I' + o * B * (255 - I'), with the opacity
    o = .55 + .4 * s.

    Source: Shen et al., "Modeling and enhancing low-quality retinal fundus images", IEEE TMI 2021 (spots of dust, out
    of focus, in the path of light).
    """
    height, width = scene.image.shape[:2]
    inside = field_of_view(scene.image)
    dark, bright = (draw_discs(height, width, rng, count=30, smallest=0.25, delay=0.2) for _ in range(2))
    covered = coverage(np.minimum(dark, bright), inside)
    to_steps = np.float32(-255 / _SOFTNESS)
    dark *= to_steps
    bright *= to_steps
    within = inside.astype(np.float32)
    clean = split(scene.image)

    def discs(position: _Map, scale: float) -> _Map:
        steps = position + np.float32(scale * 255 / _SOFTNESS)
        index = np.clip(steps, 0, 255, out=steps).astype(np.uint8)
        return looked_up(index, _SOFT_EDGE)

    def render(share: float) -> Image:
        scale, opacity = scale_at(covered, share), 0.55 + 0.4 * share
        passed = 1 - np.float32(opacity) * discs(dark, scale)
        scattered = np.float32(opacity) * discs(bright, scale) * within
        seen = clean * (passed * (1 - scattered))
        seen += _FLASH * scattered
        return join(seen)

    return Realisation(render)


FUNDUS_ILLUMINATION = Perturbation(
    "fundus_illumination",
    _fundus_illumination,
    unit="stops",
    mildest=0.02,
    typical=3,
    strongest=40,
    modalities=frozenset({"fundus"}),
)
FUNDUS_HAZE = Perturbation(
    "fundus_haze",
    _fundus_haze,
    unit="optical depth",
    mildest=0.003,
    typical=0.6,
    strongest=4,
    modalities=frozenset({"fundus"}),
)
FUNDUS_SPOTS = Perturbation(
    "fundus_spots",
    _fundus_spots,
    unit="share of the field of view",
    mildest=0.0005,
    typical=0.3,
    strongest=0.98,
    modalities=frozenset({"fundus"}),
)

TYPES = (FUNDUS_ILLUMINATION, FUNDUS_HAZE, FUNDUS_SPOTS)
