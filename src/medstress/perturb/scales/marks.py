"""Marks on the picture, after MedMNIST-C: ink, bubbles, a dark rim and writing.

Lengths are in pixels of an image whose shorter side is 224; they grow with the image, except with `compat`. Which
marks, where and how is drawn once; a level shows the first so many of them.
"""

import cv2
import numpy as np
import numpy.typing as npt

from medstress.perturb.protocol import Scene
from medstress.perturb.scales.protocol import Drawn, Severity
from medstress.pixels import Image

Mask = npt.NDArray[np.bool_]

REFERENCE_SIDE = 224
_MARGIN = 10
_FEWEST_BUBBLES = 7
_SMALLEST_BUBBLE = 3
_BUBBLE_ALPHA, _RIM_ALPHA, _RIM = 100, 130, 2
_FEWEST_LETTERS = 3
_SMALLEST_SCRIPT = 0.14
_FONT = cv2.FONT_HERSHEY_DUPLEX
_LUMA = np.array([0.299, 0.587, 0.114])
# Most marks of a kind, for a tenfold multiplier on the largest published count.
_MOST_INK, _MOST_BUBBLES, _MOST_WORDS, _MOST_LETTERS = 50, 250, 60, 100


def unit(scene: Scene, compat: bool) -> float:
    """How many pixels a published pixel is."""
    return 1 if compat else min(scene.image.shape[:2]) / REFERENCE_SIDE


def _between(fraction: float, first: float, last: float) -> int:
    """A whole number from first to last, by a uniform number; grows with `last`."""
    return int(first + fraction * (max(last - first, 0) + 1))


def _start(fraction: float, side: int, mark: float, margin: float) -> int:
    """Where a mark starts on a side, at least `margin` from both ends where there is room for that."""
    kept = max(0, min(margin, (side - mark) / 2))
    return max(0, round(kept + fraction * (side - mark - 2 * kept)))


def ink_mask(coarse: npt.NDArray[np.float32], fine: npt.NDArray[np.float32], side: int) -> Mask:
    """A drop of ink with a ragged rim and specks around it: bool [side, side].

    coarse, fine: two fields of normal numbers of any size; how far the rim is from the centre varies with their sum.
    """
    place = (np.arange(side) + 0.5) / side * 2 - 1
    distance = np.hypot(place[:, None], place[None, :])
    wide = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    narrow = cv2.resize(fine, (side, side), interpolation=cv2.INTER_LINEAR)
    return np.asarray(distance + 0.09 * wide + 0.07 * narrow < 0.72)


