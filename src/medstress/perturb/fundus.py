"""Fundus photographs: light that misses the pupil, a cloudy lens, and dust near the camera's lens.

All three leave what lies outside the round field of view black.
"""

import math
from collections.abc import Callable, Iterator
from functools import lru_cache, reduce

import cv2
import numpy as np
import numpy.typing as npt

from medstress.perturb.light import field_of_view
from medstress.perturb.planes import Planes, blurred_inside, join, split
from medstress.perturb.protocol import Perturbation, Realisation, Scene
from medstress.pixels import Image, Mask

_Map = npt.NDArray[np.float32]

# Flash light that opaque media and dust send back, tinted by the eye that it lights up: R, G, B as stored.
_PALE = np.array([255, 226, 196], np.float32)
# How far what scatters hides the colour behind it, and how wide that is smoothed, in shorter sides.
_PALENESS, _FORWARD = 0.8, 0.04


def _veil(planes: Planes, inside: Mask) -> list[_Map]:
    """What one sees of a fundus when all its light is scattered: its smoothed colour, made pale, one plane a channel.

    Parts of the fundus that get less light have a darker veil.
    """
    side = min(inside.shape)
    wide = blurred_inside(planes, inside, max(_FORWARD * side, 1.0))
    light = np.sqrt(reduce(np.maximum, wide))
    light *= inside / np.float32(max(float(light.max()), 1))
    pale = _PALE if len(planes) == 3 else _PALE[1:2]
    for plane, shade in zip(wide, pale, strict=True):
        cv2.addWeighted(plane, 1 - _PALENESS, light, _PALENESS * float(shade), 0, dst=plane)
    return wide


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
        gain = np.asarray(cv2.exp(exponent * np.float32(stops)), dtype=np.float32)
        return join(plane * gain for plane in clean)

    return Realisation(render)


def _fundus_haze(scene: Scene, rng: np.random.Generator) -> Realisation:
    """A cataract or another cloudy medium scatters light: a pale veil, and an unsharp view through it.

    I' = t * (t * I + (1 - t) * blur(I)) + (1 - t) * V inside the field of view, with the transmission t = exp(-s * a)
    and an uneven density a of mean about 1, drawn once. The veil V is 20 % the fundus, blurred until the optic disc is
    a ghost, and 80 % pale orange, darker where the fundus is. s is the optical depth of the medium.

    Source: Peli and Peli, "Restoration of retinal images obtained through cataracts", IEEE TMI 1989 (attenuation and
    veil); Shen et al., "Modeling and enhancing low-quality retinal fundus images", IEEE TMI 2021.
    """
    height, width = scene.image.shape[:2]
    inside = field_of_view(scene.image)
    density = (1 + 0.35 * _smooth_field(height, width, rng)) * inside
    attenuation = -density.astype(np.float32)
    clean = split(scene.image)
    soft = blurred_inside(clean, inside, max(0.015 * min(height, width), 0.8))
    veil = _veil(clean, inside)

    def render(depth: float) -> Image:
        transmission = cv2.exp(attenuation * np.float32(depth))

        def seen() -> Iterator[_Map]:
            # Horner's scheme in t: V + t * ((blur - V) + t * (I - blur)).
            for plane, unsharp, pale in zip(clean, soft, veil, strict=True):
                hazy = (plane - unsharp) * transmission
                hazy += unsharp
                hazy -= pale
                hazy *= transmission
                hazy += pale
                yield hazy

        return join(seen())

    return Realisation(render)


# Radius of the largest spots in shorter sides. The smallest have one of so many pixels, within these limits: a finer
# image shows finer dust. And the optical depths of spots.
_LARGEST, _SMALLEST_PIXELS, _SMALLEST = 0.06, 2.5, (0.003, 0.009)
_DEPTHS = (0.15, 0.5)
# The number of spots with more than a radius falls as the radius to the power of minus this.
_RARITY = 1.5
_SPOT_SIZES, _SPOT_DEPTHS = 12, 6
# Share of the spots that are dark.
_DARK_SPOTS = 0.35
# Groups of spots: so many in the first, and each further group doubles their number.
_FIRST_SPOTS, _DOUBLINGS = 8, 11
_MOST_SPOTS = _FIRST_SPOTS * 2**_DOUBLINGS
# Depths are summed in units of this; a search for a strength goes on among so many groups.
_DEPTH_UNIT = 1 / 2048
_GROUPS_KEPT = 7


def _spots_up_to(group: int) -> int:
    """How many spots the groups 1 to `group` hold."""
    return _FIRST_SPOTS * 2 ** (group - 1) if group else 0


