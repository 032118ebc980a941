"""Pictures, masks and boxes come to size together."""

import numpy as np
import pytest

from medstress.cards.images import Resize
from medstress.datasets.resize import frame_of, resize_box, resize_image, resize_mask
from medstress.pixels import box_of


def scene() -> tuple[np.ndarray, np.ndarray]:
    image = np.full((60, 120), 40, np.uint8)
    image[20:40, 30:90] = 200
    return image, image == 200


@pytest.mark.parametrize(
    ("mode", "side", "shape", "box"),
    [
        ("none", None, (60, 120), (30, 20, 90, 40)),
        ("stretch", 240, (240, 240), (60, 80, 180, 160)),
        ("longest_side", 240, (120, 240), (60, 40, 180, 80)),
        ("pad", 240, (240, 240), (60, 40, 180, 80)),
        ("pad", 60, (60, 60), (15, 10, 45, 20)),
    ],
)
def test_mask_image_and_box_stay_together(
    mode: str, side: int | None, shape: tuple[int, int], box: tuple[float, ...]
) -> None:
    image, mask = scene()
    frame = frame_of(60, 120, Resize.model_validate({"mode": mode, "side": side}))
    resized, marked = resize_image(image, frame, 9), resize_mask(mask, frame)
    assert resized.shape == marked.shape == shape
    assert resized.dtype == np.uint8
    assert box_of(marked) == box == resize_box((30, 20, 90, 40), frame)
    content = np.s_[: frame.content[0], : frame.content[1]]
    # Bilinear sampling rounds the four corners of the bright field.
    assert ((resized > 120) != marked)[content].sum() <= 4


def test_padding_is_the_background_at_the_right_and_bottom() -> None:
    frame = frame_of(60, 120, Resize(mode="pad", side=240))
    image = np.dstack([scene()[0]] * 3)
    resized = resize_image(image, frame, 9)
    assert (resized[120:] == 9).all()
    assert (resized[:120] != 9).all()


def test_16_bits_stay_16_bits() -> None:
    frame = frame_of(60, 120, Resize(mode="longest_side", side=60))
    resized = resize_image(np.full((60, 120), 3000, np.uint16), frame, 0)
    assert resized.dtype == np.uint16
    assert (resized == 3000).all()
