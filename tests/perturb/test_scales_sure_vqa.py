"""The SURE-VQA scale: its three corruptions at three levels, and their composition by probability."""

import pickle

import cv2
import numpy as np
import pytest
from scipy import ndimage

from medstress.errors import MedstressError
from medstress.perturb.levels import make_levels
from medstress.perturb.protocol import Scene
from medstress.perturb.scales.registry import SCALES
from medstress.perturb.scales.sure_vqa import SCALE, chosen
from medstress.seeds import generator
from medstress.specs import SeveritySpec

TYPES = SCALE.variants[""]


def drawn(name, image, *, compat=False, seed=5):
    return TYPES[name].realise(Scene(image), generator(seed), compat)


@pytest.fixture(scope="module")
def picture(real_images):
    return np.ascontiguousarray(real_images["colour"])


def flat(value, side=128, colour=False):
    return np.full((side, side, 3) if colour else (side, side), value, np.uint8)


def test_three_types_and_their_composition_at_three_levels():
    assert SCALES["sure_vqa"] is SCALE
    assert list(TYPES) == ["gaussian_blur", "brightness", "gaussian_noise", "compound"]
    assert [published.original for published in TYPES.values()][:3] == ["blur", "brightness", "noise"]
    assert TYPES["gaussian_blur"].severities == ((5,), (7,), (11,))
    assert TYPES["brightness"].severities == ((1.1, 2.0), (2.5, 4.0), (4.5, 6.0))
    assert TYPES["gaussian_noise"].severities == ((0, 0.06), (0.09, 0.15), (0.18, 0.25))
    assert TYPES["compound"].severities[1] == (7, 2.5, 4.0, 0.09, 0.15, 0.5, 0.5, 0.5)
    for published in TYPES.values():
        assert {len(severity) for severity in published.severities} == {len(published.parameters)}
        assert pickle.loads(pickle.dumps(published)) == published


def test_there_is_no_fourth_level(picture):
    spec = SeveritySpec(scale="sure_vqa")
    assert len(make_levels(TYPES["compound"], Scene(picture), [1, 2, 3], 1, spec)) == 3
    with pytest.raises(MedstressError, match="levels 1 to 3"):
        make_levels(TYPES["compound"], Scene(picture), [4], 1, spec)


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("shape", [(32, 32), (32, 47, 3), (90, 33), (200, 64, 3)])
@pytest.mark.parametrize("compat", [False, True])
def test_any_image_keeps_shape_type_and_input(name, shape, compat):
    image = generator(3).integers(0, 256, shape).astype(np.uint8)
    before = image.copy()
    draw = drawn(name, image, compat=compat)
    for severity in TYPES[name].severities:
        out = draw.render(severity)
        assert out.shape == shape
        assert out.dtype == np.uint8
        assert np.array_equal(out, draw.render(severity))
    assert np.array_equal(image, before)


