"""What spoils magnetic resonance images: the patient moves, lines of k-space are modulated, the coil shades.

k-space is the image's discrete Fourier transform, in the order of `fftfreq`: line 0 is the centre. One axis of the
image, drawn once, is the phase-encoding direction, along which k-space is filled line by line.
"""

import cmath
import math
from collections.abc import Mapping

import cv2
import numpy as np
import numpy.typing as npt
from scipy import fft

from medstress.names import Modality
from medstress.perturb.protocol import Perturbation, Realisation, Scene
from medstress.pixels import Image, to_uint8

_Floats = npt.NDArray[np.float32]

CENTRE_SHARE = 0.04
"""Share of the phase-encoding lines about the centre of k-space that are taken before the patient moves."""

_FEWEST_POSITIONS, _MOST_POSITIONS = 8, 16
_HIGHEST_ORDER = 3
# Parts along each side over whose means the display window looks for the brightest.
_WINDOW_PARTS = 16

_GHOST_ORDERS = 3
# Spacings, as shares of the lines, at which no ghost of these orders falls on another one or on the image.
_GHOST_SPACINGS = ((0.08, 0.15), (0.27, 0.31), (0.42, 0.47))


def _phase_lines_first(image: Image, axis: int) -> _Floats:
    """The channels [C, lines, samples] of an image, float32, with the phase-encoding axis turned to the front."""
    channels = np.atleast_3d(image).transpose(2, axis, 1 - axis)
    return np.ascontiguousarray(channels, dtype=np.float32)


def _image_of(channels: _Floats, axis: int, shape: tuple[int, ...]) -> Image:
    """Undoes `_phase_lines_first`; the argument is overwritten."""
    values = to_uint8(channels).transpose((1, 2, 0) if axis == 0 else (2, 1, 0))
    return np.ascontiguousarray(values.reshape(shape))


