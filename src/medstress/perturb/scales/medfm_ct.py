"""The CT types of MedFM-Robust: metal, beam hardening and photon starvation. They grow with the level alone.

None of the study's is computed from projections; ours are, so their strengths are chosen to change the image as much.
"""

import math

import numpy as np

from medstress.perturb.planes import split
from medstress.perturb.protocol import Scene
from medstress.perturb.scales.medfm_study import from_centre, ours, saved
from medstress.perturb.scales.protocol import Drawn, Severity
from medstress.pixels import Image

# Our strength for one unit of the published number, measured; see the realisers.
_METAL = 15.0
_HARDENING = 0.029
_STARVATION = 0.028


def metal_streaks(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """A number n of rays from one place, in turn brighter and darker: times 1 +- a * (1 - t / length). Severity: a, n.

    By default our ct_metal_streaks with metal of 15 a times the attenuation of water, which on abdominal and head CT
    gives about the study's SSIM, .90 at level 3 and .80 at level 5.
    Quirk: rays one pixel wide and half the shorter side long are painted, about no metal.
    """
    if not compat:
        return ours("ct_metal_streaks", scene, rng, lambda severity: _METAL * severity[0])
    clean = split(scene.image)
    height, width = scene.image.shape[:2]
    x, y = rng.uniform(0.25, 0.75, 2) * (width, height)
    length = min(height, width) / 2
    t = np.arange(int(length))

    def render(severity: Severity) -> Image:
        amount, number = severity[0], round(severity[1])
        gain = np.ones((height, width), np.float32)
        for index in range(number):
            angle, sign = 2 * math.pi * index / number, 1 if index % 2 == 0 else -1
            column, row = (x + t * math.cos(angle)).astype(int), (y + t * math.sin(angle)).astype(int)
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            gain[row[inside], column[inside]] *= (1 + sign * amount * (1 - t / length))[inside].astype(np.float32)
        return saved(clean * gain)

    return Drawn(render)


def beam_hardening(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Brightness changes with the distance d from the middle, 1 in the corners: I * (1 - a * d^2). Severity: a.

    By default our ct_beam_hardening at .029 a, which makes the middle of a water cylinder as wide as the field darker
    than its rim by a share a of water's grey level (in the window from -160 to 240 HU).
    Quirk: the wrong way round: the periphery gets darker, where cupping darkens the centre.
    """
    if not compat:
        return ours("ct_beam_hardening", scene, rng, lambda severity: _HARDENING * severity[0])
    clean = split(scene.image)
    height, width = scene.image.shape[:2]
    squared = (from_centre(height, width) / np.float32(math.hypot(height, width) / 2)) ** 2
    return Drawn(lambda severity: saved(clean * (1 - np.float32(severity[0]) * squared)))


def photon_starvation(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Normal noise with standard deviation s * sqrt(I + 1). Severity: s.

    By default our ct_photon_starvation at .028 s, which gives a water cylinder as wide as the field (in the window from
    -160 to 240 HU) the noise of this formula for intensities in 0..1.
    Quirk: I is in grey levels, so there are at most 2.4 of noise, which nobody sees.
    """
    if not compat:
        return ours("ct_photon_starvation", scene, rng, lambda severity: _STARVATION * severity[0])
    clean = split(scene.image)
    scaled = rng.standard_normal(clean.shape, dtype=np.float32) * np.sqrt(clean + 1)
    return Drawn(lambda severity: saved(clean + scaled * np.float32(severity[0])))
