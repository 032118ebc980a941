"""Ultrasound: what happens along the beam, for linear, phased and curved probes.

The display is taken to be log-compressed: 60 dB between black and white, so that losses in dB subtract grey levels.
"""

import cv2
import numpy as np
import numpy.typing as npt
from scipy.special import expit

from medstress.perturb.probe import find_beams
from medstress.perturb.protocol import Perturbation, Realisation, Scene
from medstress.perturb.spans import growing_spans
from medstress.pixels import Image, to_uint8

_DISPLAY_DB = 60.0
_GREY_PER_DB = np.float32(255 / _DISPLAY_DB)
# Shadows are computed on a square grid of depths and beams, as fine as the image within these limits.
_GRID_SIDES = (64, 512)
# Shares of the depth: over which a shadow sets in, and the distance at which a front's echo has lost 1 dB.
_RISE, _PULSE = 0.02, 0.0035
# A beam of which a body covers less does not show it.
_LEAST_COVER = 0.0005
# Samples of a profile across the beams or along one.
_SAMPLES = 1024

_Floats = npt.NDArray[np.float32]


def _samples_of(coordinate: _Floats) -> npt.NDArray[np.int16]:
    """For each pixel the sample of a profile over 0..1 that it takes."""
    return (coordinate * np.float32(_SAMPLES - 1) + np.float32(0.5)).astype(np.int16)


def _us_acoustic_shadow(scene: Scene, rng: np.random.Generator) -> Realisation:
    """Stones, ribs or gas send sound back: each is a bright echo at its front, and what lies behind it is in shadow.

    max(I - 255 * L / 60, 255 * (1 - E / 60)), in dB. A body covers the share b of a beam. Behind its front z0 the loss
    L rises within 2 % of the depth to b times what the body takes, and stays; the echo of the front falls from white by
    E = -40 log10(b) + up to 14 where the front is tilted + ((z - z0) / 0.0035)^2, both ways through the beam and with
    depth z as a share of the field. Four to seven bodies, their depths (10 to 40 %), losses (35 to 60 dB), roundness
    and roughness are drawn once. They appear one after another and widen; strength is the share of the beams that they
    block between them. Beams are columns for linear probes and rays from the crossing of the field's edges for sector
    and curved ones; their width softens a shadow's edges. Colour pixels lose all channels in proportion, so flow keeps
    its hue.

    Source: Feldman, Katyal, Blackwood, "US artifacts", RadioGraphics 29, 2009 (shadowing); Cobbold, Foundations of
    Biomedical Ultrasound, Oxford University Press 2007 (reflection, log compression).
    """
    beams = find_beams(scene.image)
    side = int(np.clip(min(scene.image.shape[:2]), *_GRID_SIDES))
    count = int(rng.integers(4, 8))
    spans = growing_spans(rng.dirichlet(np.full(count, 6.0)), 0.75, rng)
    depth, taken = rng.uniform(0.1, 0.4, (count, 1)), _GREY_PER_DB * rng.uniform(35, 60, (count, 1))
    softness, roundness = rng.uniform(0.008, 0.02, (count, 1)), rng.uniform(0.2, 0.45, (count, 1))
    ripple = cv2.GaussianBlur(rng.standard_normal((2, side), dtype=np.float32), (0, 0), side / 128, sigmaY=1e-3)
    rough, shine = ripple / np.maximum(ripple.std(axis=1, keepdims=True), np.float32(1e-6))
    beam = (np.arange(side) + 0.5) / side
    along = ((np.arange(side, dtype=np.float32) + np.float32(0.5)) / np.float32(side))[:, None]
    # Where each pixel lies on the grid of depths and beams.
    column, row = (coordinate * np.float32(side) - np.float32(0.5) for coordinate in (beams.across, beams.along))
    clean = scene.image.astype(np.float32)
    colour = clean.ndim == 3
    if colour:
        share = clean / np.maximum(clean.max(axis=2, keepdims=True), 1)

    def on_image(grid: _Floats) -> _Floats:
        return np.asarray(cv2.remap(grid, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))

    def render(blocked: float) -> Image:
        low, high = spans(blocked).T[..., None]
        covered = expit((beam - low) / softness) - expit((beam - high) / softness)
        half = (high - low) / 2
        tilt = np.clip((beam - low - half) / np.maximum(half, softness), -1, 1) ** 2
        front = depth + roundness * half * tilt + 0.003 * rough
        most = (taken * covered).astype(np.float32)
        echo = 255 + _GREY_PER_DB * (40 * np.log10(np.maximum(covered, 1e-6)) - 14 * tilt + 2.5 * shine - 3.5)
        lost, bright = np.zeros((side, side), np.float32), np.zeros((side, side), np.float32)
        reached = covered > _LEAST_COVER
        for body in np.flatnonzero(reached.any(axis=1)):
            columns = slice(reached[body].argmax(), side - reached[body, ::-1].argmax())
            behind = along - front[body, columns].astype(np.float32)
            lost[:, columns] += np.clip(behind * np.float32(1 / _RISE), 0, 1) * most[body, columns]
            behind *= np.float32(1 / _PULSE)
            behind *= behind
            behind *= -_GREY_PER_DB
            behind += echo[body, columns].astype(np.float32)
            np.maximum(bright[:, columns], behind, out=bright[:, columns])
        dark, cap = on_image(lost) * beams.inside, on_image(bright) * beams.inside
        if colour:
            return to_uint8(np.maximum(clean - dark[..., None] * share, cap[..., None]))
        return to_uint8(np.maximum(clean - dark, cap))

    return Realisation(render)


