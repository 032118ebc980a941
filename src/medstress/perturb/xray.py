"""X-ray: scatter, wrong exposure and grid lines, on films, digital radiographs and fluoroscopy.

All work on the exposure behind the grey levels. The receptor answers an exposure E, 1 at the middle of its range, with
p = E^g / (1 + E^g), the S-shaped characteristic curve of Hurter and Driffield with its toe and shoulder; g = 1.5 gives
a radiographic film's average gradient of 2.8. Radiographs show dense parts white: I = 255 * (1 - p). Angiography
shows filled vessels dark: I = 255 * p.
"""

import math

import cv2
import numpy as np
import numpy.typing as npt

from medstress.names import Modality
from medstress.perturb.protocol import Perturbation, Realisation, Scene
from medstress.pixels import Image, to_uint8

_GRADIENT = 1.5
# Photons that a pixel receives at the middle of the range.
_PHOTONS = 300.0
# Standard deviation of the scatter's spread, share of the shorter side: some 10 cm on a chest film.
_SPREAD = 0.25
# In nepers; keeps a source where nothing attenuates, so that an even exposure stays as it is.
_LEAST_ATTENUATION = np.float32(0.05)
# Scatter is smooth enough to be computed on a copy of about this size.
_SMOOTH_SIDE = 64

_Floats = npt.NDArray[np.float32]
_Table = npt.NDArray[np.float64]


def _is_negative(scene: Scene) -> bool:
    """Whether much exposure shows dark, as in radiographs."""
    return scene.modality != "angiography"


def _responses(scene: Scene) -> _Table:
    """The receptor's response p to what each of the 256 grey levels stands for, inside 0..1."""
    response = (np.arange(256) + 0.5) / 256
    return 1 - response if _is_negative(scene) else response


def _greys(scene: Scene, responses: npt.NDArray[np.floating]) -> _Floats:
    """The grey levels of responses, the inverse of `_responses`."""
    shown = 1 - responses if _is_negative(scene) else responses
    return np.asarray(shown * 256 - 0.5, dtype=np.float32)


def _odds(scene: Scene) -> _Table:
    """E^g = p / (1 - p) for each of the 256 grey levels."""
    response = _responses(scene)
    return response / (1 - response)


def _lookup(image: Image, table: npt.NDArray[np.floating]) -> _Floats:
    return np.asarray(cv2.LUT(image, table.astype(np.float32)), dtype=np.float32)


def _planes(field: _Floats, image: Image) -> _Floats:
    """A field [H, W] as it applies to all channels alike."""
    return field.reshape(field.shape + (1,) * (image.ndim - 2))


