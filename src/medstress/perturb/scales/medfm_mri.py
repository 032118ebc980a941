"""The MRI types of MedFM-Robust: motion, bias field and ghosting.

With `compat`, what is mapped back to the range of the image is not here: saving stretches it all the same.
"""

import math

import cv2
import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

from medstress.perturb.planes import split
from medstress.perturb.protocol import Scene
from medstress.perturb.scales.medfm_study import NOMINAL_SIDE, clip_channels, fixed_places, from_centre, ours, saved
from medstress.perturb.scales.protocol import Drawn, Severity
from medstress.pixels import Image

# Bias fields of larger amplitude would turn the image's sign.
_STRONGEST_BIAS = 0.99


def published_shifts(severity: Severity, height: int) -> npt.NDArray[np.float64]:
    """How far the study moves each line of the centred k-space, in pixels [height]; 0 for lines that stay."""
    largest, share = severity[:2]
    places = fixed_places(severity, 100)
    kept = max(height // 20, 2) / 2
    outside = np.flatnonzero(np.abs(np.arange(height) - height // 2) >= kept)
    lines = places.choice(outside, min(int(share * height), len(outside)), replace=False)
    shifts = np.zeros(height)
    shifts[lines] = places.uniform(-largest, largest, len(lines))
    smooth = ndimage.gaussian_filter1d(shifts, 0.5)
    return np.where(shifts != 0, smooth, 0)


def motion(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """A share of the lines of k-space belong to an image moved along them by up to s pixels. Severity: s, share, level.

    By default our mri_motion, in which all lines outside the centre of k-space move, with a largest displacement of
    share * s / 256 of the field of view.
    Quirk: the same lines in every image; the transform is centred but frequencies are in the order of one that is not,
    so that the centre of a line gets the phase of the highest frequency.
    """
    if not compat:
        return ours("mri_motion", scene, rng, lambda severity: severity[0] * severity[1] / NOMINAL_SIDE)
    clean = split(scene.image)
    height, width = scene.image.shape[:2]
    spectrum = fft.fftshift(fft.fft2(clean), axes=(1, 2))
    mixed_order = fft.fftfreq(width)

    def render(severity: Severity) -> Image:
        phase = np.outer(published_shifts(severity, height), mixed_order)
        moved = spectrum * np.exp(-2j * np.pi * phase).astype(np.complex64)
        return saved(np.abs(fft.ifft2(fft.ifftshift(moved, axes=(1, 2)))).astype(np.float32))

    return Drawn(render)


def bias_field(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """A smooth gain from 1 - p to 1 + p shades the image. Severity: p, level.

    By default our mri_bias_field with the same ratio of gains, ln((1 + p) / (1 - p)).
    Quirk: the same field in every image, a smoothed grid of (2 + 3 level)^2 random numbers, level + 1 waves, and a fall
    towards the corners; values are clipped to each channel's range.
    """
    if not compat:
        return ours("mri_bias_field", scene, rng, lambda severity: 2 * math.atanh(min(severity[0], _STRONGEST_BIAS)))
    clean = split(scene.image)
    height, width = scene.image.shape[:2]
    distance = from_centre(height, width) / np.float32(math.hypot(height, width) / 2)

    def render(severity: Severity) -> Image:
        p, level = min(severity[0], _STRONGEST_BIAS), round(severity[-1])
        places = fixed_places(severity, 200)
        grid = places.uniform(0, 1, (2 + 3 * level,) * 2).astype(np.float32)
        field = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        field = np.asarray(cv2.GaussianBlur(field, (0, 0), min(height, width) / (15 + 5 * level)), dtype=np.float32)
        for _ in range(level + 1):
            across, down = places.uniform(0.5, 2, 2)
            early, late = places.uniform(0, 2 * math.pi, 2)
            sine = np.sin(2 * math.pi * across * np.arange(width) / width + early)
            cosine = np.cos(2 * math.pi * down * np.arange(height) / height + late)
            field = field + np.outer(cosine, sine).astype(np.float32) * np.float32(0.2 * p)
        field = field * (1 - np.float32(0.5 * p) * distance)
        low, high = field.min(), field.max()
        gain = np.float32(1 - p) + (field - low) / (high - low) * np.float32(2 * p)
        return saved(clip_channels(clean * gain, clean))

    return Drawn(render)


def ghosting(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Adds n copies of the image, the i-th p * i^-.8 as bright and i half heights lower. Severity: p, n, level.

    By default our mri_ghosting with ghosts that are p as bright as the image.
    Quirk: every second copy is moved by the whole height, so it lies on the image itself; copies are a little blurred,
    and from level 3 on there are fainter ones aside.
    """
    if not compat:
        return ours("mri_ghosting", scene, rng, lambda severity: severity[0])
    clean = split(scene.image)
    height, width = scene.image.shape[:2]

    def render(severity: Severity) -> Image:
        p, number, level = severity
        total = clean.copy()
        for index in range(1, int(number) + 1):
            weight, sigma = p * index**-0.8, 0.2 + 0.1 * index
            copy = np.stack([ndimage.gaussian_filter(plane, sigma) for plane in clean]).astype(np.float32)
            total += np.roll(copy, height // 2 * index, axis=1) * np.float32(weight)
            if level >= 3:
                total += np.roll(copy, width // 4 * index, axis=2) * np.float32(0.3 * weight)
        return saved(total)

    return Drawn(render)
