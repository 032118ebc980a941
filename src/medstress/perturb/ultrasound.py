"""Ultrasound: what happens along the beam, for linear, phased and curved probes.

The display is taken to be log-compressed: 60 dB between black and white, so that losses in dB subtract grey levels.
"""

import cv2
import numpy as np
import numpy.typing as npt

from medstress.perturb.probe import find_beams
from medstress.perturb.protocol import Perturbation, Realisation, Scene
from medstress.pixels import Image, to_uint8

_DISPLAY_DB = 60.0
# Two-way attenuation over one full depth of the field: 4 cm of bone or stone at 5 MHz.
_BODY_DB = 240.0
# Standard deviation of the beam's profile, share of the field's width: how soft a shadow's edges are.
_BEAM_WIDTH = 0.01
# Samples of a profile across the beams or along one.
_SAMPLES = 1024

_Floats = npt.NDArray[np.float32]


def _samples_of(coordinate: _Floats) -> npt.NDArray[np.int16]:
    """For each pixel the sample of a profile over 0..1 that it takes."""
    return (coordinate * np.float32(_SAMPLES - 1) + np.float32(0.5)).astype(np.int16)


def _us_acoustic_shadow(scene: Scene, rng: np.random.Generator) -> Realisation:
    """A round, strongly attenuating body (stone, rib, calcification) leaves what lies behind it in its shadow.

    clip(I - 255 * L / 60), L = 240 dB * the length of the beam's path inside the body so far, as a share of the
    field's depth; it stays at its last value behind the body and is 0 above it. The body's middle is drawn once; its
    diameter is the strength, so a wider body also casts a darker shadow. Beams are columns for linear probes and rays
    from the crossing of the field's edges for sector and curved ones. The width of the beam softens the edges. Colour
    pixels lose all channels in proportion, so flow keeps its hue.

    Source: Cobbold, Foundations of Biomedical Ultrasound, Oxford University Press 2007 (attenuation along the beam);
    Feldman, Katyal, Blackwood, "US artifacts", RadioGraphics 29, 2009 (shadowing).
    """
    beams = find_beams(scene.image)
    middle, depth = rng.uniform(0.3, 0.7), np.float32(rng.uniform(0.2, 0.45))
    beam, along = _samples_of(beams.across), beams.along
    offset = (np.linspace(0, 1, _SAMPLES, dtype=np.float32) - np.float32(middle)) ** 2
    clean = scene.image.astype(np.float32)
    lost = np.where(beams.inside, np.float32(255 / _DISPLAY_DB * _BODY_DB), np.float32(0))
    colour = clean.ndim == 3
    if colour:
        share = clean / np.maximum(clean.max(axis=2, keepdims=True), 1)

    def render(diameter: float) -> Image:
        chord = 2 * np.sqrt(np.maximum(np.float32((diameter / 2) ** 2) - offset, 0))
        chord = cv2.GaussianBlur(chord[None], (0, 0), _BEAM_WIDTH * _SAMPLES, borderType=cv2.BORDER_REPLICATE)[0]
        start = np.maximum(depth - chord / 2, 0)
        path = along - start[beam]
        np.minimum(path, (depth + chord / 2 - start)[beam], out=path)
        np.maximum(path, 0, out=path)
        path *= lost
        return to_uint8(clean - path[..., None] * share if colour else clean - path)

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
    spacing, kept = rng.uniform(0.06, 0.09), rng.uniform(0.75, 0.85)
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
    unit="diameter of the body, share of the field of view",
    mildest=0.005,
    typical=0.3,
    strongest=3,
    modalities=frozenset({"ultrasound"}),
)
US_REVERBERATION = Perturbation(
    "us_reverberation",
    _us_reverberation,
    unit="amplitude of the first echo, share of the brightest shown",
    mildest=0.0003,
    typical=0.03,
    strongest=100,
    modalities=frozenset({"ultrasound"}),
)

TYPES = (US_ACOUSTIC_SHADOW, US_REVERBERATION)
