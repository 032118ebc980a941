"""The MedMNIST-C scale: its tables, its equality with the published definitions, and what `compat` brings back."""

import hashlib
import io
import json
import math
import pickle
from typing import get_args

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageEnhance
from scipy import ndimage
from skimage.color import hsv2rgb, rgb2hsv

from medstress.names import PerturbationName, PublishedName
from medstress.perturb.levels import make_levels
from medstress.perturb.optics import disk_kernel
from medstress.perturb.protocol import Scene
from medstress.perturb.scales import multipliers
from medstress.perturb.scales.medmnist_c import SCALE, shrunk
from medstress.perturb.scales.registry import SCALES
from medstress.seeds import generator
from medstress.specs import SeveritySpec

VARIANTS = SCALE.variants
LEVELS = [1, 2, 3, 4, 5]
EVERY = {name: published for types in VARIANTS.values() for name, published in types.items()}
by_type = pytest.mark.parametrize("published", EVERY.values(), ids=EVERY.keys())


def drawn(variant, name, image, *, compat=False, seed=5):
    return VARIANTS[variant][name].realise(Scene(image), generator(seed), compat)


def levels_of(variant, name, image, *, compat=False, seed=5):
    """What is stored at levels 1 to 5."""
    spec = SeveritySpec(scale="medmnist_c", variant=variant, compat=compat)
    return [level.cell.image for level in make_levels(VARIANTS[variant][name], Scene(image), LEVELS, seed, spec)]


def flat(value, side=224, colour=True):
    return np.full((side, side, 3) if colour else (side, side), value, np.uint8)


@pytest.fixture(scope="module")
def picture(real_images):
    """A colour image of the size that the scale is meant for."""
    return np.ascontiguousarray(cv2.resize(real_images["colour"], (224, 224), interpolation=cv2.INTER_AREA))


@pytest.fixture(scope="module")
def grey(picture):
    return np.ascontiguousarray(picture[..., 0])


def test_twelve_data_sets_have_131_pairs_of_21_types_with_five_levels():
    assert SCALES["medmnist_c"] is SCALE
    assert {dataset: len(types) for dataset, types in VARIANTS.items()} == {
        "pathmnist": 11,
        "bloodmnist": 11,
        "dermamnist": 15,
        "retinamnist": 8,
        "tissuemnist": 8,
        "octmnist": 6,
        "breastmnist": 7,
        "chestmnist": 13,
        "pneumoniamnist": 13,
        "organamnist": 13,
        "organcmnist": 13,
        "organsmnist": 13,
    }
    assert sum(map(len, VARIANTS.values())) == 131
    assert len(EVERY) == 21
    for types in VARIANTS.values():
        for name, published in types.items():
            assert published.name == name
            assert name in get_args(PerturbationName) + get_args(PublishedName)
            assert len(published.severities) == 5
            for severity in published.severities + published.as_published:
                assert len(severity) == len(published.parameters)


def test_files_are_called_as_published():
    assert {published.original for published in EVERY.values()} == {
        *("pixelate", "jpeg_compression", "gaussian_noise", "speckle_noise", "impulse_noise", "shot_noise"),
        *("defocus_blur", "motion_blur", "zoom_blur", "gaussian_blur", "saturate"),
        *("brightness_up", "brightness_down", "contrast_up", "contrast_down", "gamma_corr_up", "gamma_corr_down"),
        *("stain_deposit", "bubble", "black_corner", "characters"),
    }


@pytest.mark.parametrize(
    ("variant", "name", "level", "severity"),
    [
        ("pathmnist", "brightness_up", 4, (1.22,)),
        ("pathmnist", "motion_blur", 5, (15, 12)),
        ("bloodmnist", "defocus_blur", 1, (2, 0.01)),
        ("bloodmnist", "bubble", 5, (15, 12)),
        ("dermamnist", "shot_noise", 3, (18,)),
        ("dermamnist", "characters", 5, (6, 10, 0.18)),
        ("retinamnist", "jpeg", 5, (5,)),
        ("tissuemnist", "gaussian_blur", 5, (25,)),
        ("octmnist", "defocus_blur", 3, (1.5, 0.1)),
        ("breastmnist", "brightness_down", 1, (0.55,)),
        ("chestmnist", "impulse_noise", 5, (0.17,)),
        ("pneumoniamnist", "impulse_noise", 3, (0.013,)),
        ("organcmnist", "gamma_up", 5, (2.0,)),
        ("organsmnist", "contrast_down", 4, (0.55,)),
    ],
)
def test_cells_of_the_published_tables(variant, name, level, severity):
    assert VARIANTS[variant][name].severities[level - 1] == severity


