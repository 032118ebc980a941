"""Optical coherence tomography: shadows, blinks, eye motion, defocus and speckle.

In a cross-section (B-scan) columns are A-scans and light comes from above; in a view from the front, rows are scanned
one after another. The display is taken to be log-compressed: 40 dB between black and white, so that losses in dB
subtract grey levels.
"""

import cv2
import numpy as np
import numpy.typing as npt
from scipy import fft

from medstress.names import Modality
from medstress.perturb.protocol import Perturbation, Realisation, Scene
from medstress.perturb.spans import growing_spans
from medstress.perturb.warp import rows, warp_image
from medstress.pixels import Image, to_uint8
from medstress.rows import WarpRow

_DISPLAY_DB = 40.0
_GREY_PER_DB = 255 / _DISPLAY_DB
# Two-way attenuation by blood along the whole width of a 6 mm scan; a vessel of 0.1 mm takes away 10 dB.
_BLOOD_DB = 600.0
# As many vessels as there are at most, and the loss in the middle of a bleeding at full strength.
_VESSELS = 40
_BLEEDING_DB = 36.0
# Standard deviation of the focused beam's profile and depth of the image in Rayleigh ranges: a spot of 12 um on a
# scan of 6 mm, 2 mm deep.
_SPOT = 0.001
_RAYLEIGH_RANGES = 4.0
# No display shows a deeper fade than this share of the mean intensity.
_DEEPEST_FADE = 1e-4

_Floats = npt.NDArray[np.float32]


