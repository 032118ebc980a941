"""Saturation, and the closed forms of hue, saturation and value."""

import dataclasses

import numpy as np
import pytest
from skimage import color

from medstress.perturb.calibrate import calibrate
from medstress.perturb.colour import SATURATE, hsv_saturation, hsv_value
from medstress.perturb.protocol import Scene
from medstress.seeds import generator
from tests.conftest import images_of

LEVELS = [1, 2, 3, 4, 5]


@pytest.fixture(scope="module")
def colours():
    """Every kind of colour: random ones, greys, black, white, the pure ones."""
    image = generator(1).integers(0, 256, (64, 48, 3)).astype(np.uint8)
    image[:8] = np.arange(0, 256, 5)[:48, None]
    image[8:10] = 0
    image[10:12] = 255
    image[12:20, ::3] = 255 * (np.indices((8, 16, 3))[2] == np.arange(8)[:, None, None] % 3)
    return image


@pytest.mark.parametrize("factor, offset", [(0.3, 0), (0.1, 0), (1, 0), (2, 0), (5, 0.1), (20, 0.2), (1, 0.25), (0, 0)])
def test_saturation_equals_the_way_through_hsv(colours, factor, offset):
    hsv = color.rgb2hsv(colours)
    hsv[..., 1] = np.clip(factor * hsv[..., 1] + offset, 0, 1)
    assert np.abs(hsv_saturation(colours, factor, offset) - 255 * color.hsv2rgb(hsv)).max() < 1


@pytest.mark.parametrize("factor, offset", [(1, 0.1), (1, 0.5), (1, 0), (0.5, 0), (1.7, 0.05), (1, -0.2)])
def test_value_equals_the_way_through_hsv(colours, factor, offset):
    hsv = color.rgb2hsv(colours)
    hsv[..., 2] = np.clip(factor * hsv[..., 2] + offset, 0, 1)
    assert np.abs(hsv_value(colours, factor, offset) - 255 * color.hsv2rgb(hsv)).max() < 1


def test_no_change_of_saturation_or_value_is_the_image(colours):
    assert np.array_equal(np.rint(hsv_saturation(colours, 1, 0)), colours)
    assert np.array_equal(np.rint(hsv_value(colours, 1, 0)), colours)


def test_colours_move_away_from_their_luma(colours):
    vivid = SATURATE.realise(Scene(colours), generator(2)).render(0.5).astype(float)
    luma = colours @ np.array([0.299, 0.587, 0.114])
    inside = ((vivid > 0) & (vivid < 255)).all(axis=-1)
    assert inside.sum() > 500
    assert np.abs(vivid - luma[..., None] - 1.5 * (colours - luma[..., None]))[inside].max() <= 0.51
    assert np.abs(vivid @ np.array([0.299, 0.587, 0.114]) - luma)[inside].max() <= 0.51


@pytest.mark.parametrize("channels", [None, 3])
def test_on_grey_images_nothing_changes_and_the_search_ends_soon(real_images, channels):
    grey = real_images["brain_anatomy"]
    image = grey if channels is None else np.repeat(grey[..., None], channels, axis=2)
    realisation = SATURATE.realise(Scene(image), generator(3))
    tried = []

    def render(strength):
        tried.append(strength)
        return realisation.render(strength)

    cells = calibrate(SATURATE, dataclasses.replace(realisation, render=render), image, LEVELS)
    for cell in cells:
        assert (cell.status, cell.ssim) == ("unreachable", pytest.approx(1, abs=1e-6))
        assert np.array_equal(cell.image, image)
    assert len(tried) <= 12


@pytest.mark.parametrize("modality", ["pathology", "fundus"])
def test_every_band_is_reached_on_real_colours(modality):
    colour = {name: image for name, image in images_of(modality).items() if image.ndim == 3}
    assert colour
    for name, image in colour.items():
        cells = calibrate(SATURATE, SATURATE.realise(Scene(image), generator(4)), image, LEVELS)
        assert [cell.status for cell in cells] == ["in_band"] * 5, name