def test_no_cell_of_the_tables_has_changed():
    # The digest of the tables when every cell was equal to that of medmnistc 0.1.0.
    table = {
        dataset: {
            published.original: [
                list(map(float, severity)) for severity in published.as_published or published.severities
            ]
            for published in types.values()
        }
        for dataset, types in VARIANTS.items()
    }
    assert hashlib.blake2b(json.dumps(table).encode(), digest_size=8).hexdigest() == "153a0c347342c771"


def test_zoom_factors_are_the_published_ones():
    ends = [float(np.arange(1, *severity)[-1]) for severity in VARIANTS["dermamnist"]["zoom_blur"].severities]
    assert ends == pytest.approx([1.11, 1.15, 1.2, 1.24, 1.3])


def test_what_is_stored_in_a_study_runs_in_other_processes():
    for types in VARIANTS.values():
        for published in types.values():
            assert pickle.loads(pickle.dumps(published)) == published


@by_type
@settings(max_examples=6, deadline=None)
@given(height=st.integers(32, 60), width=st.integers(32, 60), colour=st.booleans(), compat=st.booleans())
def test_any_image_keeps_shape_type_and_input(published, height, width, colour, compat):
    shape = (height, width, 3) if colour else (height, width)
    for image in (generator(3).integers(0, 256, shape).astype(np.uint8), np.zeros(shape, np.uint8)):
        before = image.copy()
        draw = published.realise(Scene(image), generator(4), compat)
        for severity in published.severities[::4] + published.as_published[::4]:
            out = draw.render(severity)
            assert out.shape == shape
            assert out.dtype == np.uint8
        assert np.array_equal(image, before)


@by_type
def test_the_same_draw_gives_the_same_pixels_in_any_order(published, picture):
    first = published.realise(Scene(picture), generator(1), False)
    last = published.realise(Scene(picture), generator(1), False)
    forward = [first.render(severity) for severity in published.severities]
    backward = [last.render(severity) for severity in published.severities[::-1]][::-1]
    for one, other in zip(forward, backward, strict=True):
        assert np.array_equal(one, other)


@by_type
def test_levels_grow(published, picture):
    # Over a few draws, because counts of marks may be equal at neighbouring levels.
    distance = np.zeros(5)
    for seed in range(6):
        draw = published.realise(Scene(picture), generator(seed), False)
        for index, severity in enumerate(published.severities):
            distance[index] += np.abs(draw.render(severity).astype(float) - picture).mean()
    assert distance[0] > 0
    assert (np.diff(distance) > 0).all()


@by_type
def test_a_multiplier_above_one_is_stronger(published, picture):
    draw = published.realise(Scene(picture), generator(1), False)
    severity = published.severities[2]
    plain = np.abs(draw.render(severity).astype(float) - picture).mean()
    stronger = np.abs(draw.render(published.multiplied(severity, 1.5)).astype(float) - picture).mean()
    weaker = np.abs(draw.render(published.multiplied(severity, 0.4)).astype(float) - picture).mean()
    assert weaker < stronger
    assert weaker <= plain <= stronger


def test_multipliers():
    assert multipliers.quality((30,), 1.2) == pytest.approx((16,))
    assert multipliers.quality((30,), 10) == (1,)
    assert multipliers.scale((0.7,), 2) == pytest.approx((0.4,))
    assert multipliers.scale((0.7,), 5) == (0.1,)
    assert multipliers.counts((5, 2), 0.3) == (1, 1)
    assert multipliers.first_count((4, 0.2), 1.5) == (6, 0.2)
    assert multipliers.gain((0.8,), 2) == pytest.approx((0.6,))
    assert multipliers.gain((0.8,), 10) == (0,)
    assert multipliers.inverse((60,), 2) == (30,)
    assert multipliers.share((0.3,), 10) == (1,)
    assert multipliers.zoom((1.11, 0.01), 2) == pytest.approx((1.22, 0.02))