def _us_reverberation(scene: Scene, rng: np.random.Generator) -> Realisation:
    """Sound bounces between the probe and a strong interface and draws it again at every multiple of its depth.

    P' = P + (A * q^(k-1) * pulse(z - k * d) * w(beam))^2 summed over k = 1, 2, ..., with P = 10^(6 (I / 255 - 1)) the
    echo power behind a grey level of a 60 dB display. The depth d, the loss q at each bounce and the beams w that the
    interface faces are drawn once; A is the strength. Echoes lie at constant depth along the beam: straight lines for
    linear probes, arcs about the crossing of the field's edges for sector and curved ones.

    Source: Feldman, Katyal, Blackwood, "US artifacts", RadioGraphics 29, 2009 (reverberation); Cobbold, Foundations of
    Biomedical Ultrasound, Oxford University Press 2007 (log compression).
    """
    beams = find_beams(scene.image)
    spacing, kept = rng.uniform(0.045, 0.06), rng.uniform(0.8, 0.88)
    middle, spread, pulse = rng.uniform(0.3, 0.7), rng.uniform(0.35, 0.5), rng.uniform(0.004, 0.006)
    ripple = cv2.GaussianBlur(
        rng.standard_normal((1, _SAMPLES), dtype=np.float32), (0, 0), _SAMPLES / 60, borderType=cv2.BORDER_REFLECT
    )
    position = np.linspace(0, 1, _SAMPLES)
    facing = np.exp(-(((position - middle) / spread) ** 2) / 2) * 10 ** (0.25 * ripple[0] / max(ripple.std(), 1e-6))
    order = np.maximum(np.rint(position / spacing), 1)
    echo = kept ** (order - 1) * np.exp(-(((position - order * spacing) / pulse) ** 2) / 2)
    # Power of the echoes for A = 1.
    echoes = (facing.astype(np.float32) ** 2)[_samples_of(beams.across)]
    echoes *= (echo.astype(np.float32) ** 2)[_samples_of(beams.along)]
    echoes *= beams.inside
    clean = scene.image.astype(np.float32)
    bright = clean if clean.ndim == 2 else clean.max(axis=2)
    grey_per_neper = np.float32(255 / (_DISPLAY_DB / 10) / np.log(10))
    relative = echoes * np.exp((255 - bright) / grey_per_neper)

    def render(amplitude: float) -> Image:
        # 10 log10(P' / P) in grey levels, which is what the display adds.
        added = np.log1p(relative * np.float32(amplitude**2))
        added *= grey_per_neper
        return to_uint8(clean + (added if clean.ndim == 2 else added[..., None]))

    return Realisation(render)


US_ACOUSTIC_SHADOW = Perturbation(
    "us_acoustic_shadow",
    _us_acoustic_shadow,
    unit="share of the beams that are blocked",
    mildest=0.0001,
    typical=0.2,
    strongest=1,
    modalities=frozenset({"ultrasound"}),
)
US_REVERBERATION = Perturbation(
    "us_reverberation",
    _us_reverberation,
    unit="amplitude of the first echo, share of the brightest shown",
    mildest=0.0001,
    typical=0.02,
    strongest=100,
    modalities=frozenset({"ultrasound"}),
)

TYPES = (US_ACOUSTIC_SHADOW, US_REVERBERATION)
