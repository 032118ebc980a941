"""Optics in front of the sensor: out of focus, ground glass, and zooming while the shutter is open.

Besides the types, this holds the kernels and maps that the published scales share with them.
"""

import math
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
from scipy import fft, sparse, special

from medstress.perturb.planes import join, split
from medstress.perturb.protocol import Perturbation, Realisation, Scene
from medstress.pixels import Image, to_uint8

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
_Pointers = npt.NDArray[np.int32]

# Up to this radius the published disks all lie on one grid.
_SMALL_DISK = 8


def disk_kernel(radius: float, alias_sigma: float, compat: bool = False) -> Floats:
    """The disk of ImageNet-C: pixels whose centre lies within `radius`, then smoothed by a tiny Gaussian.

    float32 [17, 17] up to a radius of 8, sides 2 * ceil(radius) + 1 above; sum 1. With `compat` the smoothing mirrors
    the disk at the edge of its grid, as published, which makes the sum 1.01 where the disk touches the edge.
    """
    reach = max(_SMALL_DISK, math.ceil(radius))
    offsets = np.arange(-reach, reach + 1)
    disk = (offsets[:, None] ** 2 + offsets[None, :] ** 2 <= radius**2).astype(np.float32)
    disk /= np.count_nonzero(disk)
    side = 3 if radius <= _SMALL_DISK else 5
    border = cv2.BORDER_REFLECT_101 if compat else cv2.BORDER_CONSTANT
    smooth = cv2.GaussianBlur(disk, (side, side), alias_sigma, borderType=border)
    return np.asarray(smooth if compat else smooth / smooth.sum(dtype=np.float64), dtype=np.float32)


def line_taps(radius: float, sigma: float, degrees: float) -> tuple[Floats, tuple[int, int]]:
    """ImageMagick's motion blur as a kernel: a Gaussian that starts at the pixel and trails to one side.

    Tap i of 2 * ceil(radius) + 1 has the weight exp(-i^2 / (2 sigma^2)) and shifts the image by
    -ceil(i * (cos, sin) - 1/2) pixels in x and y. Returns the kernel, float32 [h, w] with sum 1, and the anchor (x, y)
    that cv2.filter2D takes; with BORDER_REPLICATE the edges come out as ImageMagick's.
    """
    taps = np.arange(2 * math.ceil(radius) + 1)
    weights = np.exp(-(taps**2) / (2 * sigma**2))
    angle = math.radians(degrees)
    # cv2.filter2D correlates: moving the image by -n is reading it at +n.
    columns = np.ceil(taps * math.cos(angle) - 0.5).astype(int)
    rows = np.ceil(taps * math.sin(angle) - 0.5).astype(int)
    left, top = min(columns.min(), 0), min(rows.min(), 0)
    kernel = np.zeros((rows.max() - top + 1, columns.max() - left + 1))
    np.add.at(kernel, (rows - top, columns - left), weights / weights.sum())
    return kernel.astype(np.float32), (int(-left), int(-top))


