"""Dermoscopy: vignette, glare and hair do what a dermatologist knows them by."""

import cv2
import numpy as np
import pytest

from medstress.perturb.calibrate import calibrate
from medstress.perturb.dermoscopy import HAIR, LIGHT_REFLECTION, TYPES, VIGNETTE
from medstress.perturb.protocol import Scene
from medstress.perturb.ssim import StructuralSimilarity
from medstress.seeds import generator

every = pytest.mark.parametrize("perturbation", TYPES, ids=lambda item: item.name)


def skin(height=160, width=200):
    """A dark lesion with a soft border on bright, grainy skin, uint8 [H, W, 3]."""
    rows, columns = np.indices((height, width))
    inside = 1 / (1 + np.exp((np.hypot(rows - height / 2, columns - width / 2) - height / 4) / 4))
    grain = cv2.GaussianBlur(generator(8).standard_normal((height, width)), (0, 0), 1.2) * 40
    colour = np.array([215, 170, 150]) - inside[..., None] * np.array([110, 105, 100]) + grain[..., None]
    return np.clip(np.rint(colour), 0, 255).astype(np.uint8)


def drawn(perturbation, image, seed=3):
    return perturbation.realise(Scene(image, modality="dermoscopy"), generator(seed))


@every
@pytest.mark.parametrize("colour", [True, False], ids=["colour", "grey"])
def test_ssim_falls_steadily_and_every_band_is_reached(perturbation, colour):
    image = skin() if colour else np.ascontiguousarray(skin()[..., 1])
    realisation = drawn(perturbation, image)
    similarity = StructuralSimilarity(image)
    values = [similarity(realisation.render(s)) for s in np.geomspace(perturbation.mildest, perturbation.strongest, 60)]
    assert values[0] > 0.98
    reached = np.array([value for value in values if value > 0.5])
    assert np.diff(reached).max() < 0.005
    assert np.diff(reached).min() > -0.2
    cells = calibrate(perturbation, realisation, image, (1, 2, 3, 4, 5))
    assert [cell.status for cell in cells] == ["in_band"] * 5
    assert all(np.diff([cell.strength for cell in cells]) > 0)


@every
def test_the_mildest_strength_changes_almost_nothing(perturbation):
    image = skin()
    mild = drawn(perturbation, image).render(perturbation.mildest)
    assert np.abs(mild.astype(int) - image).mean() < 0.6


@pytest.mark.parametrize("perturbation", [VIGNETTE, LIGHT_REFLECTION], ids=lambda item: item.name)
def test_a_colourless_picture_in_colour_is_treated_as_the_grey_one(perturbation):
    grey = np.ascontiguousarray(skin()[..., 1])
    colour = np.stack([grey] * 3, axis=-1)
    strength = perturbation.typical
    assert np.array_equal(
        drawn(perturbation, colour).render(strength),
        np.stack([drawn(perturbation, grey).render(strength)] * 3, axis=-1),
    )


def test_a_vignette_darkens_with_distance_and_loses_the_stops_it_says():
    white = np.full((121, 161, 3), 255, np.uint8)
    out = drawn(VIGNETTE, white).render(4.0)[..., 0].astype(int)
    y, x = np.argwhere(out == out.max()).mean(axis=0)
    rows, columns = np.indices(out.shape)
    distance = np.hypot(rows - y, columns - x)
    assert abs(y - 60) < 0.1 * 121
    assert abs(x - 80) < 0.1 * 161
    rings = [out[(distance >= inner) & (distance < inner + 4)].mean() for inner in range(0, int(distance.max()) - 4, 4)]
    assert max(np.diff(rings)) <= 0
    # Four stops leave a sixteenth of the light; the middle keeps all of it.
    assert (out.min() / 255) ** 2.2 == pytest.approx(1 / 16, rel=0.05)
    assert out.max() == 255


def test_a_vignette_is_as_strong_in_every_channel():
    image = np.zeros((80, 80, 3), np.uint8)
    image[...] = (200, 100, 50)
    out = drawn(VIGNETTE, image).render(6.0).astype(float)
    bright = out[..., 2] > 20
    assert np.abs(out[bright, 0] / out[bright, 2] - 4).max() < 0.15


def test_glare_only_adds_light_saturates_and_grows_in_extent():
    image = skin()
    realisation = drawn(LIGHT_REFLECTION, image)
    mild, severe = (realisation.render(luminance) for luminance in (2.0, 40.0))
    assert np.all(mild.astype(int) - image >= -1)
    assert np.all(severe >= mild)
    saturated = [(out == 255).all(axis=2).mean() for out in (image, mild, severe)]
    assert saturated[0] == 0
    assert 0.003 < saturated[1] < 0.06
    assert saturated[2] > 3 * saturated[1]


def test_no_glare_comes_from_behind_the_field_stop():
    image = skin(160, 160)
    rows, columns = np.indices((160, 160))
    outside = np.hypot(rows - 80, columns - 80) > 70
    image[outside] = 0
    out = drawn(LIGHT_REFLECTION, image).render(30.0)
    assert not out[np.hypot(rows - 80, columns - 80) > 80].any()
    assert (out[~outside] > image[~outside]).mean() > 0.5


def test_hairs_stay_where_they_are_while_others_are_added():
    image = skin()
    realisation = drawn(HAIR, image)
    few, half, more, many = (realisation.render(count) for count in (4.0, 4.5, 5.0, 60.0))
    touched = [np.abs(out.astype(int) - image).max(axis=2) > 30 for out in (few, more, many)]
    assert 0 < touched[0].sum() < touched[1].sum() < touched[2].sum()
    assert not np.any(touched[0] & ~touched[2])
    # Later hairs lie below earlier ones: at most they darken the pixels that those cover in part.
    assert np.all(many[touched[0]] <= few[touched[0]])
    # The fifth hair fades in: at 4.5 it is half as dark.
    fifth = np.abs(more.astype(int) - few).max(axis=2) > 40
    assert fifth.any()
    faded = (few.astype(float) - half)[fifth].sum() / (few.astype(float) - more)[fifth].sum()
    assert faded == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("side", [64, 256, 1024])
def test_hairs_are_as_wide_on_every_size_and_have_smooth_edges(side):
    image = np.full((side, side), 200, np.uint8)
    out = drawn(HAIR, image).render(10.0)
    covered = (200 - out.astype(float)).sum() / (200 - 45) / side**2
    assert 0.01 < covered < 0.05
    partly = np.mean((out > out.min() + 25) & (out < 190))
    assert partly > 0.05 * np.mean(out < 190)


def test_hair_is_dark_on_skin_and_white_on_a_dark_image():
    assert drawn(HAIR, np.full((90, 90), 180, np.uint8)).render(30.0).max() == 180
    assert drawn(HAIR, np.full((90, 90), 20, np.uint8)).render(30.0).min() == 20