def draw_positions(lines: int, rng: np.random.Generator) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Which position the patient is in at each line [lines], and the positions [n, 2], along lines and samples.

    Lines are taken from the most negative frequency to the most positive, so each position covers a run of them.
    Position 0 is the reference, held while the central lines are taken; the others are at most 1 away.
    """
    count = int(rng.integers(_FEWEST_POSITIONS, _MOST_POSITIONS + 1))
    times = np.sort(rng.uniform(-0.5, 0.5, count - 1))
    angles, distances = rng.uniform(0, 2 * math.pi, count), rng.uniform(0.4, 1, count)
    moves = np.stack([distances * np.cos(angles), distances * np.sin(angles)], axis=1)
    frequencies = fft.fftfreq(lines)
    held = np.searchsorted(times, frequencies) + 1
    held[np.abs(frequencies) <= CENTRE_SHARE / 2] = 0
    return held, np.concatenate([np.zeros((1, 2)), moves])


def move_lines(
    kspace: npt.NDArray[np.complex64], held: npt.NDArray[np.intp], positions: npt.NDArray[np.float64]
) -> npt.NDArray[np.complex64]:
    """k-space [..., lines, samples] as taken from an object that is somewhere else at each line.

    held: the index of each line's position. positions: [n, 2] displacements in pixels along lines and samples.
    """
    lines, samples = kspace.shape[-2:]
    along_lines = np.exp(-2j * np.pi * fft.fftfreq(lines) * positions[held, 0])
    along_samples = np.exp(-2j * np.pi * fft.fftfreq(samples) * positions[:, 1, None])
    factors = along_samples.astype(np.complex64)[held] * along_lines.astype(np.complex64)[:, None]
    return np.asarray(kspace * factors, dtype=np.complex64)


def _mri_motion(scene: Scene, rng: np.random.Generator) -> Realisation:
    """The patient moves while k-space is filled, so parts of it belong to displaced objects.

    F'(kx, ky) = F(kx, ky) * exp(-2 pi i (kx dx(ky) + ky dy(ky))) with kx, ky in cycles per pixel, and the magnitude of
    the inverse transform is shown. The displacement is constant over 8 to 16 runs of phase-encoding lines, drawn once,
    and zero for the central 4 % of the lines, which hold the position and the mean. Strength is the largest
    displacement.

    Source: Zaitsev, Maclaren and Herbst, "Motion artifacts in MRI: A complex problem with many partial solutions",
    Journal of Magnetic Resonance Imaging, 2015.
    """
    axis = int(rng.integers(2))
    channels = _phase_lines_first(scene.image, axis)
    held, positions = draw_positions(channels.shape[1], rng)
    kspace = fft.fft2(channels)
    side = min(scene.image.shape[:2])

    def render(share: float) -> Image:
        moved = fft.ifft2(move_lines(kspace, held, positions * (share * side)), overwrite_x=True)
        return _image_of(np.abs(moved), axis, scene.image.shape)

    return Realisation(render)


def ghosts_of(channels: _Floats, cycles: int, weights: Mapping[int, complex]) -> tuple[_Floats, _Floats]:
    """The replicas of an image that appear when k-space is modulated periodically, real and imaginary part.

    channels: float32 [C, lines, samples]; the parts have this shape. cycles: whole periods of the modulation over all
    lines. weights: of each harmonic. Line k is multiplied by the sum of weights[j] * exp(-2 pi i j cycles k / lines),
    which displaces the image by j * cycles pixels along the lines, around the edge.
    """
    real, imaginary = np.zeros_like(channels), np.zeros_like(channels)
    for order, weight in weights.items():
        replica = np.roll(channels, order * cycles, axis=1)
        real += np.float32(weight.real) * replica
        imaginary += np.float32(weight.imag) * replica
    return real, imaginary


def _mri_ghosting(scene: Scene, rng: np.random.Generator) -> Realisation:
    """Breathing and pulsation modulate the lines of k-space: fainter replicas of the image along the phase direction.

    |I + s * sum of q^(|j| - 1) exp(i phi_j) I_j for j = -3 .. 3 without 0| / sqrt(1 + s^2 * sum of q^(2 |j| - 2)), with
    I_j the image displaced by j * c pixels, around the edge: line k of N is multiplied by a modulation with c periods
    over all lines and its harmonics, and ghosts take their energy from the image. The spacing c (8 to 15, 27 to 31 or
    42 to 47 % of N), the loss q from ghost to ghost (.6 to .8), the phases phi_j and the direction are drawn once. s
    is the brightness of the first ghost on either side; no ghost is brighter than the image.

    Source: Wood and Henkelman, "MR image artifacts from periodic motion", Medical Physics, 1985; Bernstein, King and
    Zhou, "Handbook of MRI Pulse Sequences", Elsevier, 2004 (ghosts of periodic modulation along the phase direction).
    """
    axis = int(rng.integers(2))
    channels = _phase_lines_first(scene.image, axis)
    low, high = _GHOST_SPACINGS[int(rng.integers(len(_GHOST_SPACINGS)))]
    cycles = max(1, round(rng.uniform(low, high) * channels.shape[1]))
    fading, phases = rng.uniform(0.6, 0.8), rng.uniform(0, 2 * math.pi, 2 * _GHOST_ORDERS)
    orders = [order for order in range(-_GHOST_ORDERS, _GHOST_ORDERS + 1) if order]
    sizes = [fading ** (abs(order) - 1) for order in orders]
    weights = {order: cmath.rect(size, phase) for order, size, phase in zip(orders, sizes, phases, strict=True)}
    real, imaginary = ghosts_of(channels, cycles, weights)
    energy = sum(size**2 for size in sizes)

    def render(share: float) -> Image:
        level = np.float32(share)
        shown = np.hypot(channels + level * real, level * imaginary)
        shown /= np.float32(math.sqrt(1 + energy * share**2))
        return _image_of(shown, axis, scene.image.shape)

    return Realisation(render)


def _smooth_field(shape: tuple[int, ...], rng: np.random.Generator) -> _Floats:
    """A field [H, W], for images of a shape, of the lowest cosine waves with random weights, from 0 to 1."""
    height, width = shape[:2]
    order = np.arange(_HIGHEST_ORDER + 1)
    total = np.add.outer(order, order)
    weights = rng.standard_normal(total.shape) / np.maximum(total, 1) ** 2
    weights[(total == 0) | (total > _HIGHEST_ORDER)] = 0
    down = np.cos(np.pi * order[:, None] * (np.arange(height) + 0.5) / height).astype(np.float32)
    across = np.cos(np.pi * order[:, None] * (np.arange(width) + 0.5) / width).astype(np.float32)
    field = np.zeros((height, width), np.float32)
    for i, j in np.argwhere(weights):
        field += np.float32(weights[i, j]) * down[i][:, None] * across[j]
    low, high = float(field.min()), float(field.max())
    return (field - np.float32(low)) / np.float32(max(high - low, 1e-6))


def _mri_bias_field(scene: Scene, rng: np.random.Generator) -> Realisation:
    """A surface coil receives well what is near and little of what is far: a smooth gain shades the image.

    I * exp(b * (f(x, y) - m)), f the sum of the nine lowest cosine waves (those with x and y orders that sum to 1, 2
    or 3) with weights drawn once, scaled to run from 0 to 1. m follows the window that is set on the shaded image: the
    brightest of 16 by 16 parts of the image is as bright on average as the brightest one was, so nothing large
    saturates. Strength b is the natural logarithm of the largest gain over the smallest.

    Source: Sled, Zijdenbos and Evans, "A nonparametric method for automatic correction of intensity nonuniformity in
    MRI data", IEEE Transactions on Medical Imaging, 1998.
    """
    field = _smooth_field(scene.image.shape, rng)
    clean = scene.image.astype(np.float32)
    parts = (_WINDOW_PARTS, _WINDOW_PARTS)
    local = cv2.resize(clean if clean.ndim == 2 else clean.max(axis=2), parts, interpolation=cv2.INTER_AREA)
    local_field = cv2.resize(field, parts, interpolation=cv2.INTER_AREA)
    # Even a part that is black has a gain, so that there is one to set the window to.
    local_log = np.log(np.maximum(local, np.float32(1e-3)) / np.float32(max(float(local.max()), 1e-3)))

    def render(span: float) -> Image:
        window = (local_log + local_field * np.float32(span)).max()
        gain = np.asarray(cv2.exp(field * np.float32(span) - window), dtype=np.float32)
        return to_uint8(clean * (gain if clean.ndim == 2 else gain[..., None]))

    return Realisation(render)


_MRI: frozenset[Modality] = frozenset({"mri"})
MRI_MOTION = Perturbation(
    "mri_motion",
    _mri_motion,
    unit="largest displacement, share of the field of view",
    mildest=0.00005,
    typical=0.01,
    strongest=0.3,
    modalities=_MRI,
)
MRI_GHOSTING = Perturbation(
    "mri_ghosting",
    _mri_ghosting,
    unit="brightness of the first ghost, share of the image's",
    mildest=0.002,
    typical=0.25,
    strongest=1,
    modalities=_MRI,
)
MRI_BIAS_FIELD = Perturbation(
    "mri_bias_field",
    _mri_bias_field,
    unit="natural logarithm of the ratio of gains",
    mildest=0.01,
    typical=2,
    strongest=20,
    modalities=_MRI,
)

TYPES = (MRI_MOTION, MRI_BIAS_FIELD, MRI_GHOSTING)
