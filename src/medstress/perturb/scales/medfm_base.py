"""The twelve base types of MedFM-Robust: noise, blur, brightness and contrast, storage, geometry."""

import math

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from medstress.errors import MedstressError
from medstress.names import Modality
from medstress.perturb.planes import split
from medstress.perturb.protocol import Scene
from medstress.perturb.scales.medfm_study import NOMINAL_SIDE, clip_channels, ours, saved
from medstress.perturb.scales.protocol import Drawn, Severity
from medstress.perturb.warp import affine, matrix_of
from medstress.pixels import Image
from medstress.rows import WarpRow

_NOISE_OF: dict[Modality, float] = {
    "dermoscopy": 0.8,
    "mri": 1.0,
    "ultrasound": 1.5,
    "endoscopy": 0.7,
    "oct": 0.9,
    "fundus": 0.9,
    "pathology": 0.6,
    "microscopy": 0.6,
    "ct": 1.2,
}


def noise_factor(modality: Modality | None) -> float:
    """By how much the study's noise is stronger for a modality; 1 where it says nothing.

    Fundus counts as OCT and microscopy as pathology, as in the study.
    """
    return 1.0 if modality is None else _NOISE_OF.get(modality, 1.0)


def gaussian_noise(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Every value gets a normal number with standard deviation sigma * f * range. Severity: sigma.

    f depends on the modality: dermoscopy .8, MRI 1, ultrasound 1.5, endoscopy .7, OCT .9, pathology .6, CT 1.2, others
    1. By default our gaussian_noise at 255 * sigma * f grey levels.
    Quirk: the range is that of the image, to which values are clipped.
    """
    factor = noise_factor(scene.modality)
    if not compat:
        return ours("gaussian_noise", scene, rng, lambda severity: 255 * factor * severity[0])
    clean = split(scene.image)
    low, high = clean.min(), clean.max()
    field = rng.standard_normal(clean.shape, dtype=np.float32) * (np.float32(factor) * (high - low))
    return Drawn(lambda severity: saved(np.clip(clean + field * np.float32(severity[0]), low, high)))


def salt_and_pepper(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Pixels turn black or white, each with probability p / 2. Severity: p. By default our salt_and_pepper at p.

    Quirk: white and black are the largest and least value of each channel of the image; the two are drawn apart, and
    where both hit, black wins.
    """
    if not compat:
        return ours("salt_and_pepper", scene, rng, lambda severity: severity[0])
    clean = split(scene.image)
    salt, pepper = rng.random((2, *scene.image.shape[:2]), dtype=np.float32)

    def render(severity: Severity) -> Image:
        half = np.float32(severity[0] / 2)
        noisy = clean.copy()
        for plane, before in zip(noisy, clean, strict=True):
            plane[salt < half] = before.max()
            plane[pepper < half] = before.min()
        return saved(noisy)

    return Drawn(render)


def speckle(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Every value is multiplied by a normal number about 1. Severity: its sigma. By default our speckle at sigma.

    Quirk: values are clipped to the range of the image.
    """
    if not compat:
        return ours("speckle", scene, rng, lambda severity: severity[0])
    clean = split(scene.image)
    scaled = rng.standard_normal(clean.shape, dtype=np.float32) * clean
    return Drawn(lambda severity: saved(np.clip(clean + scaled * np.float32(severity[0]), clean.min(), clean.max())))


def blurred_as_published(scene: Scene) -> Drawn:
    """Convolution with a Gaussian cut at 4 sigma, the border mirrored, as the study does it. Severity: sigma."""
    clean = split(scene.image)
    return Drawn(
        lambda severity: saved(
            np.stack([ndimage.gaussian_filter(plane, severity[0]) for plane in clean]).astype(np.float32)
        )
    )


def gaussian_blur(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Convolution with a Gaussian. Severity: sigma in pixels. By default our gaussian_blur at sigma.

    Quirk: the stretch of saving alone.
    """
    return blurred_as_published(scene) if compat else ours("gaussian_blur", scene, rng, lambda severity: severity[0])


def published_line(length: int, degrees: float) -> npt.NDArray[np.float32]:
    """The study's kernel of motion: a row of 1 / length in a square of that side, turned about its middle pixel.

    Its sum is not 1, and where the side is even it moves the image by half a pixel.
    """
    line = np.zeros((length, length), np.float32)
    line[length // 2] = 1 / length
    turn = cv2.getRotationMatrix2D((length // 2, length // 2), degrees, 1.0)
    return np.asarray(cv2.warpAffine(line, turn, (length, length)), dtype=np.float32)


def motion_blur(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """The mean along a line at an angle drawn once. Severity: its length in pixels. By default our motion_blur.

    Quirk: the kernel's sum is not 1, and even lengths move the image by half a pixel.
    """
    if not compat:
        return ours("motion_blur", scene, rng, lambda severity: severity[0])
    clean, degrees = split(scene.image), rng.uniform(-180, 180)

    def render(severity: Severity) -> Image:
        kernel = published_line(max(1, int(severity[0])), degrees)
        return saved(np.stack([cv2.filter2D(plane, -1, kernel) for plane in clean]).astype(np.float32))

    return Drawn(render)


def brightness(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """A half of the study's joint brightness and contrast: all values times 1 - p to 1 + p. Severity: p.

    By default our brightness at 127.5 * p grey levels, by which the largest gain moves the middle of the range.
    Quirk: the gain is uniform in its range, so that a level only bounds the change; clipped to each channel's range.
    """
    if not compat:
        return ours("brightness", scene, rng, lambda severity: 127.5 * severity[0])
    clean, share = split(scene.image), rng.uniform(-1, 1)
    return Drawn(lambda severity: saved(clip_channels(clean * np.float32(1 + share * severity[0]), clean)))


def contrast(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """A half of the study's joint brightness and contrast: differences from the mean times 1 - p to 1 + p. Severity: p.

    By default our contrast at a loss of p.
    Quirk: the factor is uniform in its range, so that a level only bounds the change; the mean and the range to which
    values are clipped are each channel's own.
    """
    if not compat:
        return ours("contrast", scene, rng, lambda severity: severity[0])
    clean, share = split(scene.image), rng.uniform(-1, 1)
    mean = clean.mean(axis=(1, 2), keepdims=True, dtype=np.float64).astype(np.float32)
    return Drawn(
        lambda severity: saved(clip_channels((clean - mean) * np.float32(1 + share * severity[0]) + mean, clean))
    )


def _coded(plane: npt.NDArray[np.float32], quality: int) -> npt.NDArray[np.float32]:
    ok, data = cv2.imencode(".jpg", saved(plane[None].copy()), (cv2.IMWRITE_JPEG_QUALITY, quality))
    if not ok:
        raise MedstressError(f"JPEG encoding failed for an image of shape {plane.shape}")
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), dtype=np.float32)


def jpeg(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """The image is stored as JPEG. Severity: libjpeg quality. By default our jpeg at 100 - quality.

    Quirk: each channel is stretched and coded as a grey image of its own.
    """
    if not compat:
        return ours("jpeg", scene, rng, lambda severity: 100 - severity[0])
    clean = split(scene.image)
    return Drawn(lambda severity: saved(np.stack([_coded(plane, int(severity[0])) for plane in clean])))


def pixelate(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """The image is made smaller and enlarged again. Severity: the share of the side.

    By default our pixelate with blocks of 1 / share pixels, which are means.
    Quirk: each block shows one of its pixels.
    """
    if not compat:
        return ours("pixelate", scene, rng, lambda severity: 1 / severity[0])
    height, width = scene.image.shape[:2]

    def render(severity: Severity) -> Image:
        size = max(1, int(width * severity[0])), max(1, int(height * severity[0]))
        small = cv2.resize(scene.image, size, interpolation=cv2.INTER_NEAREST)
        blocks = np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
        return saved(split(blocks))

    return Drawn(render)


def _moved(scene: Scene, warp: WarpRow) -> Image:
    """The study's moved image: what enters the frame mirrors what is at its edge."""
    height, width = scene.image.shape[:2]
    matrix = matrix_of(warp)
    planes = [
        cv2.warpAffine(plane, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        for plane in split(scene.image)
    ]
    return saved(np.stack(planes).astype(np.float32))


def rotation(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """The scene is turned about the middle, in a sense drawn once. Severity: degrees. By default our rotation.

    Quirk: the middle is half a pixel off, and what enters the frame mirrors the image. Masks move along all the same.
    """
    if not compat:
        return ours("rotation", scene, rng, lambda severity: severity[0])
    height, width = scene.image.shape[:2]
    sign = 1 if rng.random() < 0.5 else -1

    def warp(severity: Severity) -> WarpRow:
        return affine(np.asarray(cv2.getRotationMatrix2D((width / 2, height / 2), sign * severity[0], 1.0)))

    return Drawn(lambda severity: _moved(scene, warp(severity)), warp)


def scaling(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """The scene shrinks about the middle. Severity: the share of the side that stays. By default our scaling.

    Quirk: sizes are whole pixels, and what enters the frame is 0. Masks shrink along all the same.
    """
    if not compat:
        return ours("scaling", scene, rng, lambda severity: 1 - severity[0])
    height, width = scene.image.shape[:2]
    clean = split(scene.image)

    def size(severity: Severity) -> tuple[int, int]:
        return max(1, int(width * severity[0])), max(1, int(height * severity[0]))

    def warp(severity: Severity) -> WarpRow:
        (wide, high), corner = size(severity), np.zeros((2, 3))
        for row, (side, kept) in enumerate(((width, wide), (height, high))):
            factor = kept / side
            corner[row, row], corner[row, 2] = factor, (factor - 1) / 2 + (side - kept) // 2
        return affine(corner)

    def render(severity: Severity) -> Image:
        wide, high = size(severity)
        left, top = (width - wide) // 2, (height - high) // 2
        canvas = np.zeros_like(clean)
        for plane, target in zip(clean, canvas, strict=True):
            target[top : top + high, left : left + wide] = cv2.resize(plane, (wide, high))
        return saved(canvas)

    return Drawn(render, warp)


def translation(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """The scene is shifted. Severity: pixels. By default our translation, by pixels / 256 of the side in any direction.

    Quirk: shifts in x and y are whole pixels from -p to p - 1, so that the image may stay where it is; what enters the
    frame mirrors the image. Masks move along all the same.
    """
    if not compat:
        return ours("translation", scene, rng, lambda severity: severity[0] / NOMINAL_SIDE)
    places = rng.uniform(-1, 1, 2)

    def warp(severity: Severity) -> WarpRow:
        right, down = (math.floor(int(severity[0]) * place) for place in places)
        return affine(np.array([[1.0, 0.0, right], [0.0, 1.0, down]]))

    return Drawn(lambda severity: _moved(scene, warp(severity)), warp)
