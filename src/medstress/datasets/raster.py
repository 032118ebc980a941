"""PNG, JPEG, TIFF and NPY files."""

import zlib
from pathlib import Path

import cv2
import numpy as np
import tifffile

from medstress.datasets.candidate import BadSampleError
from medstress.datasets.picture import Picture, Values

_PNG_PALETTE = 3
_SAVE_PLAIN = "Save it as grey or RGB, without an alpha channel: no key of the card chooses channels."


def read_png(path: Path) -> Picture:
    """A PNG file. Colour stays colour, palettes become colour, full transparency is dropped."""
    return _png(path, path.read_bytes())


def picture_in(where: Path, data: bytes) -> Picture:
    """The PNG or JPEG picture that some bytes are. Raises BadSampleError naming `where`."""
    if data.startswith(b"\xff\xd8"):
        return _jpeg(where, data)
    return _png(where, data)


def _png(path: Path, data: bytes) -> Picture:
    bits, colour = _check_png(path, data)
    mapped = bits < 8 or colour == _PNG_PALETTE
    return Picture(_decode(path, data), "mapped" if mapped else "exact")


def _check_png(path: Path, data: bytes) -> tuple[int, int]:
    """Bit depth and colour type. Checked here, since decoders may make half an image of a damaged file."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        raise BadSampleError(path, "unreadable: this is not a PNG file")
    position, kind = 8, b""
    while kind != b"IEND":
        length = int.from_bytes(data[position : position + 4], "big")
        kind, end = data[position + 4 : position + 8], position + 12 + length
        if end > len(data):
            raise BadSampleError(path, "unreadable: the PNG file is truncated. Copy it again.")
        if zlib.crc32(data[position + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise BadSampleError(path, "unreadable: the PNG file is damaged (checksum). Copy it again.")
        position = end
    return data[24], data[25]


def read_jpeg(path: Path) -> Picture:
    """A JPEG file, as stored: a rotation in its EXIF data is not applied, since masks do not carry one."""
    return _jpeg(path, path.read_bytes())


def _jpeg(path: Path, data: bytes) -> Picture:
    # A few bytes may follow the end mark; without one the lower part of the image is missing.
    if not data.startswith(b"\xff\xd8") or b"\xff\xd9" not in data[-1024:]:
        raise BadSampleError(path, "unreadable: the JPEG file is truncated or is not one. Copy it again.")
    return Picture(_decode(path, data), "lossy")


def _decode(path: Path, data: bytes) -> Values:
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        decoded = None
    if decoded is None or not decoded.size:
        raise BadSampleError(path, "unreadable: the file cannot be decoded. Copy it again.")
    if decoded.ndim == 3:
        order = [2, 1, 0, 3] if decoded.shape[2] == 4 else [2, 1, 0]
        return colour_or_grey(path, decoded[..., order])
    return decoded


def colour_or_grey(path: Path, values: Values) -> Values:
    """Values [H, W, C] as [H, W] or [H, W, 3]. Raises BadSampleError for another number of channels or transparency."""
    channels = values.shape[2]
    if channels in (2, 4):
        opaque = np.iinfo(values.dtype).max if values.dtype.kind == "u" else values[..., -1].max()
        if np.any(values[..., -1] != opaque):
            raise BadSampleError(path, f"has {channels} channels, with transparent pixels in the last. {_SAVE_PLAIN}")
        channels -= 1
        values = values[..., :channels]
    if channels == 1:
        return np.ascontiguousarray(values[..., 0])
    if channels != 3:
        raise BadSampleError(path, f"has {channels} channels. {_SAVE_PLAIN}")
    return np.ascontiguousarray(values)


def read_tiff(path: Path) -> Picture:
    """A TIFF file of one page, grey or RGB, integer or float. White-is-zero files come inverted."""
    with tifffile.TiffFile(path) as opened:
        page = _only_page(path, opened)
        lossy = page.compression in (tifffile.COMPRESSION.JPEG, tifffile.COMPRESSION.OJPEG)
        inverted = page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
        try:
            values = page.asarray()
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            # tifffile brings no LZW or JPEG decoder; OpenCV does, and turns white-is-zero around by itself.
            values, inverted = _decode(path, path.read_bytes()), False
        else:
            if page.axes == "SYX":
                values = np.moveaxis(values, 0, -1)
            if values.ndim == 3:
                values = colour_or_grey(path, values)
            if values.dtype == np.bool_:
                values = values.astype(np.uint8) * 255
    return Picture(values, "lossy" if lossy else "exact", inverted=inverted)


def _only_page(path: Path, opened: tifffile.TiffFile) -> tifffile.TiffPage:
    if not opened.pages:
        raise BadSampleError(path, "unreadable: the TIFF file is damaged. Copy it again.")
    if len(opened.pages) > 1:
        raise BadSampleError(path, f"holds {len(opened.pages)} pages. Save one image a file.")
    page = opened.pages.first
    if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
        raise BadSampleError(
            path, "is a palette TIFF. Save it as grey or RGB; for a label map, in grey with one value for each label."
        )
    return page


def read_npy(path: Path) -> Picture:
    """A NumPy file with numbers [H, W] or [H, W, 3]. Files that hold Python objects are refused."""
    return _picture_of(path, _numbers(path, np.load(path, allow_pickle=False)))


def read_npy_layer(path: Path, layer: int) -> Picture:
    """One of the pictures in a NumPy file [N, H, W] or [N, H, W, 3]; no more than it is read."""
    return _picture_of(path, read_npy_planes(path, layer))


def read_npy_planes(path: Path, layer: int) -> Values:
    """What a NumPy file [N, ...] holds at one place of its first axis, of any shape; no more than it is read."""
    stack = _numbers(path, np.load(path, mmap_mode="r", allow_pickle=False))
    if stack.ndim < 3 or layer >= len(stack):
        raise BadSampleError(path, f"has the shape {stack.shape}, so no picture {layer}.")
    return np.array(stack[layer])


def _numbers(path: Path, values: Values) -> Values:
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "buif":
        raise BadSampleError(path, "does not hold an array of real numbers.")
    return values


def _picture_of(path: Path, values: Values) -> Picture:
    shown = values
    if values.ndim == 3 and values.shape[2] in (1, 3):
        shown = colour_or_grey(path, values)
    if shown.ndim not in (2, 3) or (shown.ndim == 3 and shown.shape[2] != 3) or not shown.size:
        raise BadSampleError(path, f"has the shape {values.shape}. Save one image a file, [H, W] or [H, W, 3].")
    return Picture(shown.astype(np.uint8) * 255 if shown.dtype == np.bool_ else shown)