@pytest.mark.parametrize("colour", [True, False])
@pytest.mark.parametrize(
    ("name", "enhancer"),
    [
        ("brightness_up", ImageEnhance.Brightness),
        ("brightness_down", ImageEnhance.Brightness),
        ("contrast_up", ImageEnhance.Contrast),
        ("contrast_down", ImageEnhance.Contrast),
    ],
)
def test_brightness_and_contrast_are_pillows(name, enhancer, colour, picture, grey):
    image = picture if colour else grey
    for severity in VARIANTS["chestmnist"][name].severities:
        expected = np.asarray(enhancer(Pillow.fromarray(image)).enhance(severity[0]))
        assert np.array_equal(drawn("chestmnist", name, image, compat=True).render(severity), expected)
        rounded = drawn("chestmnist", name, image).render(severity).astype(int) - expected
        assert set(np.unique(rounded)) == {0, 1}


@pytest.mark.parametrize("name", ["gamma_up", "gamma_down"])
def test_gamma_is_torchvisions_table(name, grey):
    for (exponent,) in VARIANTS["organamnist"][name].severities:
        table = np.array([math.floor((255 + 1 - 1e-3) * (level / 255) ** exponent) for level in range(256)])
        assert np.array_equal(drawn("organamnist", name, grey, compat=True).render((exponent,)), table[grey])
        rounded = np.rint(255 * (np.arange(256) / 255) ** exponent)
        assert np.array_equal(drawn("organamnist", name, grey).render((exponent,)), rounded[grey])


def test_jpeg_is_pillows(picture, grey):
    for image in (picture, grey):
        for (quality,) in VARIANTS["pathmnist"]["jpeg"].severities:
            data = io.BytesIO()
            Pillow.fromarray(image).save(data, "JPEG", quality=quality)
            expected = np.asarray(Pillow.open(data))
            assert np.array_equal(drawn("pathmnist", "jpeg", image).render((quality,)), expected)


def test_pixelate_is_pillows_box_filter_both_ways(picture):
    for (share,) in VARIANTS["retinamnist"]["pixelate"].severities:
        small = (int(224 * share), int(224 * share))
        expected = Pillow.fromarray(picture).resize(small, Pillow.Resampling.BOX)
        expected = np.asarray(expected.resize((224, 224), Pillow.Resampling.BOX))
        assert np.array_equal(drawn("retinamnist", "pixelate", picture).render((share,)), expected)


def test_gaussian_blur_is_torchvisions_kernel_with_mirrored_border(grey):
    for (size,) in VARIANTS["tissuemnist"]["gaussian_blur"].severities:
        taps = np.exp(-(np.linspace(-(size - 1) / 2, (size - 1) / 2, size) ** 2) / (2 * (0.15 * size + 0.35) ** 2))
        taps /= taps.sum()
        expected = ndimage.correlate1d(grey.astype(np.float64), taps, axis=0, mode="mirror")
        expected = ndimage.correlate1d(expected, taps, axis=1, mode="mirror")
        for compat in (False, True):
            out = drawn("tissuemnist", "gaussian_blur", grey, compat=compat).render((size,))
            assert np.abs(out - expected).max() < 0.501


@pytest.mark.parametrize("severity", VARIANTS["pathmnist"]["motion_blur"].severities)
def test_motion_blur_is_a_one_sided_gaussian_line(severity, grey):
    radius, sigma = severity
    angle = math.radians(generator(5).uniform(-45, 45))
    taps = np.arange(2 * radius + 1)
    weights = np.exp(-(taps**2) / (2 * sigma**2))
    weights /= weights.sum()
    rows, columns = np.indices(grey.shape)
    expected = np.zeros(grey.shape)
    for tap, weight in zip(taps, weights, strict=True):
        down = np.clip(rows + math.ceil(tap * math.sin(angle) - 0.5), 0, 223)
        right = np.clip(columns + math.ceil(tap * math.cos(angle) - 0.5), 0, 223)
        expected += weight * grey[down, right]
    out = drawn("pathmnist", "motion_blur", grey, compat=True).render(severity).astype(int)
    assert np.mean(out == np.floor(expected + 1e-9)) > 0.99
    assert np.abs(out - np.floor(expected)).max() <= 1


def test_defocus_is_the_normalised_disk(grey):
    for radius, softening in VARIANTS["octmnist"]["defocus_blur"].severities:
        expected = ndimage.correlate(grey.astype(np.float64), disk_kernel(radius, softening), mode="mirror")
        out = drawn("octmnist", "defocus_blur", grey).render((radius, softening))
        assert np.abs(out - expected).max() < 0.51