def _surface(image: Image) -> _Floats:
    """The first bright row of each column, smoothed, float32 [W]: where tissue begins under a dark vitreous."""
    height, width = image.shape[:2]
    bright = image if image.ndim == 2 else image.max(axis=2)
    smooth = cv2.blur(bright, (max(3, width // 16), max(3, height // 32)))
    low, high = float(smooth.min()), float(smooth.max())
    first = (smooth > (low + high) / 2).argmax(axis=0).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(first[None], (0, 0), width / 32)[0], dtype=np.float32)


def _vitreous(image: Image, surface: _Floats) -> Image:
    """The grey levels [n] well above the surface, which are the detector's noise; none where there is no vitreous."""
    height = image.shape[0]
    bright = image if image.ndim == 2 else image.max(axis=2)
    dark = bright[np.arange(height)[:, None] < surface - 0.05 * height]
    return np.asarray(dark if dark.size >= 0.05 * bright.size else dark[:0])


def _noise(greys: Image, image: Image, rng: np.random.Generator) -> _Floats:
    """A random one of some grey levels at each pixel of an image, alike for all channels, float32."""
    height, width = image.shape[:2]
    noise = greys[rng.integers(0, greys.size, (height, width), dtype=np.int32)]
    return noise.reshape(noise.shape + (1,) * (image.ndim - 2)).astype(np.float32)


def _noise_floor(image: Image, surface: _Floats, rng: np.random.Generator) -> _Floats:
    """What stays when the signal is gone, float32 like the image: the detector's noise, or the image where darker.

    Noise has the grey levels of the vitreous, or the image's darkest ones where there is no vitreous.
    """
    greys = _vitreous(image, surface)
    if not greys.size:
        bright = image if image.ndim == 2 else image.max(axis=2)
        greys = bright[bright <= np.percentile(bright, 5)]
    return np.asarray(np.minimum(image, _noise(greys, image, rng)), dtype=np.float32)


def _oct_shadow(scene: Scene, rng: np.random.Generator) -> Realisation:
    """Retinal vessels throw narrow shadows on what lies below them; blood in the vitreous throws wide, soft ones.

    max(I - 255 * (L + B) / 40, floor), in dB. L(x) = 600 dB * the chord 2 * sqrt(r^2 - (x - c)^2) of the path through
    a vessel, as a share of the width, so that wider vessels shade more darkly; it sets in under the first bright layer.
    B(x) = 36 dB * s^1.5 * exp(-((x - c) / w)^2 / 2), w = w0 * (0.5 + s), the largest of two or three bleedings, dims
    that layer too. Places and sizes are drawn once. Strength s is the share of A-scans below vessels: up to 40 appear
    one after another and widen to 2.5 % of the width on average, side by side at 1. Shadows go down to the noise
    floor, which is drawn once from the grey levels above the first bright layer.

    Source: Drexler, Fujimoto (editors), Optical Coherence Tomography: Technology and Applications, 2nd edition,
    Springer 2015 (scattering by blood, shadows of retinal vessels).
    """
    height, width = scene.image.shape[:2]
    spans = growing_spans(rng.dirichlet(np.full(_VESSELS, 14.0)), 0.8, rng)
    count = int(rng.integers(2, 4))
    middle, size = rng.uniform(0.1, 0.9, (count, 1)), rng.uniform(0.1, 0.25, (count, 1))
    clean = scene.image.astype(np.float32)
    surface = _surface(scene.image)
    floor = _noise_floor(scene.image, surface, rng)
    below = (np.arange(height, dtype=np.float32)[:, None] - surface) / np.float32(0.03 * height)
    below = below.reshape(below.shape + (1,) * (clean.ndim - 2))
    under, within = np.clip(below - 0.3, 0, 1), np.clip(below + 1.5, 0, 1)
    # Four samples to a column, so that a vessel thinner than one still has its share of it.
    place = (np.arange(4 * width) + 0.5) / (4 * width)

    def losses(profile: npt.NDArray[np.float64]) -> _Floats:
        """In grey levels at each column, in the shape of a row of the image."""
        row = profile.reshape(1, width, 4).mean(axis=2) * _GREY_PER_DB
        row = cv2.GaussianBlur(row.astype(np.float32), (0, 0), max(0.4, _SPOT * width), borderType=cv2.BORDER_REFLECT)
        return np.asarray(row.reshape((1, width) + (1,) * (clean.ndim - 2)))

    def render(share: float) -> Image:
        low, high = spans(share).T[..., None]
        chord = 2 * np.sqrt(np.maximum((place - low) * (high - place), 0)).sum(axis=0)
        spread = (place - middle) / (size * (0.5 + share))
        blood = (_BLEEDING_DB * share**1.5 * np.exp(-(spread**2) / 2)).max(axis=0)
        shaded = under * losses(_BLOOD_DB * chord)
        shaded += within * losses(blood)
        return to_uint8(np.maximum(clean - shaded, floor))

    return Realisation(render)


def _oct_blink(scene: Scene, rng: np.random.Generator) -> Realisation:
    """The eye closes during the scan: runs of scan lines hold nothing but noise, with soft edges as the lid passes.

    I * (1 - lost(y)) + noise * lost(y). Four bands of rows, drawn once, hold the given share of all rows between them.
    Rows are the scan lines of a raster, taken one after another, as in a view from the front; in a cross-section
    rows are depths, and bands across it are what published benchmarks show. The noise, drawn once, has the grey levels
    of the vitreous above the first bright layer, and is black where the image shows no vitreous.

    Source: Kraus et al., "Motion correction in optical coherence tomography volumes on a per A-scan basis using
    orthogonal scan patterns", Biomedical Optics Express 3, 2012 (blinks as missing lines of the raster).
    """
    height = scene.image.shape[0]
    spans = growing_spans(rng.dirichlet(np.full(4, 4.0)), 0, rng)
    clean = scene.image.astype(np.float32)
    greys = _vitreous(scene.image, _surface(scene.image))
    change = _noise(greys if greys.size else np.zeros(1, np.uint8), scene.image, rng) - clean
    # The lid takes as long as the scan of this share of the rows.
    soft = max(1.0, 0.02 * height)
    row = np.arange(height) + 0.5

    def render(share: float) -> Image:
        low, high = height * spans(share).T[..., None]
        lost = np.clip((row - low) / soft + 0.5, 0, 1) - np.clip((row - high) / soft + 0.5, 0, 1)
        lost = lost.sum(axis=0).astype(np.float32)
        return to_uint8(clean + change * lost.reshape((height,) + (1,) * (clean.ndim - 1)))

    return Realisation(render)


def _oct_row_motion(scene: Scene, rng: np.random.Generator) -> Realisation:
    """The eye drifts and jumps (saccades) between scan lines: rows shift sideways, and masks with them.

    shift(y) = s * W * m(y), with m a random walk (drift) plus two to four steps (saccades), drawn once, centred and
    scaled so that the largest |m| is 1. Rows are the scan lines of a raster, taken one after another, as in a view
    from the front; in a cross-section rows are depths, and shifting them is what published benchmarks do. Fractions
    of a pixel are interpolated; what enters from the side is background.

    Source: Kraus et al., "Motion correction in optical coherence tomography volumes on a per A-scan basis using
    orthogonal scan patterns", Biomedical Optics Express 3, 2012 (drift and saccades between B-scans).
    """
    height, width = scene.image.shape[:2]
    drift = np.cumsum(rng.standard_normal(height)) / np.sqrt(height)
    moment = rng.uniform(0.05, 0.95, rng.integers(2, 5))
    jump = rng.uniform(0.7, 1.4, moment.size) * rng.choice([-1, 1], moment.size)
    path = 0.6 * drift + (jump * (np.arange(height)[:, None] >= moment * height)).sum(axis=1)
    path -= (path.min() + path.max()) / 2
    path /= np.abs(path).max()

    def warp(share: float) -> WarpRow:
        return rows(share * width * path)

    return Realisation(lambda share: warp_image(scene.image, warp(share), scene.background), warp)


def _oct_defocus(scene: Scene, rng: np.random.Generator) -> Realisation:
    """The beam's focus misses the retina: lateral blur that depends on depth, and less light coming back.

    With u(z) the distance from the focus in Rayleigh ranges and u'(z) = u(z) + s after defocus by s: the beam's width
    w(z) = w0 * sqrt(1 + u^2) grows, and each row is convolved with the Gaussian that makes up the difference in
    w^2; fibre and lens collect 1 / (1 + (u / 2)^2) of the light, which takes
    255 / 40 * 10 log10((1 + (u' / 2)^2) / (1 + (u / 2)^2)) grey levels, down to the noise floor. Depth resolution comes
    from the spectrum of the light and stays: nothing blurs across rows. The focus of the clean image and the direction
    of the miss are drawn once.

    Source: van Leeuwen, Faber, Aalders, "Measurement of the axial point spread function in scattering media using
    single-mode fiber-based optical coherence tomography", IEEE Journal of Selected Topics in Quantum Electronics 9,
    2003.
    """
    height, width = scene.image.shape[:2]
    clean = scene.image.astype(np.float32)
    floor = _noise_floor(scene.image, _surface(scene.image), rng)
    planes = clean if clean.ndim == 2 else np.ascontiguousarray(clean.transpose(2, 0, 1))
    spectrum = fft.dct(planes, axis=-1, norm="ortho")
    focus, side = rng.uniform(0.3, 0.7), 1 if rng.random() < 0.5 else -1
    before = side * _RAYLEIGH_RANGES * ((np.arange(height) + 0.5) / height - focus)
    frequency = ((np.pi * np.arange(width) / width) ** 2 / 2).astype(np.float32)

    def render(defocus: float) -> Image:
        after = before + defocus
        # Where the miss brings a depth into focus, the clean image cannot tell what would be seen: it stays.
        broadening = np.maximum(after**2 - before**2, 0) * (_SPOT * width) ** 2
        loss = np.maximum(10 * _GREY_PER_DB * np.log10((4 + after**2) / (4 + before**2)), 0).astype(np.float32)
        gain = np.exp(np.outer(broadening.astype(np.float32), -frequency))
        blurred = np.asarray(fft.idct(spectrum * gain, axis=-1, norm="ortho", overwrite_x=True), dtype=np.float32)
        blurred -= loss[:, None]
        if clean.ndim == 3:
            blurred = blurred.transpose(1, 2, 0)
        return to_uint8(np.maximum(blurred, floor))

    return Realisation(render)


def _oct_speckle(scene: Scene, rng: np.random.Generator) -> Realisation:
    """Light scattered back from within one resolution cell interferes: grain that multiplies the intensity.

    In intensity J' = J * (1 + C * (e - 1)), with e = |a|^2 the fully developed speckle of a circular complex Gaussian
    field a, of mean and contrast 1 and drawn once, correlated over one to two pixels; so the contrast of the grain is
    C. On the logarithmic display this adds 255 / 40 * 10 log10(1 + C * (e - 1)) grey levels, alike for all channels.

    Source: Schmitt, Xiang, Yung, "Speckle in optical coherence tomography", Journal of Biomedical Optics 4, 1999;
    Goodman, Speckle Phenomena in Optics, Roberts 2007.
    """
    height, width = scene.image.shape[:2]
    grain = max(0.6, 0.003 * min(height, width))
    field = rng.standard_normal((height, width, 2), dtype=np.float32)
    field = np.asarray(cv2.GaussianBlur(field, (0, 0), grain, borderType=cv2.BORDER_REFLECT), dtype=np.float32)
    speckle = (field**2).sum(axis=2)
    speckle = speckle / np.float32(speckle.mean(dtype=np.float64)) - 1
    clean = scene.image.astype(np.float32)
    grey_per_neper = np.float32(10 * _GREY_PER_DB / np.log(10))

    def render(contrast: float) -> Image:
        added = speckle * np.float32(contrast)
        added += 1
        np.maximum(added, np.float32(_DEEPEST_FADE), out=added)
        np.log(added, out=added)
        added *= grey_per_neper
        return to_uint8(clean + (added if clean.ndim == 2 else added[..., None]))

    return Realisation(render)


_OCT: frozenset[Modality] = frozenset({"oct"})

OCT_SHADOW = Perturbation(
    "oct_shadow",
    _oct_shadow,
    unit="share of A-scans below vessels",
    mildest=0.002,
    typical=0.43,
    strongest=1,
    modalities=_OCT,
)
OCT_BLINK = Perturbation(
    "oct_blink", _oct_blink, unit="share of scan lines", mildest=0.001, typical=0.26, strongest=1, modalities=_OCT
)
OCT_ROW_MOTION = Perturbation(
    "oct_row_motion",
    _oct_row_motion,
    unit="largest shift, share of the width",
    mildest=0,
    typical=0.06,
    strongest=0.5,
    table=(0.02, 0.04, 0.06, 0.10, 0.15),
    moves_pixels=True,
    modalities=_OCT,
)
OCT_DEFOCUS = Perturbation(
    "oct_defocus", _oct_defocus, unit="Rayleigh ranges", mildest=0.01, typical=2, strongest=100, modalities=_OCT
)
OCT_SPECKLE = Perturbation(
    "oct_speckle",
    _oct_speckle,
    unit="contrast of the speckle",
    mildest=0.005,
    typical=0.3,
    strongest=1,
    modalities=_OCT,
)

TYPES = (OCT_SHADOW, OCT_BLINK, OCT_ROW_MOTION, OCT_DEFOCUS, OCT_SPECKLE)
