"""Elastic deformation of the published scales: random displacements, smoothed, with and without an affine map."""

import cv2
import numpy as np
import numpy.typing as npt
from scipy import fft

from medstress.perturb.protocol import Scene
from medstress.perturb.scales.protocol import Drawn, Severity
from medstress.perturb.scales.stored import stored
from medstress.perturb.warp import grid
from medstress.pixels import Image
from medstress.rows import WarpRow

Floats = npt.NDArray[np.float32]
Origins = npt.NDArray[np.float32]
"""float32 [2, H, W]: x and y in the clean image of what each pixel shows."""


def _response(side: int, sigma: float) -> Floats:
    """What a Gaussian cut at 3 sigma does to each cosine of a side whose ends are mirrored: float32 [side]."""
    if not sigma:
        return np.ones(side, np.float32)
    reach = int(3 * sigma + 0.5)
    taps = np.arange(-reach, reach + 1)
    weights = np.exp(-(taps**2) / (2 * sigma**2))
    folded = np.bincount(taps % (2 * side), weights / weights.sum(), minlength=2 * side)
    return np.asarray(fft.rfft(folded).real[:side], dtype=np.float32)


def _smooth(spectra: Floats, sigma_y: float, sigma_x: float) -> Floats:
    """Fields [n, H, W] from their cosine transforms, convolved with a Gaussian, edges mirrored."""
    gain = _response(spectra.shape[1], sigma_y)[:, None] * _response(spectra.shape[2], sigma_x)
    return np.asarray(fft.idctn(spectra * gain, axes=(1, 2), norm="ortho", overwrite_x=True), dtype=np.float32)


def _uniform_spectra(scene: Scene, rng: np.random.Generator) -> Floats:
    """The cosine transforms of two fields of uniform numbers in -1..1, float32 [2, H, W]."""
    fields = rng.random((2, *scene.image.shape[:2]), dtype=np.float32)
    fields *= 2
    fields -= 1
    return np.asarray(fft.dctn(fields, axes=(1, 2), norm="ortho", overwrite_x=True), dtype=np.float32)


def _places(height: int, width: int) -> Origins:
    return np.stack(np.meshgrid(np.arange(width), np.arange(height))).astype(np.float32)


def _mirrored(origins: Origins, edge_twice: bool) -> Origins:
    """Coordinates beyond the edge, mirrored there, in place; the edge pixel counts twice or once.

    What then lies between the edge pixel's two copies is put on the edge pixel.
    """
    half = np.float32(0.5 if edge_twice else 0)
    for values, side in zip(origins, (origins.shape[2], origins.shape[1]), strict=True):
        period = np.float32(2 * (side - 1 + 2 * half))
        beyond = (values < 0) | (values > side - 1)
        folded = np.mod(values[beyond] + half, period)
        values[beyond] = np.clip(np.minimum(folded, period - folded) - half, 0, side - 1)
    return origins


def _kept(origins: Origins, places: Origins) -> Origins:
    """Origins as a warp keeps them: displacements to 1/256 pixel, which float32 holds exactly. In place."""
    origins -= places
    origins *= 256
    np.rint(origins, out=origins)
    origins *= np.float32(1 / 256)
    origins += places
    return origins


def _fetched(image: npt.NDArray[np.uint8 | np.float32], origins: Origins) -> npt.NDArray[np.uint8 | np.float32]:
    return np.asarray(cv2.remap(image, origins[0], origins[1], cv2.INTER_LINEAR))


def elastic_local(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Each pixel comes from a place nearby: uniform numbers in +-.005 H, smoothed with sigma = .01 of each side.

    The smooth field is multiplied by alpha; the image is mirrored beyond its edges. Severity: alpha.
    Quirk: values are cut off instead of rounded.
    """
    height, width = scene.image.shape[:2]
    field = _smooth(_uniform_spectra(scene, rng), 0.01 * height, 0.01 * width) * np.float32(0.005 * height)
    places = _places(height, width)

    def origins(severity: Severity) -> Origins:
        return _kept(_mirrored(field * np.float32(severity[0]) + places, True), places)

    def render(severity: Severity) -> Image:
        if compat:
            return stored(np.asarray(_fetched(scene.image.astype(np.float32), origins(severity))), True)
        return np.asarray(_fetched(scene.image, origins(severity)), dtype=np.uint8)

    def warp(severity: Severity) -> WarpRow:
        displacement = origins(severity) - places
        return grid(displacement[0], displacement[1])

    return Drawn(render, warp)


def elastic_affine(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """A random affine map, then random displacements: uniform numbers in +-1, smoothed and multiplied by alpha.

    The affine map moves three corners of a square, a third of the side from the centre, by uniform numbers in
    +-affine. The image is mirrored beyond its edges. Severity: alpha, sigma of the smoothing and affine, as shares of
    the shorter side.
    Quirk: the image is resampled twice, once for each map; values are cut off instead of rounded.
    """
    height, width = scene.image.shape[:2]
    shorter = min(height, width)
    spectra = _uniform_spectra(scene, rng)
    moves = rng.uniform(-1, 1, (3, 2))
    places = _places(height, width)
    reach = shorter // 3
    corners = np.array([width // 2, height // 2]) + np.array([[reach, reach], [reach, -reach], [-reach, -reach]])

    def affine_map(share: float) -> npt.NDArray[np.float64]:
        moved = corners + moves * share * shorter
        return np.asarray(cv2.getAffineTransform(corners.astype(np.float32), moved.astype(np.float32)))

    def local(severity: Severity) -> Origins:
        alpha, sigma = severity[0] * shorter, severity[1] * shorter
        return _mirrored(_smooth(spectra, sigma, sigma) * np.float32(alpha) + places, True)

    def origins(severity: Severity) -> Origins:
        x, y = local(severity)
        back = cv2.invertAffineTransform(affine_map(severity[2])).astype(np.float32)
        source = np.stack([row[0] * x + row[1] * y + row[2] for row in back])
        return _kept(_mirrored(source, False), places)

    def render(severity: Severity) -> Image:
        if not compat:
            return np.asarray(_fetched(scene.image, origins(severity)), dtype=np.uint8)
        clean = scene.image.astype(np.float32)
        matrix = affine_map(severity[2])
        moved = cv2.warpAffine(clean, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101)
        return stored(np.asarray(_fetched(np.asarray(moved, np.float32), local(severity)), np.float32), True)

    def warp(severity: Severity) -> WarpRow:
        displacement = origins(severity) - places
        return grid(displacement[0], displacement[1])

    return Drawn(render, warp)