def test_saturation_is_skimages_but_for_grey(picture):
    image = picture.copy()
    image[:20] = image[:20, :, :1]
    for (added,) in VARIANTS["pathmnist"]["saturate"].severities:
        hsv = rgb2hsv(image)
        hsv[..., 1] = np.clip(hsv[..., 1] + added, 0, 1)
        expected = (np.clip(hsv2rgb(hsv), 0, 1) * 255).astype(np.uint8)
        out = drawn("pathmnist", "saturate", image, compat=True).render((added,))
        assert np.abs(out.astype(int) - expected).max() <= 1
        colourful = np.ptp(image, axis=2) > 0
        default = drawn("pathmnist", "saturate", image).render((added,))
        assert np.abs(default.astype(int) - expected)[colourful].max() <= 1
        assert np.array_equal(default[~colourful], image[~colourful])


def test_grey_turns_red_only_as_published():
    assert drawn("bloodmnist", "saturate", flat(200)).render((0.2,))[0, 0].tolist() == [200, 200, 200]
    assert drawn("bloodmnist", "saturate", flat(200), compat=True).render((0.2,))[0, 0].tolist() == [200, 160, 160]


@pytest.mark.parametrize(("compat", "share"), [(False, 1), (True, 0.671)])
def test_noise_on_grey_images_has_the_strength_that_it_says(compat, share):
    image = flat(128, colour=False)
    noise = drawn("chestmnist", "gaussian_noise", image, compat=compat).render((0.1,)) / 255
    assert noise.std() == pytest.approx(0.1 * share, rel=0.02)
    speckle = drawn("chestmnist", "speckle", image, compat=compat).render((0.1,)) / 255
    assert speckle.std() == pytest.approx(0.1 * share * 128 / 255, rel=0.02)
    shot = drawn("chestmnist", "shot_noise", image, compat=compat).render((60,)) / 255
    assert shot.std() == pytest.approx(share * math.sqrt(128 / 255 / 60), rel=0.02)


def test_impulses_on_grey_images_are_black_and_white_unless_as_published():
    image = flat(128, colour=False)
    out = drawn("chestmnist", "impulse_noise", image).render((0.17,))
    assert set(np.unique(out)) == {0, 128, 255}
    assert np.mean(out != 128) == pytest.approx(0.17, abs=0.01)
    published = drawn("chestmnist", "impulse_noise", image, compat=True).render((0.17,))
    assert len(np.unique(published)) > 10
    assert np.mean(published != 128) == pytest.approx(1 - 0.83**3, abs=0.01)


def test_colour_has_noise_of_its_own_in_each_channel():
    for compat in (False, True):
        noise = drawn("dermamnist", "gaussian_noise", flat(128), compat=compat).render((0.1,)).astype(float)
        assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.02
        assert noise.std() == pytest.approx(25.5, rel=0.02)
        assert noise.mean() == pytest.approx(127.5 if compat else 128, abs=0.3)


def test_the_dark_corner_grows_with_the_level_unless_as_published():
    shares = [np.mean(image == 0) for image in levels_of("dermamnist", "black_corner", flat(90))]
    assert (np.diff(shares) > 0).all()
    published = levels_of("dermamnist", "black_corner", flat(90), compat=True)
    areas = [np.count_nonzero(image[..., 0]) for image in published]
    assert areas[4] > areas[3]
    discs = [cv2.circle(np.zeros((224, 224), np.uint8), (112, 112), radius, 1, -1) for radius in (123, 117, 112, 100)]
    assert areas[:4] == [int(disc.sum()) for disc in discs]


def test_the_dark_corner_is_centred():
    image = drawn("dermamnist", "black_corner", flat(90, side=65)).render((0.9,))
    for turned in (image[::-1], image[:, ::-1], np.rot90(image)):
        assert np.array_equal(turned, image)


def drops(image):
    """Side of the box around each group of black pixels that lie within 6 pixels of each other."""
    dark = (image[..., 0] == 0).astype(np.uint8)
    joined = cv2.dilate(dark, np.ones((7, 7), np.uint8))
    labels, _ = ndimage.label(joined)
    return [
        max(np.ptp(rows_columns, axis=1) + 1)
        for rows_columns in (
            np.array(np.nonzero((labels == label) & (dark > 0))) for label in range(1, labels.max() + 1)
        )
    ]