def _spot(radius: float) -> _Map:
    """The shadow of a grain of dust out of focus, float32 [n, n]: .55 inside, about 1 in its rim, soft at the edge."""
    reach = math.ceil(1.15 * radius) + 1
    steps = np.arange(-reach, reach + 1)
    distance = np.hypot(steps[:, None], steps[None, :]) / radius
    # Neither the edge nor the rim is thinner than a pixel.
    softness, rim = max(0.22, 1 / radius), max(0.11, 0.6 / radius)
    rise = np.clip((1 - distance) / softness + 0.5, 0, 1)
    disc = rise * rise * (3 - 2 * rise)
    return (0.55 * disc + 0.45 * np.exp(-(((distance - 0.88) / rim) ** 2))).astype(np.float32)


def _spot_depths(height: int, width: int, rng: np.random.Generator) -> Callable[[float], tuple[_Map, _Map]]:
    """A function from a number of spots to the optical depth of the dark and of the pale ones, float32 [H, W] each.

    A number between two groups shows the next group as translucent as the number says.
    """
    side = min(height, width)
    x, y = rng.integers(0, width, _MOST_SPOTS), rng.integers(0, height, _MOST_SPOTS)
    smallest = float(np.clip(_SMALLEST_PIXELS / side, *_SMALLEST))
    rarest = (_LARGEST / smallest) ** -_RARITY
    radius = smallest * (1 - rng.random(_MOST_SPOTS) * (1 - rarest)) ** (-1 / _RARITY)
    radii = np.geomspace(smallest, _LARGEST, _SPOT_SIZES)
    size = np.searchsorted(np.sqrt(radii[1:] * radii[:-1]), radius)
    depth = rng.integers(0, _SPOT_DEPTHS, _MOST_SPOTS)
    pale = (rng.random(_MOST_SPOTS) >= _DARK_SPOTS).astype(int)
    shapes = [
        [(shape * (deep / _DEPTH_UNIT)).astype(np.uint16) for deep in np.linspace(*_DEPTHS, _SPOT_DEPTHS)]
        for shape in (_spot(max(share * side, 0.8)) for share in radii)
    ]

    @lru_cache(maxsize=_GROUPS_KEPT)
    def summed(group: int) -> npt.NDArray[np.uint16]:
        """Depths [dark and pale, H, W] of all spots up to a group, counted from 1."""
        if group == 0:
            return np.zeros((2, height, width), np.uint16)
        total = summed(group - 1).copy()
        for index in range(_spots_up_to(group - 1), _spots_up_to(group)):
            shape = shapes[size[index]][depth[index]]
            reach = len(shape) // 2
            top, left = y[index] - reach, x[index] - reach
            rows = slice(max(top, 0), y[index] + reach + 1)
            columns = slice(max(left, 0), x[index] + reach + 1)
            covered = total[pale[index], rows, columns]
            covered += shape[rows.start - top :, columns.start - left :][: covered.shape[0], : covered.shape[1]]
        return total

    def depths(count: float) -> tuple[_Map, _Map]:
        group = 1 + math.ceil(max(math.log2(count / _FIRST_SPOTS), 0))
        before, after = _spots_up_to(group - 1), _spots_up_to(group)
        more = (count - before) / (after - before)
        weights = (1 - more) * _DEPTH_UNIT, more * _DEPTH_UNIT
        dark, bright = (
            np.asarray(cv2.addWeighted(low, weights[0], high, weights[1], 0, dtype=cv2.CV_32F), dtype=np.float32)
            for low, high in zip(summed(group - 1), summed(group), strict=True)
        )
        return dark, bright

    return depths


def _fundus_spots(scene: Scene, rng: np.random.Generator) -> Realisation:
    """Dust on the lenses shows as many small spots out of focus: dark where it absorbs, pale where it scatters light.

    I' = V + (I * exp(-D) - V) * exp(-B), with the summed optical depths D of the dark and B of the pale spots, and V
    the fundus smoothed and made pale. A spot is a soft disc with a depth of .15 to .5 in its rim and about half of that
    inside. Radii are .9 to 6 % of the shorter side, in fine images from .3 %; as many as r^-1.5 have more than r. All
    are drawn once; strength n shows the first n, the last of them translucent.

    Source: Shen et al., "Modeling and enhancing low-quality retinal fundus images", IEEE TMI 2021 (spots of dust, out
    of focus, in the path of light).
    """
    height, width = scene.image.shape[:2]
    inside = field_of_view(scene.image)
    depths = _spot_depths(height, width, rng)
    clean = split(scene.image)
    veil = _veil(clean, inside)
    opaque = -inside.astype(np.float32)

    def render(count: float) -> Image:
        passed, unscattered = (np.asarray(cv2.exp(depth * opaque), dtype=np.float32) for depth in depths(count))

        def seen() -> Iterator[_Map]:
            for plane, pale in zip(clean, veil, strict=True):
                spotted = plane * passed
                spotted -= pale
                spotted *= unscattered
                spotted += pale
                yield spotted

        return join(seen())

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
    unit="spots",
    mildest=0.05,
    typical=450,
    strongest=_MOST_SPOTS,
    modalities=frozenset({"fundus"}),
)

TYPES = (FUNDUS_ILLUMINATION, FUNDUS_HAZE, FUNDUS_SPOTS)
