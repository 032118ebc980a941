"""Structural similarity against one clean image, many times.

Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to structural similarity", IEEE TIP
2004, with the settings of scikit-image's `structural_similarity(..., data_range=255)`: a 7x7 uniform window, sample
covariance, K1 = 0.01, K2 = 0.03, mean over the windows that lie inside the image, mean over channels.

Speed comes from integers and reuse. Window sums of 8-bit images and their products are exact in 32 bits, so nothing
needs float64; the clean image's sums are computed once; buffers are allocated once and passes stay in cache.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from medstress.pixels import Image

_WINDOW = 7
_PIXELS = _WINDOW * _WINDOW
_MARGIN = _WINDOW // 2
_C1 = (0.01 * 255) ** 2
_C2 = (0.03 * 255) ** 2
# With S the window sum, mean = S/n and sample covariance = (n*Sxy - Sx*Sy) / (n*(n-1)); both fractions of the SSIM are
# multiplied through by n^2 and n*(n-1), so that all sums stay integers.
_C1_SUMS = np.float32(_C1 * _PIXELS**2)
_C2_SUMS = np.float32(_C2 * _PIXELS * (_PIXELS - 1))
# An SSIM lies in -1..1; 30 fractional bits are finer than float32 and fit 32-bit integers.
_FIXED_POINT = 2.0**30

# Pixels worked on at a time: few enough to stay in the cache, whatever the image's size.
_STRIP = 2**16

_Ints = npt.NDArray[np.int32]
_Floats = npt.NDArray[np.float32]


def _window_sums(values: npt.NDArray[np.uint16]) -> _Ints:
    """Sums over 7x7 windows, int32 [H - 6, W] (the outer three columns are not whole windows)."""
    sums = cv2.boxFilter(values, cv2.CV_32S, (_WINDOW, _WINDOW), normalize=False, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(sums, dtype=np.int32)[_MARGIN:-_MARGIN]


@dataclass(frozen=True)
class _CleanChannel:
    """What one channel of the clean image contributes."""

    pixels: npt.NDArray[np.uint16]
    sums: _Ints
    squared_sums: _Ints
    variance: _Ints


@dataclass(frozen=True)
class _Buffers:
    """What comparisons write to; channels take turns."""

    integers: tuple[_Ints, _Ints, _Ints]
    floats: tuple[_Floats, _Floats]


def _clean_channel(channel: npt.NDArray[np.uint8]) -> _CleanChannel:
    pixels = channel.astype(np.uint16)
    sums = _window_sums(pixels)
    squared = sums * sums
    variance = _PIXELS * _window_sums(pixels * pixels) - squared
    return _CleanChannel(pixels, sums, squared, variance)


def _buffers(shape: tuple[int, ...]) -> _Buffers:
    product, energy, spread = (np.empty(shape, np.int32) for _ in range(3))
    return _Buffers((product, energy, spread), (np.empty(shape, np.float32), np.empty(shape, np.float32)))


def _strip_sum(clean: _CleanChannel, channel: npt.NDArray[np.uint8], first: int, buffers: _Buffers) -> int:
    """The SSIM of the windows of some rows, in fixed point, summed. The strip begins at row `first` of the windows."""
    rows = min(len(buffers.floats[0]), len(clean.sums) - first)
    inside, reach = slice(first, first + rows), slice(first, first + rows + 2 * _MARGIN)
    pixels, clean_pixels = channel[reach].astype(np.uint16), clean.pixels[reach]
    sums = _window_sums(pixels)
    product, energy, spread = (buffer[:rows] for buffer in buffers.integers)
    upper, lower = (buffer[:rows] for buffer in buffers.floats)
    np.multiply(clean.sums[inside], sums, out=product)
    np.multiply(sums, sums, out=energy)
    # variances: n*(Sxx + Syy) - Sx^2 - Sy^2
    np.multiply(_window_sums(pixels * pixels), _PIXELS, out=spread)
    spread += clean.variance[inside]
    spread -= energy
    energy += clean.squared_sums[inside]
    np.add(energy, _C1_SUMS, out=lower, casting="unsafe", dtype=np.float32)
    np.add(spread, _C2_SUMS, out=upper, casting="unsafe", dtype=np.float32)
    lower *= upper
    # covariance: n*Sxy - Sx*Sy
    np.multiply(_window_sums(clean_pixels * pixels), _PIXELS, out=spread)
    spread -= product
    product *= 2
    spread *= 2
    np.add(product, _C1_SUMS, out=upper, casting="unsafe", dtype=np.float32)
    upper /= lower
    np.add(spread, _C2_SUMS, out=lower, casting="unsafe", dtype=np.float32)
    upper *= lower
    # Summed as integers: a sum of floats may depend on how the buffer happens to lie in memory.
    upper *= _FIXED_POINT
    np.copyto(product, upper, casting="unsafe")
    return int(product[:, _MARGIN:-_MARGIN].sum(dtype=np.int64))


def _channel_ssim(clean: _CleanChannel, channel: npt.NDArray[np.uint8], buffers: _Buffers) -> float:
    rows, width = clean.sums.shape
    total = sum(_strip_sum(clean, channel, first, buffers) for first in range(0, rows, len(buffers.floats[0])))
    windows = int(rows * (width - 2 * _MARGIN))
    return total / _FIXED_POINT / windows


class StructuralSimilarity:
    """SSIM of images against `clean`, uint8 [H, W] or [H, W, C], sides of at least 7 pixels.

    Not for use from several threads at once: comparisons share buffers.
    """

    def __init__(self, clean: Image) -> None:
        if min(clean.shape[:2]) < _WINDOW:
            raise ValueError(f"SSIM needs at least {_WINDOW}x{_WINDOW} pixels, not {clean.shape[1]}x{clean.shape[0]}")
        self._shape = clean.shape
        self._channels = [_clean_channel(channel) for channel in _channels_of(clean)]
        rows, width = self._channels[0].sums.shape
        self._buffers = _buffers((min(rows, max(_MARGIN, _STRIP // width)), width))

    def __call__(self, image: Image) -> float:
        """The SSIM of an image of the same shape and type; 1 for equality. Raises ValueError for another shape."""
        if image.shape != self._shape or image.dtype != np.uint8:
            raise ValueError(f"expected uint8 {self._shape}, got {image.dtype} {image.shape}")
        pairs = zip(self._channels, _channels_of(image), strict=True)
        return sum(_channel_ssim(clean, channel, self._buffers) for clean, channel in pairs) / len(self._channels)


def _channels_of(image: Image) -> list[npt.NDArray[np.uint8]]:
    return [image] if image.ndim == 2 else [image[..., index] for index in range(image.shape[2])]
