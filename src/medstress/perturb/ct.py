"""What spoils computed tomography: each artefact is an error of the line integrals, back-projected.

The error is computed on the fixed grid of `sinogram` and added to the full image, so no detail is lost to the grid.
Attenuation comes from Hounsfield units, mu = 0.019 / mm * (1 + HU / 1000): from the record's raw intensities where it
has them, else from the grey values through the record's window, or through -160 to 240 HU (abdomen) where none is
declared; grey values of 0 then count as air. The image's longer side is taken as 350 mm, since records have no pixel
size.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from medstress.names import Modality
from medstress.perturb import sinogram
from medstress.perturb.protocol import Perturbation, Realisation, Scene
from medstress.perturb.sinogram import Floats
from medstress.perturb.window import unclipped_grey
from medstress.pixels import Image, to_uint8

FIELD_OF_VIEW = 350.0
"""Length that the image's longer side is taken for, mm."""
NOMINAL_WINDOW = (-160.0, 240.0)
"""HU shown as 0 and 255 where a record declares no window."""
WATER = 0.019 * FIELD_OF_VIEW / sinogram.SIDE
"""Attenuation of water at about 70 keV, 0.19 / cm, in 1 / cell of the grid."""

_AIR = -1000.0
# Second-order coefficient of the metal's error, and photons that an open detector counts.
_HARDENING, _PHOTONS = 0.02, 2e5
# Automatic exposure keeps rays from being fainter than exp(-10) of the open beam.
_FAINTEST = 10.0
_FEWEST_RODS, _MOST_RODS = 2, 4


@dataclass(frozen=True)
class _Slice:
    """A CT image as the scanner sees it. hounsfield: on the grid. grey_per_unit: grey levels per HU."""

    clean: Floats
    hounsfield: Floats
    grey_per_unit: float

    @property
    def attenuation(self) -> Floats:
        """1 / cell, on the grid."""
        return np.maximum(self.hounsfield / 1000 + 1, 0) * np.float32(WATER)

    def grey(self, attenuation: Floats) -> Floats:
        """An error of the attenuation on the grid as grey levels of the image, broadcastable to its shape."""
        scaled = attenuation * np.float32(1000 / WATER * self.grey_per_unit)
        levels = sinogram.from_grid(scaled, *self.clean.shape[:2])
        return levels if self.clean.ndim == 2 else levels[..., None]


def _slice_of(scene: Scene) -> _Slice:
    low, high = scene.window or NOMINAL_WINDOW
    grey_per_unit = 255 / (high - low)
    clean = unclipped_grey(scene)
    if scene.raw is not None:
        hounsfield = scene.raw
    else:
        grey = clean if clean.ndim == 2 else cv2.transform(clean, np.full((1, 3), 1 / 3))
        hounsfield = np.where(grey > 0, grey / np.float32(grey_per_unit) + np.float32(low), np.float32(min(low, _AIR)))
        clean[grey == 0] = min(_AIR - low, 0) * grey_per_unit
    # Cells beyond the image are air, which is 0 on this scale.
    above_air = sinogram.to_grid(hounsfield - np.float32(_AIR))
    return _Slice(clean, above_air + np.float32(_AIR), grey_per_unit)


def _ct_beam_hardening(scene: Scene, rng: np.random.Generator) -> Realisation:
    """Soft X-rays are absorbed first, so thick parts look too transparent: cupping, and dark bands between bones.

    A line integral p is read as p - beta p^2, and the water calibration scales the image so that the body keeps its
    mean: I + beta * (c * mu - FBP(p^2)), mu the attenuation and FBP the filtered back-projection from 180 angles and
    272 detectors. Strength is beta. Where the image has no body, nothing changes.

    Source: Brooks and Di Chiro, "Beam hardening in X-ray reconstructive tomography", Physics in Medicine and Biology,
    1976.
    """
    scan = _slice_of(scene)
    attenuation = scan.attenuation
    hardened = sinogram.back_project(sinogram.project(attenuation) ** 2)
    body = attenuation > WATER / 2
    if body.any():
        hardened -= attenuation * (hardened[body].mean() / attenuation[body].mean())
    error = scan.grey(-hardened)

    return Realisation(lambda beta: to_uint8(scan.clean + np.float32(beta) * error))


def _ct_photon_starvation(scene: Scene, rng: np.random.Generator) -> Realisation:
    """Too few photons pass the thick parts of the body: noise with streaks along the rays of most attenuation.

    A reading of N0 exp(-p) photons has the relative noise sqrt(exp(p) / N0), which is the noise of the line integral:
    I + s * FBP(n exp(p / 2)), n ~ N(0, 1) for each of 180 angles and 272 detectors, p at most 10. Strength s is
    1 / sqrt(N0), the noise of an open reading.

    Source: Barrett and Keat, "Artifacts in CT: recognition and avoidance", RadioGraphics, 2004.
    """
    scan = _slice_of(scene)
    line_integrals = np.minimum(sinogram.project(scan.attenuation), np.float32(_FAINTEST))
    noise = rng.standard_normal(line_integrals.shape, dtype=np.float32)
    error = scan.grey(sinogram.back_project(noise * np.exp(line_integrals / 2)))

    return Realisation(lambda open_noise: to_uint8(scan.clean + np.float32(open_noise) * error))


