"""The display window: which intensities of a CT or a radiograph are shown as black and as white."""

import cv2
import numpy as np
import numpy.typing as npt

from medstress.perturb.protocol import Perturbation, Realisation, Scene
from medstress.pixels import Image, to_uint8

_LEVELS = np.arange(256, dtype=np.float32)


def unclipped_grey(scene: Scene) -> npt.NDArray[np.float32]:
    """The image before it was clipped to the window: float32, same shape, 0 and 255 where the window begins and ends.

    Equal to the image where nothing is known beyond it. Where the record has `raw` and a window, intensities outside
    the window add what the clipping took away, so clipping gives back exactly the image.
    """
    grey = scene.image.astype(np.float32)
    if scene.raw is None or scene.window is None:
        return grey
    low, high = scene.window
    shown = (scene.raw - np.float32(low)) * np.float32(255 / (high - low))
    lost = shown - np.clip(shown, 0, 255)
    grey += lost if grey.ndim == 2 else lost[..., None]
    return grey


def _window_level(scene: Scene, rng: np.random.Generator) -> Realisation:
    """The display window is set wrongly: its level is off and its width too narrow.

    With the right window from 0 to R, the centre moves to R / 2 + u * p * R and the width shrinks to
    R * (1 - p / 2); v -> (v - centre) / width + 1 / 2, clipped. The share u of the move, -1 to -1/4 or 1/4 to 1, is
    drawn once; where the mean is not in the middle third of the range, u takes it back towards the middle, since a
    bright image has little to lose to white. Where the record keeps the intensities behind the image, what the right
    window clipped comes into sight; elsewhere 0 stays black and 255 white, as air and metal do.

    Source: display windowing as in DICOM PS3.3 C.11.2.1.2, Window Center and Window Width.
    """
    upwards, size = bool(rng.random() < 0.5), rng.uniform(0.25, 1)
    mean = scene.image.mean()
    if not 85 <= mean <= 170:
        upwards = bool(mean > 127.5)
    move = size if upwards else -size
    wider = scene.raw is not None and scene.window is not None
    shown = unclipped_grey(scene) if wider else scene.image

    def render(share: float) -> Image:
        gain = 1 / (1 - share / 2)
        offset = 127.5 - gain * (127.5 + 255 * move * share)
        if wider:
            return to_uint8(shown * np.float32(gain) + np.float32(offset))
        table = to_uint8(_LEVELS * np.float32(gain) + np.float32(offset))
        table[0], table[255] = 0, 255
        return np.asarray(cv2.LUT(scene.image, table), dtype=np.uint8)

    return Realisation(render)


WINDOW_LEVEL = Perturbation(
    "window_level",
    _window_level,
    unit="share of the window's width",
    mildest=0.005,
    typical=0.3,
    strongest=1.95,
    modalities=frozenset({"ct", "xray"}),
)

TYPES = (WINDOW_LEVEL,)
