"""Fundus photographs: uneven light, haze and spots, inside the field of view only."""

import numpy as np
import pytest

from medstress.perturb.calibrate import calibrate
from medstress.perturb.fundus import FUNDUS_HAZE, FUNDUS_ILLUMINATION, FUNDUS_SPOTS, TYPES
from medstress.perturb.light import field_of_view
from medstress.perturb.protocol import Scene
from medstress.seeds import generator
from tests.conftest import images_of

by_name = pytest.mark.parametrize("perturbation", TYPES, ids=lambda item: item.name)
COLOUR = np.array([150, 70, 45], np.uint8)


def eye(height=140, width=160, colour=COLOUR):
    """A plain fundus, black around, and where it is."""
    rows, columns = np.indices((height, width))
    inside = (rows - height / 2) ** 2 + (columns - width / 2) ** 2 < (0.45 * height) ** 2
    return inside[..., None] * colour, inside


def test_the_field_of_view_is_all_but_the_black_around_it():
    image, inside = eye()
    assert np.array_equal(field_of_view(image), inside)
    # A dark macula is part of the eye, and a photograph without black corners is all eye.
    image[60:80, 70:90] = 2
    assert np.array_equal(field_of_view(image), inside)
    assert field_of_view(image[40:100, 50:110]).all()
    assert field_of_view(images_of("fundus")["fundus_1"]).mean() == pytest.approx(np.pi / 4, abs=0.03)


@by_name
def test_what_lies_outside_the_field_of_view_stays_black(perturbation):
    image, inside = eye()
    for seed in range(3):
        realisation = perturbation.realise(Scene(image), generator(seed))
        for strength in np.geomspace(perturbation.mildest, perturbation.strongest, 5):
            assert not realisation.render(strength)[~inside].any()


def test_every_band_is_reached_on_a_real_photograph_as_far_as_a_veil_goes():
    image = images_of("fundus")["fundus_1"]
    for perturbation in TYPES:
        for seed in (1, 2, 3):
            drawn = perturbation.realise(Scene(image), generator(seed))
            cells = calibrate(perturbation, drawn, image, [1, 2, 3, 4, 5])
            # Behind a pale veil a smooth fundus keeps what it shares with the veil.
            last = "unreachable" if perturbation is FUNDUS_HAZE else "in_band"
            assert [cell.status for cell in cells] == ["in_band"] * 4 + [last], perturbation.name


def test_light_is_lost_smoothly_and_alike_in_all_colours():
    image, inside = eye(colour=np.array([120, 100, 80], np.uint8))
    for seed in range(3):
        out = FUNDUS_ILLUMINATION.realise(Scene(image), generator(seed)).render(2).astype(float)
        gain = out[inside] / np.array([120, 100, 80])
        assert np.ptp(gain, axis=1).max() < 0.5 * (1 / 80 + 1 / 100) + 1e-6
        assert np.log2(gain[:, 0].max() / gain[:, 0].min()) == pytest.approx(2, abs=0.06)
        assert gain.max() > 1
        middle = out[40:100, 50:110, 0]
        assert np.abs(np.diff(middle, axis=0)).max() <= 5
        assert np.abs(np.diff(middle, axis=1)).max() <= 5


def test_haze_follows_optical_depth_and_takes_no_black_from_outside():
    """On a plain eye blur does nothing, so every channel shows the same transmission, up to the edge."""
    image, inside = eye()
    veil = 0.2 * COLOUR + 0.8 * np.array([255, 226, 196])
    depths = []
    for seed in range(8):
        out = FUNDUS_HAZE.realise(Scene(image), generator(seed)).render(0.8)[inside].astype(float)
        transmission = (veil - out) / (veil - COLOUR)
        assert np.ptp(transmission, axis=1).max() < 0.5 * (1 / 84 + 1 / 120) + 2e-3
        depths.append(-np.log(transmission[:, 2]).mean())
    assert np.mean(depths) == pytest.approx(0.8, rel=0.1)


def test_the_thickest_haze_is_pale_and_leaves_a_ghost_of_the_optic_disc():
    image = images_of("fundus")["fundus_1"]
    out = FUNDUS_HAZE.realise(Scene(image), generator(1)).render(FUNDUS_HAZE.strongest).astype(float)
    red, green, blue = out[field_of_view(image)].mean(axis=0)
    assert 255 > red > green > blue > 100
    disc, beside = out[140:160, 46:66, 1].mean(), out[140:160, 96:116, 1].mean()
    assert 8 < disc - beside < 40


def test_haze_blurs_what_is_sharp():
    image, inside = eye()
    image[inside] += (generator(3).integers(0, 2, inside.sum()) * 40).astype(np.uint8)[:, None]
    clean = image[50:90, 60:100, 1].astype(float)
    hazy = FUNDUS_HAZE.realise(Scene(image), generator(1)).render(0.7)[50:90, 60:100, 1].astype(float)
    # Contrast falls by more than the veil alone explains: exp(-0.7 * 1.35) is the clearest that could be.
    assert np.diff(hazy, axis=1).std() / np.diff(clean, axis=1).std() < np.exp(-0.7 * 0.65) * 0.8


def test_spots_are_small_translucent_dark_and_pale_and_become_more():
    image, inside = eye(height=300, width=300, colour=np.array([128, 128, 128], np.uint8))
    for seed in range(3):
        realisation = FUNDUS_SPOTS.realise(Scene(image), generator(seed))
        few = realisation.render(32)[inside].astype(int)
        # One spot lets through exp(-.5) at least; here and there two or three overlap.
        assert 128 * np.exp(-1.5) < few.min() < 115
        assert 140 < few.max() < 220
        before, shares = np.zeros(inside.shape, dtype=bool), []
        for count in (8, 12, 40, 160, 640):
            touched = (np.abs(realisation.render(count)[..., 0].astype(int) - 128) > 2) & inside
            # What a dark spot takes a pale one on top may give back.
            assert (before & ~touched).sum() < 0.05 * touched.sum()
            shares.append(touched.sum() / inside.sum())
            before = touched
        assert np.all(np.diff(shares) > 0)
        assert shares[0] < 0.08
        assert shares[-1] > 0.5


def test_a_spot_fades_in_with_its_group():
    image, inside = eye(colour=np.array([128, 128, 128], np.uint8))
    realisation = FUNDUS_SPOTS.realise(Scene(image), generator(1))
    none, half, all_eight = (realisation.render(count)[..., 0].astype(float) for count in (0.05, 4, 8))
    assert np.abs(none - image[..., 0]).max() <= 1
    dark = (all_eight < 100) & inside
    assert dark.any()
    assert np.log(half[dark] / 128).sum() == pytest.approx(np.log(all_eight[dark] / 128).sum() / 2, rel=0.03)


def test_grey_photographs_are_perturbed_and_stay_grey():
    grey = images_of("fundus")["fundus_1"][..., 1]
    for perturbation in TYPES:
        out = perturbation.realise(Scene(grey), generator(2)).render(perturbation.typical)
        assert out.shape == grey.shape
        assert np.abs(out.astype(int) - grey).mean() > 3
