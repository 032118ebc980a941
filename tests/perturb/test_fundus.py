"""Fundus photographs: uneven light, haze and spots, inside the field of view only."""

import numpy as np
import pytest

from medstress.perturb.calibrate import calibrate
from medstress.perturb.fundus import FUNDUS_HAZE, FUNDUS_ILLUMINATION, FUNDUS_SPOTS, TYPES, field_of_view
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


@by_name
def test_every_band_is_reached_on_a_real_photograph(perturbation):
    image = images_of("fundus")["fundus_1"]
    for seed in (1, 2, 3):
        cells = calibrate(perturbation, perturbation.realise(Scene(image), generator(seed)), image, [1, 2, 3, 4, 5])
        assert [cell.status for cell in cells] == ["in_band"] * 5


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
    depths = []
    for seed in range(8):
        out = FUNDUS_HAZE.realise(Scene(image), generator(seed)).render(0.8)[inside].astype(float)
        transmission = (255 - out) / (255.0 - COLOUR)
        assert np.ptp(transmission, axis=1).max() < 0.5 * (1 / 105 + 1 / 185) + 1e-3
        depths.append(-np.log(transmission[:, 2]).mean())
    assert np.mean(depths) == pytest.approx(0.8, rel=0.1)


def test_haze_blurs_what_is_sharp():
    image, inside = eye()
    image[inside] += (generator(3).integers(0, 2, inside.sum()) * 40).astype(np.uint8)[:, None]
    clean = image[50:90, 60:100, 1].astype(float)
    hazy = FUNDUS_HAZE.realise(Scene(image), generator(1)).render(0.7)[50:90, 60:100, 1].astype(float)
    # Contrast falls by more than the veil alone explains: exp(-0.7 * 1.35) is the clearest that could be.
    assert np.diff(hazy, axis=1).std() / np.diff(clean, axis=1).std() < np.exp(-0.7 * 0.65) * 0.8


def test_spots_are_dark_and_bright_cover_the_share_and_grow_out_of_each_other():
    image, inside = eye(colour=np.array([128, 128, 128], np.uint8))
    for seed in range(3):
        realisation = FUNDUS_SPOTS.realise(Scene(image), generator(seed))
        before = np.zeros(inside.shape, dtype=bool)
        for share in (0.05, 0.2, 0.5, 0.8):
            out = realisation.render(share)[..., 0]
            touched = (out != 128) & inside
            # The outermost part of a soft edge changes nothing that eight bits show.
            assert 0.6 * share - 0.02 < touched.sum() / inside.sum() < share + 0.01
            assert not (before & ~touched).sum() > 0.01 * inside.sum()
            before = touched
        assert out[inside].min() < 50
        assert out[inside].max() > 200


def test_grey_photographs_are_perturbed_and_stay_grey():
    grey = images_of("fundus")["fundus_1"][..., 1]
    for perturbation in TYPES:
        out = perturbation.realise(Scene(grey), generator(2)).render(perturbation.typical)
        assert out.shape == grey.shape
        assert np.abs(out.astype(int) - grey).mean() > 3