def zoom_image(image: Floats, factor: float, centred: bool) -> Floats:
    """The middle of the image, enlarged by `factor` >= 1 to the size of the whole: float32 [H, W] or [H, W, C].

    The centred crop of ceil(side / factor) pixels is stretched from corner to corner, as an order-1 spline zoom does;
    what is too much is trimmed on both sides, or below and on the right where not `centred`.
    """
    height, width = image.shape[:2]
    matrix = np.zeros((2, 3))
    for axis, side in enumerate((width, height)):
        crop = math.ceil(side / factor)
        stretched = round(crop * factor)
        step = (crop - 1) / max(stretched - 1, 1)
        trim = (stretched - side) // 2 if centred else 0
        matrix[axis, axis] = step
        matrix[axis, 2] = (side - crop) // 2 + trim * step
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    zoomed = cv2.warpAffine(image, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(zoomed, dtype=np.float32)


def glass_offsets(height: int, width: int, shift: int, passes: int, rng: np.random.Generator) -> Ints:
    """Neighbours for `glass_shuffle`, int64 [passes, H, W, 2] as (x, y): uniform in -shift..shift - 1.

    Zero, which exchanges a pixel with itself, where the published scan does not come: rows and columns up to `shift`
    and beyond side - shift.
    """
    offsets = np.zeros((passes, height, width, 2), np.int64)
    rows, columns = slice(shift + 1, height - shift + 1), slice(shift + 1, width - shift + 1)
    scanned = offsets[:, rows, columns]
    offsets[:, rows, columns] = rng.integers(-shift, shift, scanned.shape)
    return offsets


def glass_shuffle(image: Image, offsets: Ints, true_swap: bool) -> Image:
    """The image after raster scans that exchange each pixel with a neighbour: uint8 [H, W] or [H, W, C].

    offsets: int [passes, H, W, 2], how far away (x, y) the neighbour of each pixel is; it must lie in the image. A scan
    runs from the last pixel to the first. With `true_swap` both pixels change places; without, the neighbour is copied
    and what it replaces is lost, which is what the published loop does to colour images.

    A scan is sequential, but where each pixel's value comes from is a chain of pointers, and all chains are followed
    at once. So the result is exactly that of the loop.
    """
    height, width = image.shape[:2]
    flat = image.reshape(height * width, -1)
    place = np.arange(height * width, dtype=np.int32)
    for scan in offsets.reshape(len(offsets), -1, 2).astype(np.int32):
        neighbours = place + scan[:, 1] * np.int32(width) + scan[:, 0]
        origins = _swap_origins(neighbours) if true_swap else _copy_origins(neighbours)
        flat = np.take(flat, origins, axis=0)
    return np.ascontiguousarray(flat.reshape(image.shape))


def _ends(pointers: _Pointers, starts: _Pointers) -> _Pointers:
    """Where the chains of pointers end that begin at some nodes; ends point at themselves."""
    # Two steps at once, then four: few chains are long.
    for _ in range(2):
        pointers = np.take(pointers, pointers, mode="clip")
    while not np.array_equal(further := np.take(pointers, starts, mode="clip"), starts):
        starts = further
    return starts


def _copy_origins(neighbours: _Pointers) -> _Pointers:
    """Which pixel of the old image each pixel shows after p takes the value of neighbours[p], for p from last to first.

    A neighbour that comes later in the scan still shows the old image; one that came earlier shows what it took.
    """
    place = np.arange(len(neighbours), dtype=np.int32)
    return np.take(neighbours, _ends(np.maximum(neighbours, place), place), mode="clip")


def _swap_origins(neighbours: _Pointers) -> _Pointers:
    """Which pixel of the old image each pixel shows after p and neighbours[p] change places, for p from last to first.

    An exchange visits two pixels. A value goes to the other pixel of the first exchange that visits its pixel, from
    there to the other pixel of the next exchange that visits that one, and so on.
    """
    count = len(neighbours)
    place = np.arange(count, dtype=np.int32)
    # Visits in the order of time: exchange after exchange, the pixel's own first, then the neighbour's.
    visited = np.stack([place[::-1], neighbours[::-1]], axis=1).ravel()
    visits = np.arange(2 * count, dtype=np.int32)
    # As rows of a sparse matrix they come sorted by pixel, then by time, without comparing.
    by_pixel = sparse.coo_array((np.ones(2 * count, np.int8), (visited, visits)), shape=(count, 2 * count)).tocsr()
    ordered, starts = by_pixel.indices, by_pixel.indptr
    # A value comes with one visit of an exchange, leaves with the other, and is there taken on by the next visit.
    leaves = ordered ^ 1
    taken_on = np.empty_like(visits)
    taken_on[leaves[:-1]] = ordered[1:]
    last = np.take(leaves, starts[1:] - 1, mode="clip")
    taken_on[last] = last
    ends = _ends(taken_on, np.take(ordered, starts[:-1], mode="clip"))
    origins = np.empty_like(place)
    origins[np.take(visited, ends ^ 1, mode="clip")] = place
    return origins


# Steps of the table of the disk's transform per unit of its argument, and where the table ends: the largest radius
# times the highest frequency, pi * sqrt(2).
_JINC_STEPS = 256
_WIDEST_DISK = 80.0


@lru_cache(maxsize=1)
def _jinc() -> Floats:
    """The transform of a disk of radius 1 and sum 1, 2 J1(w) / w, at w = i / _JINC_STEPS."""
    frequency = np.arange(math.ceil(_WIDEST_DISK * math.pi * math.sqrt(2) * _JINC_STEPS) + 2) / _JINC_STEPS
    frequency[0] = 1
    values = 2 * special.j1(frequency) / frequency
    values[0] = 1
    return values.astype(np.float32)


def _defocus_blur(scene: Scene, rng: np.random.Generator) -> Realisation:
    """The lens is out of focus, so every point of the scene becomes a disk of light; the border is mirrored.

    Convolution with a uniform disk of radius r. With a mirrored border the cosine transform turns it into a product
    with 2 J1(r w) / (r w), where w is the length of the frequency, so r may be any number.

    Source: Goodman, Introduction to Fourier Optics, 1968, chapter 6, for the disk of a geometrical focusing error;
    Martucci, "Symmetric convolution and the discrete sine and cosine transforms", IEEE TSP 1994, for the product.
    """
    height, width = scene.image.shape[:2]
    spectrum = fft.dctn(split(scene.image), axes=(1, 2), norm="ortho")
    frequency = np.hypot(np.pi * np.arange(height)[:, None] / height, np.pi * np.arange(width)[None, :] / width)
    frequency = (frequency * _JINC_STEPS).astype(np.float32)

    def render(radius: float) -> Image:
        index = frequency * np.float32(radius)
        index += np.float32(0.5)
        gain = np.take(_jinc(), index.astype(np.intp))
        return join(fft.idctn(spectrum * gain, axes=(1, 2), norm="ortho", overwrite_x=True))

    return Realisation(render)


def _glass_blur(scene: Scene, rng: np.random.Generator) -> Realisation:
    """A ground glass in front of the lens bends every ray by a random angle: near pixels are mixed up, then smoothed.

    Each pixel shows the scene at p + s * n(p), n ~ N(0, 1) in x and y, drawn once; then the optics smooth the grain by
    a Gaussian of 0.4 s, at most 1.5 pixels. The border is mirrored.

    Source: Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations",
    ICLR 2019 (glass blur), who exchange pixels with neighbours instead; Goodman, Speckle Phenomena in Optics, 2007,
    for the diffuser as independent random deflections.
    """
    height, width = scene.image.shape[:2]
    bend = rng.standard_normal((2, height, width), dtype=np.float32)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))

    def render(deflection: float) -> Image:
        there = bend * np.float32(deflection)
        there[0] += x
        there[1] += y
        mixed = cv2.remap(scene.image, there[0], there[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        return np.asarray(cv2.GaussianBlur(mixed, (0, 0), min(0.4 * deflection, 1.5)), dtype=np.uint8)

    return Realisation(render)


def _zoom_blur(scene: Scene, rng: np.random.Generator) -> Realisation:
    """The lens zooms in while the shutter is open, so points become lines that run away from the centre.

    The mean of the image enlarged by every factor from 1 to 1 + z about its centre. Factors lie so close that no pixel
    moves more than a pixel from one to the next; as the mean of 2 n enlargements is that of n, averaged with itself
    enlarged further, n of them cost log2(n).

    Source: Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations",
    ICLR 2019 (zoom blur).
    """
    height, width = scene.image.shape[:2]
    clean = scene.image.astype(np.float32)
    x, y = (width - 1) / 2, (height - 1) / 2
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP

    def render(growth: float) -> Image:
        doublings = max(math.ceil(math.log2(max(math.hypot(x, y) * growth, 1))), 2)
        spread = clean
        for doubling in range(doublings):
            step = (1 + growth) ** (-(2**doubling) / 2**doublings)
            matrix = np.array([[step, 0, x * (1 - step)], [0, step, y * (1 - step)]])
            further = cv2.warpAffine(spread, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
            spread = np.asarray(cv2.addWeighted(spread, 0.5, further, 0.5, 0), dtype=np.float32)
        return to_uint8(spread)

    return Realisation(render)


DEFOCUS_BLUR = Perturbation(
    "defocus_blur", _defocus_blur, unit="radius, pixels", mildest=0.3, typical=4.5, strongest=_WIDEST_DISK
)
GLASS_BLUR = Perturbation(
    "glass_blur",
    _glass_blur,
    unit="standard deviation of the deflection, pixels",
    mildest=0.12,
    typical=2,
    strongest=60,
)
ZOOM_BLUR = Perturbation("zoom_blur", _zoom_blur, unit="growth of the image", mildest=0.002, typical=0.1, strongest=6)

TYPES = (DEFOCUS_BLUR, GLASS_BLUR, ZOOM_BLUR)
