"""The ultrasound types of MedFM-Robust: acoustic shadow and reverberation.

With `compat` beams are columns whatever the probe, and places are the same in every image.
"""

import numpy as np

from medstress.perturb.planes import split
from medstress.perturb.protocol import Scene
from medstress.perturb.scales.medfm_study import fixed_places, ours, saved
from medstress.perturb.scales.protocol import Drawn, Severity
from medstress.pixels import Image


def acoustic_shadow(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """A widening shadow under one place: times 1 - p * (1 - exp(-3 depth)). Severity: p, level.

    By default our us_acoustic_shadow with a body of p / 4 of the depth of the field, behind which a white pixel loses
    the share p on the logarithmic display of 60 dB, since the body takes 240 dB times its diameter.
    Quirk: the same place in every image; the shadow follows the columns for sector probes too.
    """
    if not compat:
        return ours("us_acoustic_shadow", scene, rng, lambda severity: severity[0] / 4)
    clean = split(scene.image)
    height, width = scene.image.shape[:2]

    def render(severity: Severity) -> Image:
        p, places = severity[0], fixed_places(severity, 300)
        top, middle = places.randint(height // 4, height // 2), places.randint(width // 4, 3 * width // 4)
        depth = (np.arange(height)[:, None] - top) / (height - top)
        base = width * (0.08 + 0.15 * p) * (1 + 0.3 * np.maximum(depth, 0))
        beyond = np.abs(np.arange(width) - middle) - base / 2
        cover = np.clip(1 - beyond / (base / 6), 0, 1)
        loss = p * (1 - np.exp(-3 * np.maximum(depth, 0)))
        return saved(clean * (1 - cover * loss).astype(np.float32))

    return Drawn(render)


def reverberation(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Bands below an interface repeat it: the i-th adds p * (.6 - .15p)^(i - 1) of its brightness. Severity: p, level.

    By default our us_reverberation, with a first echo of the amplitude that a logarithmic display of 60 dB shows p of
    white bright on black: 10^(-3 (1 - p)).
    Quirk: the same place in every image; the bands are straight for sector probes too.
    """
    if not compat:
        return ours("us_reverberation", scene, rng, lambda severity: 10 ** (-3 * (1 - severity[0])))
    clean = split(scene.image)
    height, width = scene.image.shape[:2]

    def render(severity: Severity) -> Image:
        p, places = severity[0], fixed_places(severity, 400)
        interface, reach = places.randint(height // 6, height // 3), places.randint(width // 2, 3 * width // 4)
        left = places.randint(0, width - reach)
        region = slice(left, left + reach)
        spacing, thickness = max(1, int(0.8 * interface) + int(20 * p)), max(2, 3 + 8 * p)
        echo = np.zeros(height)
        for index in range(1, int(max(3, 3 + 10 * p)) + 1):
            offset = np.arange(height) - (interface + index * spacing)
            echo += p * max(0.6 - 0.15 * p, 0) ** (index - 1) * np.exp(-(offset**2) / (2 * (thickness / 2) ** 2))
        echoed = clean.copy()
        for plane in echoed:
            plane[:, region] += echo.astype(np.float32)[:, None] * plane[interface, region].mean()
        return saved(np.minimum(echoed, clean.max()))

    return Drawn(render)
