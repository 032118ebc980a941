"""Weather between lens and scene: fog and snow."""

import math
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from medstress.perturb.optics import line_taps
from medstress.perturb.planes import Planes, join, split
from medstress.perturb.protocol import Perturbation, Realisation, Scene
from medstress.pixels import Image

Floats = npt.NDArray[np.float32]

_FIRST_WIBBLE = 100.0
_AIRLIGHT = (232, 234, 236)
_FLAKE = (247, 249, 252)
_LUMINANCE = (0.299, 0.587, 0.114)


def plasma(side: int, decay: float, rng: np.random.Generator) -> Floats:
    """Cloud-like noise, float32 [side, side] in 0..1, periodic: the diamond-square fractal of ImageNet-C's fog.

    side: a power of two. Every halving of the step fills the middles of squares, then of diamonds, with the mean of
    their four corners and a uniform number in +-w^2; w starts at 100 and is divided by `decay` after each halving.
    Source: Fournier, Fussell, Carpenter, "Computer rendering of stochastic models", Commun. ACM 1982.
    """
    if side < 2 or side & (side - 1):
        raise ValueError(f"the side of a plasma is a power of two from 2, not {side}")
    grid = np.zeros((1, 1), np.float32)
    spread = np.float32(_FIRST_WIBBLE**2)

    def wobbled(corners: Floats) -> Floats:
        noise = rng.random(corners.shape, dtype=np.float32)
        noise -= np.float32(0.5)
        noise *= 2 * spread
        corners *= np.float32(0.25)
        corners += noise
        return corners

    while grid.shape[0] < side:
        across, down = grid + np.roll(grid, -1, axis=1), grid + np.roll(grid, -1, axis=0)
        middle = wobbled(across + np.roll(across, -1, axis=0))
        finer = np.empty((2 * grid.shape[0], 2 * grid.shape[1]), np.float32)
        finer[::2, ::2], finer[1::2, 1::2] = grid, middle
        finer[::2, 1::2] = wobbled(across + middle + np.roll(middle, 1, axis=0))
        finer[1::2, ::2] = wobbled(down + middle + np.roll(middle, 1, axis=1))
        grid = finer
        spread /= np.float32(decay**2)
    grid -= grid.min()
    grid /= grid.max()
    return grid


def plasma_over(height: int, width: int, decay: float, rng: np.random.Generator) -> Floats:
    """The top left of a plasma that covers an image, float32 [height, width]."""
    side = 1 << (max(height, width, 2) - 1).bit_length()
    return np.ascontiguousarray(plasma(side, decay, rng)[:height, :width])