@dataclass(frozen=True)
class Rods:
    """Metal rods that stand across the slice: centres [n, 2] x, y from the grid's centre, and radii [n], in cells."""

    centres: npt.NDArray[np.float64]
    radii: npt.NDArray[np.float64]

    def chords(self) -> Floats:
        """Path lengths in metal, in cells, [ANGLES, DETECTORS]."""
        angle, detector = sinogram.angles()[:, None], sinogram.positions()[None]
        total = np.zeros((sinogram.ANGLES, sinogram.DETECTORS))
        for (x, y), radius in zip(self.centres, self.radii, strict=True):
            offset = detector - (x * np.cos(angle) + y * np.sin(angle))
            total += 2 * np.sqrt(np.maximum(radius**2 - offset**2, 0))
        return total.astype(np.float32)

    def cover(self, height: int, width: int) -> Floats:
        """Share of each pixel [height, width] that is metal, with edges one pixel wide."""
        scale = max(height, width) / sinogram.SIDE
        total = np.zeros((height, width), np.float32)
        centres = self.centres * scale + ((width - 1) / 2, (height - 1) / 2)
        for (x, y), radius in zip(centres, self.radii * scale, strict=True):
            rows = slice(max(int(y - radius) - 1, 0), max(int(y + radius) + 3, 0))
            columns = slice(max(int(x - radius) - 1, 0), max(int(x + radius) + 3, 0))
            part = total[rows, columns]
            down = np.arange(rows.start, rows.start + part.shape[0]) - y
            across = np.arange(columns.start, columns.start + part.shape[1]) - x
            part[:] = np.maximum(part, np.clip(radius + 0.5 - np.hypot(down[:, None], across), 0, 1))
        return total


def draw_rods(hounsfield: Floats, rng: np.random.Generator) -> Rods:
    """Two to four rods of 4 to 9 mm radius deep in the tissue [SIDE, SIDE], up to half the field of view apart.

    About the centre where there is no tissue.
    """
    count = int(rng.integers(_FEWEST_RODS, _MOST_RODS + 1))
    radii = rng.uniform(4, 9, count) * sinogram.SIDE / FIELD_OF_VIEW
    deep = cv2.erode((hounsfield > -200).astype(np.uint8), np.ones((9, 9), np.uint8), borderValue=0)
    if not deep.any():
        deep[sinogram.SIDE // 4 : -sinogram.SIDE // 4, sinogram.SIDE // 4 : -sinogram.SIDE // 4] = 1
    rows, columns = np.nonzero(deep)
    places = np.stack([columns, rows], axis=1) - (sinogram.SIDE - 1) / 2
    centres = [places[rng.integers(len(places))]]
    while len(centres) < count:
        distances = np.stack([np.hypot(*(places - centre).T) for centre in centres])
        apart = (distances.min(axis=0) > sinogram.SIDE / 10) & (distances[0] < sinogram.SIDE / 2)
        if not apart.any():
            break
        centres.append(places[apart][rng.integers(apart.sum())])
    return Rods(np.stack(centres), radii[: len(centres)])


def _ct_metal_streaks(scene: Scene, rng: np.random.Generator) -> Realisation:
    """Two to four metal rods in the body: dark bands between them, bright and dark streaks through each.

    The line integral of tissue p and metal s m is read too low by beta ((p + s m)^2 - p^2), and noise grows behind the
    metal by s m / 2 exp(p / 2) n / sqrt(N0): I + s * metal + FBP(s (m / 2 exp(p / 2) n / sqrt(N0) - 2 beta p m)
    - s^2 beta m^2), with beta = 0.02, N0 = 200000 photons, n ~ N(0, 1) for each of 180 angles and 272 detectors, and m
    the length of water in the rods' place. Rods are drawn once. Strength s is the attenuation of the metal over that
    of water.

    Source: De Man, Nuyts, Dupont, Marchal and Suetens, "Metal streak artifacts in X-ray computed tomography: a
    simulation study", IEEE Transactions on Nuclear Science, 1999.
    """
    scan = _slice_of(scene)
    rods = draw_rods(scan.hounsfield, rng)
    tissue = np.minimum(sinogram.project(scan.attenuation), np.float32(_FAINTEST))
    metal = rods.chords() * np.float32(WATER)
    noise = rng.standard_normal(metal.shape, dtype=np.float32) * np.float32(1 / math.sqrt(_PHOTONS))
    linear = metal * (np.exp(tissue / 2) * noise / 2 - np.float32(2 * _HARDENING) * tissue)
    shown = rods.cover(*scene.image.shape[:2]) * np.float32(1000 * scan.grey_per_unit)
    first = scan.grey(sinogram.back_project(linear))
    first += shown if scan.clean.ndim == 2 else shown[..., None]
    second = scan.grey(sinogram.back_project(metal**2 * np.float32(-_HARDENING)))

    def render(ratio: float) -> Image:
        streaks = first + np.float32(ratio) * second
        streaks *= np.float32(ratio)
        return to_uint8(scan.clean + streaks)

    return Realisation(render)


_CT: frozenset[Modality] = frozenset({"ct"})
CT_METAL_STREAKS = Perturbation(
    "ct_metal_streaks",
    _ct_metal_streaks,
    unit="attenuation of the metal over that of water",
    mildest=0.01,
    typical=20,
    strongest=400,
    modalities=_CT,
)
CT_BEAM_HARDENING = Perturbation(
    "ct_beam_hardening",
    _ct_beam_hardening,
    unit="second-order coefficient of the line integral",
    mildest=0.0001,
    typical=0.06,
    strongest=1,
    modalities=_CT,
)
CT_PHOTON_STARVATION = Perturbation(
    "ct_photon_starvation",
    _ct_photon_starvation,
    unit="relative noise of an open reading",
    mildest=0.00001,
    typical=0.004,
    strongest=0.3,
    modalities=_CT,
)

TYPES = (CT_METAL_STREAKS, CT_BEAM_HARDENING, CT_PHOTON_STARVATION)