@pytest.mark.parametrize(("size", "sigma"), [(5, 1.1), (7, 1.4), (11, 2.0)])
def test_blur_is_opencvs(size, sigma, picture):
    expected = cv2.GaussianBlur(picture, (size, size), 0)
    assert np.array_equal(drawn("gaussian_blur", picture, compat=True).render((size,)), expected)
    # At 336 pixels the default is the same Gaussian, in exact arithmetic.
    grey = cv2.resize(picture[..., 0], (336, 336))
    taps = np.exp(-(np.arange(-(size // 2), size // 2 + 1) ** 2) / (2 * sigma**2))
    taps /= taps.sum()
    exact = ndimage.correlate1d(grey.astype(np.float64), taps, axis=0, mode="mirror")
    exact = ndimage.correlate1d(exact, taps, axis=1, mode="mirror")
    assert np.abs(drawn("gaussian_blur", grey).render((size,)) - exact).max() < 0.501


def test_blur_means_the_same_for_a_large_image_unless_as_published(picture):
    small = cv2.resize(picture, (336, 336), interpolation=cv2.INTER_AREA)
    large = cv2.resize(small, (1344, 1344), interpolation=cv2.INTER_CUBIC)

    def effect(compat):
        blurred = drawn("gaussian_blur", large, compat=compat).render((11,))
        seen = cv2.resize(blurred, (336, 336), interpolation=cv2.INTER_AREA)
        clean = cv2.resize(large, (336, 336), interpolation=cv2.INTER_AREA)
        return np.abs(seen.astype(float) - clean).mean()

    own = np.abs(drawn("gaussian_blur", small).render((11,)).astype(float) - small).mean()
    assert effect(False) == pytest.approx(own, rel=0.15)
    assert effect(True) < 0.3 * own


@pytest.mark.parametrize(("level", "low", "high"), [(1, 1.1, 2.0), (2, 2.5, 4.0), (3, 4.5, 6.0)])
def test_gains_fill_the_published_range(level, low, high):
    severity = TYPES["brightness"].severities[level - 1]
    gains = [drawn("brightness", flat(40), seed=seed).render(severity)[0, 0] / 40 for seed in range(60)]
    assert low - 0.02 < min(gains) < low + 0.1 * (high - low)
    assert high - 0.1 * (high - low) < max(gains) < high + 0.02
    assert drawn("brightness", flat(250)).render(severity)[0, 0] == 255


@pytest.mark.parametrize(("level", "low", "high"), [(1, 0, 0.06), (2, 0.09, 0.15), (3, 0.18, 0.25)])
def test_noise_grows_in_its_mean_only(level, low, high):
    severity = TYPES["gaussian_noise"].severities[level - 1]
    residuals = [drawn("gaussian_noise", flat(100), seed=seed).render(severity) - 100.0 for seed in range(40)]
    means = [residual.mean() / 255 for residual in residuals]
    assert low - 0.004 < min(means) < low + 0.15 * (high - low)
    assert high - 0.15 * (high - low) < max(means) < high + 0.004
    assert np.median([residual.std() for residual in residuals]) == pytest.approx(25.5, rel=0.02)


def test_noise_is_alike_in_all_channels():
    out = drawn("gaussian_noise", flat(100, colour=True)).render((0.09, 0.15))
    assert np.ptp(out, axis=2).max() == 0


HALF = (0.5, 0.5, 0.5)
LEVEL = (7, 2.5, 4.0, 0.09, 0.15)


@pytest.mark.parametrize(
    ("fires", "pick", "happens"),
    [
        ((0.2, 0.7, 0.4), 0.9, [True, False, True]),
        ((0.1, 0.1, 0.1), 0.9, [True, True, True]),
        ((0.7, 0.7, 0.7), 0.1, [True, False, False]),
        ((0.7, 0.7, 0.7), 0.5, [False, True, False]),
        ((0.7, 0.7, 0.7), 0.9, [False, False, True]),
    ],
)
def test_each_happens_by_itself_and_one_has_to(fires, pick, happens):
    assert chosen(fires, HALF, pick, False) == happens
    assert chosen(fires, HALF, pick, True) == happens


def test_what_has_no_probability_happens_only_as_published():
    late = (0.9, 0.9, 0.9)
    for pick in (0.0, 0.3, 0.6, 0.99):
        assert chosen(late, (0, 0, 0), pick, False) == [False] * 3
        assert chosen(late, (0, 0.2, 0), pick, False) == [False, True, False]
        assert sum(chosen(late, (0, 0, 0), pick, True)) == 1
    assert chosen(late, (0.1, 0.3, 0), 0.24, False) == [True, False, False]
    assert chosen(late, (0.1, 0.3, 0), 0.26, False) == [False, True, False]
    assert chosen(late, (0, 0.2, 0), 0.1, True) == [True, False, False]


def test_probability_zero_leaves_the_image_unless_as_published(picture):
    zero = (*LEVEL, 0, 0, 0)
    unchanged = [np.array_equal(drawn("compound", picture, seed=seed).render(zero), picture) for seed in range(20)]
    assert all(unchanged)
    published = [drawn("compound", picture, seed=seed, compat=True).render(zero) for seed in range(20)]
    assert not any(np.array_equal(image, picture) for image in published)


def test_no_image_is_left_clean_at_the_probabilities_of_the_scale(picture):
    for seed in range(40):
        for severity in TYPES["compound"].severities:
            assert not np.array_equal(drawn("compound", picture, seed=seed).render(severity), picture)


def test_blur_comes_first_then_brightness_then_noise(picture):
    draw = drawn("compound", picture, compat=True)
    blurred = draw.render((*LEVEL, 1, 0, 0))
    assert np.array_equal(blurred, cv2.GaussianBlur(picture, (7, 7), 0))
    brightened = draw.render((*LEVEL, 0, 1, 0)).astype(float)
    middle = (picture > 20) & (brightened < 255)
    gain = np.median(brightened[middle] / picture[middle])
    assert 2.5 <= gain <= 4.0
    both = draw.render((*LEVEL, 1, 1, 0))
    assert np.abs(both - np.minimum(np.rint(blurred * gain), 255)).max() <= 2
    noise = drawn("compound", flat(100, colour=True), compat=True)
    field = noise.render((*LEVEL, 0, 0, 1)) - 100.0
    assert field.mean() / 255 == pytest.approx(0.12, abs=0.035)
    assert field.std() == pytest.approx(25.5, rel=0.03)
    everything = draw.render((*LEVEL, 1, 1, 1)).astype(float)
    residual = (everything - both)[(both > 60) & (both < 150)]
    assert residual.mean() / 255 == pytest.approx(0.12, abs=0.035)
    assert residual.std() == pytest.approx(25.5, rel=0.1)


def test_a_multiplier_leaves_the_probabilities():
    assert TYPES["compound"].multiplied((*LEVEL, *HALF), 2) == pytest.approx((14, 4.0, 7.0, 0.18, 0.3, *HALF))
    assert TYPES["brightness"].multiplied((1.1, 2.0), 0.5) == pytest.approx((1.05, 1.5))
