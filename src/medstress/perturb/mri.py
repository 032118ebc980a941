"""What spoils magnetic resonance images: the patient moves, lines of k-space are modulated, the coil shades.

k-space is the image's discrete Fourier transform, in the order of `fftfreq`: line 0 is the centre. One axis of the
image, drawn once, is the phase-encoding direction, along which k-space is filled line by line.
"""

import math

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


def ghosts_of(channels: _Floats, period: int) -> npt.NDArray[np.complex64]:
    """The replicas [C, lines, samples] that appear when every `period`-th line of k-space is stronger.

    They are the image itself, displaced by the multiples of lines / period, each as bright as the image.
    """
    lines = channels.shape[1]
    index = np.rint(fft.fftfreq(lines) * lines).astype(int)
    modulation = np.where(index % period == 0, period - 1, -1).astype(np.float32)
    replicas = fft.ifft(fft.fft(channels, axis=1) * modulation[:, None], axis=1, overwrite_x=True)
    return np.asarray(replicas, dtype=np.complex64)


def _mri_ghosting(scene: Scene, rng: np.random.Generator) -> Realisation:
    """Every n-th line of k-space has another strength and phase, which repeats the image along the phase direction.

    |I + s * exp(i phi) * sum of I displaced by j N / n for j = 1 .. n - 1| / sqrt(1 + (n - 1) s^2): k-space lines are
    multiplied by 1 + s exp(i phi) (n - 1) where their index is a multiple of n and by 1 - s exp(i phi) elsewhere, and
    ghosts take their energy from the image. n is 2, 3 or 4; n = 2 is the N/2 ghost of echo-planar imaging. n, phi and
    the direction are drawn once.

    Source: Bernstein, King and Zhou, "Handbook of MRI Pulse Sequences", Elsevier, 2004, chapter 16.1 (echo planar
    imaging).
    """
    axis = int(rng.integers(2))
    channels = _phase_lines_first(scene.image, axis)
    phase = np.exp(1j * rng.uniform(0, 2 * math.pi)).astype(np.complex64)
    period = int(rng.integers(2, 5))
    ghosts = ghosts_of(channels, period) * phase
    real, imaginary = np.ascontiguousarray(ghosts.real), np.ascontiguousarray(ghosts.imag)

    def render(share: float) -> Image:
        level = np.float32(share)
        shown = np.hypot(channels + level * real, level * imaginary)
        shown /= np.float32(math.sqrt(1 + (period - 1) * share**2))
        return _image_of(shown, axis, scene.image.shape)

    return Realisation(render)


def _smooth_field(shape: tuple[int, ...], rng: np.random.Generator) -> _Floats:
    """A field [H, W], for images of a shape, of the lowest cosine waves with random weights, from -3/4 to 1/4."""
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
    return (field - np.float32(low)) / np.float32(max(high - low, 1e-6)) - np.float32(0.75)


def _mri_bias_field(scene: Scene, rng: np.random.Generator) -> Realisation:
    """The receive coil is nearer to one side: a smooth gain shades the image.

    clip(I * exp(b * f(x, y))), f the sum of the nine lowest cosine waves (those with x and y orders that sum to 1, 2
    or 3) with weights drawn once, scaled to run from -3/4 to 1/4. Strength b is the natural logarithm of the largest
    gain over the smallest.

    Source: Sled, Zijdenbos and Evans, "A nonparametric method for automatic correction of intensity nonuniformity in
    MRI data", IEEE Transactions on Medical Imaging, 1998.
    """
    field = _smooth_field(scene.image.shape, rng)
    clean = scene.image.astype(np.float32)

    def render(span: float) -> Image:
        gain = np.asarray(cv2.exp(field * np.float32(span)), dtype=np.float32)
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
    unit="brightness of a ghost, share of the image's",
    mildest=0.002,
    typical=0.25,
    strongest=3,
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