def test_ink_grows_with_the_level_and_the_image_unless_as_published():
    one = {"corrected": [], "published": [], "large": []}
    for seed in range(12):
        for kind, side, compat in (("corrected", 224, False), ("published", 224, True), ("large", 448, False)):
            spec = [
                levels_of("bloodmnist", "stain_deposit", flat(200, side), compat=compat, seed=seed)[i] for i in (0, 4)
            ]
            one[kind].append([np.median(drops(image)) for image in spec])
    corrected, published, large = (np.median(one[kind], axis=0) for kind in ("corrected", "published", "large"))
    # A drop fills most of its square.
    assert 0.6 * 12 < corrected[0] <= 12
    assert 0.6 * 42 < corrected[1] <= 42
    assert 0.6 * 24 < published[0] <= 24
    assert 0.6 * 32 < published[1] <= 32
    assert large == pytest.approx(2 * corrected, rel=0.15)


def test_drops_of_ink_are_black_few_and_away_from_the_border():
    counts = []
    for seed in range(40):
        image = drawn("pathmnist", "stain_deposit", flat(200), compat=True, seed=seed).render((5, 24))
        assert set(np.unique(image)) == {0, 200}
        inner = image[10:-10, 10:-10]
        assert (inner == 0).sum() == (image == 0).sum()
        counts.append(np.count_nonzero(image[..., 0] == 0))
    # One to five drops, evenly.
    assert max(counts) > 3.5 * min(counts)


def test_bubbles_are_pale_discs_with_a_rim():
    image = drawn("pathmnist", "bubble", flat(100)).render((17, 25))
    assert set(np.unique(image)) == {100, 161, 179}
    assert np.ptp(image, axis=2).max() == 0
    assert set(np.unique(drawn("pathmnist", "bubble", flat(0)).render((17, 25)))) == {0, 100, 130}


@pytest.mark.parametrize("seed", range(5))
def test_seven_to_n_bubbles(seed):
    # With the smallest radius at every bubble hardly any two meet.
    image = drawn("bloodmnist", "bubble", flat(0), seed=seed).render((3, 12))
    _, count = ndimage.label(image[..., 0] > 0)
    assert 5 <= count <= 12


def test_words_are_few_coloured_and_away_from_the_border():
    changed = []
    for seed in range(10):
        image = drawn("dermamnist", "characters", flat(128), compat=True, seed=seed).render((6, 10, 0.18))
        touched = (image != 128).any(axis=2)
        assert not touched[:7].any()
        assert not touched[-7:].any()
        assert not touched[:, :8].any()
        changed.append(touched.mean())
    assert 0 < max(changed) < 0.05
    grey = drawn("dermamnist", "characters", flat(128, colour=False)).render((6, 10, 0.18))
    assert (grey != 128).any()


@pytest.mark.parametrize("name", ["defocus_blur", "motion_blur"])
def test_blur_is_as_wide_a_share_of_any_image_unless_as_published(name):
    def width(side, compat):
        image = np.zeros((side, side), np.uint8)
        half = side // 56
        image[side // 2 - half : side // 2 + half, side // 2 - half : side // 2 + half] = 255
        out = drawn("bloodmnist", name, image, compat=compat).render(VARIANTS["bloodmnist"][name].severities[4])
        spread = out.astype(float).sum(axis=0)
        columns = np.arange(side)
        mean = (spread * columns).sum() / spread.sum()
        return math.sqrt((spread * (columns - mean) ** 2).sum() / spread.sum()) / side

    assert width(448, False) == pytest.approx(width(224, False), rel=0.08)
    assert width(112, False) == pytest.approx(width(224, False), rel=0.15)
    assert width(448, True) < 0.75 * width(224, True)


def test_a_shrunk_kernel_keeps_its_sum_and_shrinks_its_spread():
    kernel = disk_kernel(8, 0.5)
    assert np.allclose(shrunk(kernel, 1), kernel, atol=1e-8)
    half = shrunk(kernel, 0.5)
    assert half.shape == (9, 9)
    assert half.sum() == pytest.approx(1)

    def spread(weights):
        places = np.arange(len(weights)) - len(weights) // 2
        return math.sqrt((weights.sum(axis=0) * places**2).sum() / weights.sum())

    # Sharing a tap between neighbours widens by at most half a pixel.
    assert spread(kernel) / 2 <= spread(half) <= math.hypot(spread(kernel) / 2, 0.5)


def test_levels_come_from_the_table(grey):
    spec = SeveritySpec(scale="medmnist_c", variant="chestmnist", multipliers={2: 2.0})
    levels = make_levels(VARIANTS["chestmnist"]["gaussian_noise"], Scene(grey), [1, 2], 7, spec)
    assert [(level.cell.level, level.cell.strength, level.cell.status) for level in levels] == [
        (1, 0.04, "table"),
        (2, 0.16, "table"),
    ]