def stain_deposit(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """One to m black drops of ink on the slide, at least 10 pixels from its border. Severity: m, side of a drop.

    The drops are generated, not those of the publication.
    Quirk: sides do not grow with the image, and are 24 pixels at levels 1 to 4 and 32 at level 5.
    """
    height, width = scene.image.shape[:2]
    number, places = rng.random(), rng.random((_MOST_INK, 2))
    coarse = rng.standard_normal((_MOST_INK, 7, 7), dtype=np.float32)
    fine = rng.standard_normal((_MOST_INK, 24, 24), dtype=np.float32)
    pixel = unit(scene, compat)

    def render(severity: Severity) -> Image:
        most, side = severity
        length = min(max(1, round(side * pixel)), height, width)
        stained = scene.image.copy()
        for index in range(min(_between(number, 1, int(most)), _MOST_INK)):
            left = _start(places[index, 0], width, length, _MARGIN * pixel)
            top = _start(places[index, 1], height, length, _MARGIN * pixel)
            stained[top : top + length, left : left + length][ink_mask(coarse[index], fine[index], length)] = 0
        return stained

    return Drawn(render)


def bubble(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Seven to n pale discs with a brighter rim, radius 3 to r; one covers another. Severity: r, n.

    Quirk: radii do not grow with the image.
    """
    height, width = scene.image.shape[:2]
    number, draws = rng.random(), rng.random((_MOST_BUBBLES, 3))
    pixel = unit(scene, compat)
    levels = np.arange(256)
    inside, rim = (
        cv2.LUT(scene.image, np.rint(levels + (255 - levels) * alpha / 255).astype(np.uint8))
        for alpha in (_BUBBLE_ALPHA, _RIM_ALPHA)
    )

    def render(severity: Severity) -> Image:
        largest, most = severity
        discs = np.zeros((height, width), np.uint8)
        for x, y, size in draws[: _between(number, _FEWEST_BUBBLES, int(most))]:
            radius = round(_between(size, _SMALLEST_BUBBLE, int(largest)) * pixel)
            centre = _start(x, width, 2 * radius, 0) + radius, _start(y, height, 2 * radius, 0) + radius
            cv2.circle(discs, centre, radius, _RIM_ALPHA, cv2.FILLED)
            cv2.circle(discs, centre, max(0, radius - max(1, round(_RIM * pixel))), _BUBBLE_ALPHA, cv2.FILLED)
        bubbled = scene.image.copy()
        cv2.copyTo(inside, (discs == _BUBBLE_ALPHA).view(np.uint8), bubbled)
        cv2.copyTo(rim, (discs == _RIM_ALPHA).view(np.uint8), bubbled)
        return bubbled

    return Drawn(render)


def black_corner(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """All is black beyond a disc about the centre, as seen through a dermatoscope. Severity: f, of the shorter side.

    The radius is f * side / 2. Published levels 4 and 5 are exchanged, so that level 5 is the stronger.
    Quirk: level 5 is milder than level 4; the centre is half a pixel to the lower right; the radius is cut off.
    """
    height, width = scene.image.shape[:2]
    centre_y, centre_x = (height // 2, width // 2) if compat else ((height - 1) / 2, (width - 1) / 2)
    squares = (np.arange(height)[:, None] - centre_y) ** 2 + (np.arange(width)[None, :] - centre_x) ** 2

    def render(severity: Severity) -> Image:
        radius = severity[0] * min(height, width) / 2
        outside = squares > (int(radius) if compat else radius) ** 2
        cornered = scene.image.copy()
        cornered[outside] = 0
        return cornered

    return Drawn(render)


def characters(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """One to w words of 3 to l random small letters, each in a colour and size of its own.

    Severity: w, l, largest size. The font is OpenCV's DUPLEX, from .14 of its size; OpenCV 5 draws it with other
    glyphs than OpenCV 4.
    Quirk: letters do not grow with the image.
    """
    height, width = scene.image.shape[:2]
    number, draws = rng.random(), rng.random((_MOST_WORDS, 4))
    letters = rng.integers(ord("a"), ord("z") + 1, (_MOST_WORDS, _MOST_LETTERS), dtype=np.uint8)
    colours = rng.integers(0, 256, (_MOST_WORDS, 3)).astype(np.float64)
    if scene.image.ndim == 2:
        colours = np.rint((colours * _LUMA).sum(axis=1, keepdims=True))
    pixel = unit(scene, compat)
    thickness = max(1, round(pixel))

    def render(severity: Severity) -> Image:
        words, most_letters, largest = severity
        written = scene.image.copy()
        for index in range(min(_between(number, 1, int(words)), _MOST_WORDS)):
            x, y, length, size = draws[index]
            text = letters[index, : _between(length, _FEWEST_LETTERS, int(most_letters))].tobytes().decode()
            script = (_SMALLEST_SCRIPT + size * max(largest - _SMALLEST_SCRIPT, 0)) * pixel
            (wide, high), _ = cv2.getTextSize(text, _FONT, script, thickness)
            left = _start(x, width, wide, _MARGIN * pixel)
            base = _start(y, height, high, _MARGIN * pixel) + high
            cv2.putText(written, text, (left, base), _FONT, script, colours[index].tolist(), thickness)
        return written

    return Drawn(render)