def snow_layer(field: Floats, threshold: float, radius: float, sigma: float, degrees: float) -> Floats:
    """Falling flakes, float32 [H, W] in 0..1: what of the field reaches the threshold, drawn out along a line.

    field: normal noise [H, W], already scaled, shifted and zoomed to the size of the flakes. Radius, sigma and angle
    are those of `line_taps`.
    """
    flakes = np.clip(field, 0, 1)
    flakes[field < threshold] = 0
    kernel, anchor = line_taps(radius, sigma, degrees)
    streaks = cv2.filter2D(flakes, -1, kernel, anchor=anchor, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(streaks, dtype=np.float32)


def as_planes(colour: tuple[float, float, float], image: Image) -> Planes:
    """An RGB colour as it is added to the planes of an image: float32 [3, 1, 1], or its luminance for a grey one."""
    luminance = sum(weight * value for weight, value in zip(_LUMINANCE, colour, strict=True))
    return np.array(colour if image.ndim == 3 else (luminance,), np.float32)[:, None, None]


def veiled(image: Image, density: Floats, glow: Planes) -> Realisation:
    """The image behind a veil: strength is the optical depth where density, float32 [H, W], is 1.

    The share exp(-strength * density) of the scene comes through, and the veil adds the rest of its own light, which is
    `glow`: float32 [C, 1, 1] or [C, H, W], grey levels.
    """
    contrast = split(image) - glow

    def render(depth: float) -> Image:
        seen = contrast * np.asarray(cv2.exp(density * np.float32(-depth)), dtype=np.float32)
        seen += glow
        return join(seen)

    return Realisation(render)


def _fog(scene: Scene, rng: np.random.Generator) -> Realisation:
    """Fog in swathes between lens and scene: contrast is lost and everything turns to the light of the fog.

    I * exp(-s * d) + A * (1 - exp(-s * d)): d is the density of the fog, drawn once as a plasma, 1 in the middle and
    0.2 to 1.8 in all; s is the mean optical depth; A is the airlight.

    Source: Koschmieder, "Theorie der horizontalen Sichtweite", Beitr. Phys. Atmos. 1924, for the loss of contrast;
    Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations", ICLR
    2019, for the plasma.
    """
    height, width = scene.image.shape[:2]
    density = plasma_over(height, width, 1.7, rng)
    density *= np.float32(1.6)
    density += np.float32(0.2)
    return veiled(scene.image, density, as_planes(_AIRLIGHT, scene.image))


def deviation(field: Floats) -> float:
    """Half the distance between the 16th and the 84th percentile, which is the standard deviation of normal noise.

    Order statistics, unlike sums of floats, cannot depend on how the buffer lies in memory.
    """
    low, high = int(0.1587 * field.size), int(0.8413 * field.size)
    ranked = np.partition(field, (low, high), axis=None)
    return max(float(ranked[high] - ranked[low]) / 2, 1e-6)


def growing_cover(field: Floats, edge: float) -> Callable[[float], Floats]:
    """From a share of the frame to what covers it, float32 [H, W] in 0..1: the highest parts of the field.

    So a cover of a larger share holds all of a smaller one. edge: how much the field rises, in deviations,
    from where the cover begins to where it is full.
    """
    ranked = np.sort(field, axis=None)
    shares = np.linspace(1, 0, 1025)
    thresholds = ranked[np.linspace(0, ranked.size - 1, 1025).astype(int)]
    steepness = np.float32(1 / (edge * deviation(field)))

    def cover(share: float) -> Floats:
        threshold = np.interp(share, shares[::-1], thresholds[::-1])
        layer = (field - np.float32(threshold)) * steepness
        return np.clip(layer, 0, 1, out=layer)

    return cover


def _flakes(height: int, width: int, size: float, degrees: float, rng: np.random.Generator) -> Floats:
    """Normal noise [height, width], smooth over `size` pixels and over four times that along the fall."""
    # Drawn as coarse as its smoothness allows, with a margin, because the line starts outside the frame.
    coarse = max(size / 1.5, 1.0)
    sigma = size / coarse
    kernel, anchor = line_taps(6 * sigma, 4 * sigma, degrees)
    margin = max(kernel.shape)
    rows, columns = (math.ceil(side / coarse) + 1 + 2 * margin for side in (height, width))
    noise = cv2.GaussianBlur(rng.standard_normal((rows, columns), dtype=np.float32), (0, 0), sigma)
    inside = cv2.filter2D(noise, -1, kernel, anchor=anchor)[margin:-margin, margin:-margin]
    fall = np.asarray(inside, dtype=np.float32)
    fall /= np.float32(deviation(fall))
    scale = np.array([[1 / coarse, 0, 0], [0, 1 / coarse, 0]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(fall, scale, (width, height), flags=flags), dtype=np.float32)


def _snow(scene: Scene, rng: np.random.Generator) -> Realisation:
    """Flakes fall between lens and scene, small far ones and large near ones, drawn out along one direction.

    I + m * (F - I): F is the white of the flakes and m in 0..1 their cover, which is where smooth noise, drawn once and
    blurred along the fall, is highest. The heavier the snowfall, the more flakes there are and the larger.

    Source: Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations",
    ICLR 2019, for flakes as thresholded noise in motion.
    """
    height, width = scene.image.shape[:2]
    side, degrees = min(height, width), rng.uniform(-135, -45)
    far = _flakes(height, width, max(side / 300, 0.6), degrees, rng)
    near = _flakes(height, width, max(side / 120, 1.0), degrees, rng)
    cover = growing_cover(np.maximum(far, near), 1.5)
    clean = split(scene.image)
    brightening = as_planes(_FLAKE, scene.image) - clean

    def render(share: float) -> Image:
        snowy = brightening * cover(share)
        snowy += clean
        return join(snowy)

    return Realisation(render)


FOG = Perturbation("fog", _fog, unit="mean optical depth", mildest=0.001, typical=0.28, strongest=12)
SNOW = Perturbation("snow", _snow, unit="share of the frame", mildest=0.0005, typical=0.06, strongest=0.98)

TYPES = (FOG, SNOW)