def _scattered(primary: _Floats) -> _Floats:
    """What each channel of an exposure [H, W] or [H, W, 3] scatters, scaled to the exposure's geometric mean.

    The source of scatter is exposure times what attenuated it, so nothing comes from the bare beam beside the body.
    """
    height, width = primary.shape[:2]
    scale = max(1.0, min(height, width) / _SMOOTH_SIDE)
    size = (max(1, round(width / scale)), max(1, round(height / scale)))
    small = np.asarray(cv2.resize(primary, size, interpolation=cv2.INTER_AREA), dtype=np.float32)
    logarithm = np.log(small)
    source = small * (logarithm.max(axis=(0, 1)) - logarithm + _LEAST_ATTENUATION)
    spread = np.asarray(cv2.GaussianBlur(source, (0, 0), _SPREAD * min(size), borderType=cv2.BORDER_REFLECT))
    level = np.exp(logarithm.mean(axis=(0, 1), dtype=np.float64)) / spread.mean(axis=(0, 1), dtype=np.float64)
    spread = spread * level.astype(np.float32)
    return np.asarray(cv2.resize(spread, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def _xray_scatter(scene: Scene, rng: np.random.Generator) -> Realisation:
    """Compton scatter lays a smooth veil over the image: contrast is lost, most where little direct radiation arrives.

    E' = (E + r * S) / (1 + r), S = c * G(E * (ln(max E / E) + 0.05)), with r the scatter-to-primary ratio, G a
    Gaussian of a quarter of the shorter side, and c such that the mean of S is the geometric mean of E; automatic
    exposure control keeps the middle exposure. Scattered photons bring quantum noise but no signal: variance
    (E' - E / (1 + r)^2) / 300, drawn once as a Gaussian, is added to what the clean image already holds. Exposures
    come from the grey levels and go back to them by the receptor's characteristic curve, each channel for itself.

    Source: Bushberg, Seibert, Leidholdt, Boone, The Essential Physics of Medical Imaging, 3rd edition, Lippincott
    Williams & Wilkins 2012 (scatter-to-primary ratio, loss of contrast); Ohnesorge, Flohr, Klingenbeck-Regn,
    "Efficient object scatter correction algorithm for third and fourth generation CT scanners", European Radiology 9,
    1999 (the source of scatter).
    """
    primary = _lookup(scene.image, _odds(scene) ** (1 / _GRADIENT))
    scatter = _scattered(primary)
    noise = _planes(rng.standard_normal(scene.image.shape[:2], dtype=np.float32), scene.image)
    noise /= np.float32(math.sqrt(_PHOTONS))

    def render(ratio: float) -> Image:
        veil, kept = ratio / (1 + ratio), 1 / (1 + ratio)
        exposure = scatter * np.float32(veil)
        # E' - E / (1 + r)^2, in a form that cannot fall below 0 by rounding.
        spread = exposure + primary * np.float32(veil * kept)
        exposure += primary * np.float32(kept)
        np.sqrt(spread, out=spread)
        spread *= noise
        exposure += spread
        np.maximum(exposure, 0, out=exposure)
        odds = exposure * np.sqrt(exposure)
        return to_uint8(_greys(scene, odds / (1 + odds)))

    return Realisation(render)


def _exposed(scene: Scene, stops: float) -> _Table:
    """The receptor's response to each of the 256 grey levels at 2^stops times the exposure."""
    odds = _odds(scene) * 2 ** (_GRADIENT * stops)
    return np.asarray(odds / (1 + odds))


def _xray_underexposure(scene: Scene, rng: np.random.Generator) -> Realisation:
    """Too few photons: quantum noise, and a film that is too light (in angiography, a picture that is too dark).

    E' = E / 2^s for s stops; the grey level follows the characteristic curve, with noise of relative variance
    (2^s - 1) / (300 E) in exposure, which is what 300 photons per pixel at the middle of the range lack then
    (Poisson, drawn once as a Gaussian, alike for all channels).

    Source: Bushberg, Seibert, Leidholdt, Boone, The Essential Physics of Medical Imaging, 3rd edition, Lippincott
    Williams & Wilkins 2012 (characteristic curve, quantum noise).
    """
    noise = _planes(rng.standard_normal(scene.image.shape[:2], dtype=np.float32), scene.image)
    photons = _PHOTONS * _odds(scene) ** (1 / _GRADIENT)
    sign = -1 if _is_negative(scene) else 1

    def render(stops: float) -> Image:
        response = _exposed(scene, -stops)
        spread = sign * 256 * _GRADIENT * response * (1 - response) * np.sqrt((2**stops - 1) / photons)
        values = _lookup(scene.image, spread) * noise
        values += _lookup(scene.image, _greys(scene, response))
        return to_uint8(values)

    return Realisation(render)


def _xray_overexposure(scene: Scene, rng: np.random.Generator) -> Realisation:
    """Too many photons: thin parts run into the receptor's saturation, black on films and white in angiography.

    E' = E * 2^s for s stops; the grey level follows the characteristic curve, whose shoulder takes the contrast of
    what is already near saturation.

    Source: Bushberg, Seibert, Leidholdt, Boone, The Essential Physics of Medical Imaging, 3rd edition, Lippincott
    Williams & Wilkins 2012 (characteristic curve).
    """

    def render(stops: float) -> Image:
        return to_uint8(_lookup(scene.image, _greys(scene, _exposed(scene, stops))))

    return Realisation(render)


def _xray_grid(scene: Scene, rng: np.random.Generator) -> Realisation:
    """The lamellae of an anti-scatter grid show as lines, and one side of a badly centred grid is darker or lighter.

    E' = E * (1 - m * ((1 + cos(2 pi f . x + phase)) / 2 + c * x) / (1 + c)), with m the depth of modulation; spacing,
    slight tilt, phase and the slope c of the cut-off along x across the lines are drawn once. Lines are one to two
    and a half percent of the shorter side apart, as coarse as moire makes them in a reduced image.

    Source: Bushberg, Seibert, Leidholdt, Boone, The Essential Physics of Medical Imaging, 3rd edition, Lippincott
    Williams & Wilkins 2012 (anti-scatter grids, grid cut-off); Gonzalez and Woods, Digital Image Processing, 4th
    edition, Pearson 2018 (moire by sampling).
    """
    height, width = scene.image.shape[:2]
    spacing = max(rng.uniform(0.01, 0.025) * min(height, width), 2.5)
    angle = math.radians(rng.uniform(-3, 3)) + (math.pi / 2 if rng.random() < 0.5 else 0)
    phase, cut_off, side = rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.5), rng.choice([-1, 1])
    x = (np.arange(width, dtype=np.float32) - np.float32((width - 1) / 2)) * np.float32(math.cos(angle))
    y = (np.arange(height, dtype=np.float32) - np.float32((height - 1) / 2)) * np.float32(math.sin(angle))
    place = x + y[:, None]
    lines = (1 + np.cos(place * np.float32(2 * math.pi / spacing) + np.float32(phase))) / 2
    ramp = np.clip(0.5 + side * place / np.float32(max(height, width)), 0, 1)
    held_back = _planes(
        ((lines + np.float32(cut_off) * ramp) / np.float32(1 + cut_off)).astype(np.float32), scene.image
    )
    clean = _lookup(scene.image, _odds(scene))

    def render(modulation: float) -> Image:
        passed = 1 - np.float32(modulation) * held_back
        odds = clean * (passed * np.sqrt(passed))
        return to_uint8(_greys(scene, odds / (1 + odds)))

    return Realisation(render)


_XRAY: frozenset[Modality] = frozenset({"xray", "angiography"})

XRAY_SCATTER = Perturbation(
    "xray_scatter",
    _xray_scatter,
    unit="scatter-to-primary ratio",
    mildest=0.005,
    typical=1,
    strongest=1000,
    modalities=_XRAY,
)
XRAY_UNDEREXPOSURE = Perturbation(
    "xray_underexposure", _xray_underexposure, unit="stops", mildest=0.005, typical=1.5, strongest=12, modalities=_XRAY
)
XRAY_OVEREXPOSURE = Perturbation(
    "xray_overexposure", _xray_overexposure, unit="stops", mildest=0.005, typical=1.5, strongest=14, modalities=_XRAY
)
XRAY_GRID = Perturbation(
    "xray_grid", _xray_grid, unit="depth of modulation", mildest=0.002, typical=0.3, strongest=0.998, modalities=_XRAY
)

TYPES = (XRAY_SCATTER, XRAY_UNDEREXPOSURE, XRAY_OVEREXPOSURE, XRAY_GRID)
