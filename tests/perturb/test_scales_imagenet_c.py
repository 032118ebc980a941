"""The scales of ImageNet-C and its kin against independent implementations, and what all their types have in common."""

import io
import math
import pickle

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from scipy import ndimage, stats
from skimage import color, filters

from medstress.perturb.protocol import Scene
from medstress.perturb.scales.cifar_c import CIFAR_C
from medstress.perturb.scales.imagecorruptions import IMAGECORRUPTIONS
from medstress.perturb.scales.imagenet_c import IMAGENET_C
from medstress.perturb.scales.medimeta_c import MEDIMETA_C
from medstress.perturb.scales.pixel_noise import shot_noise
from medstress.perturb.warp import valid_pixels, warp_image, warp_mask
from medstress.perturb.weather import plasma_over
from medstress.seeds import generator

SCALES = (IMAGENET_C, IMAGECORRUPTIONS, CIFAR_C, MEDIMETA_C)
IMAGENET, PACKAGE = IMAGENET_C.variants[""], IMAGECORRUPTIONS.variants[""]
EVERY = [
    pytest.param(published, id=f"{scale.name}-{name}")
    for scale in SCALES
    for name, published in scale.variants[""].items()
]
every_type = pytest.mark.parametrize("published", EVERY)
every_level = pytest.mark.parametrize("level", range(5))


def picture(height=96, width=128, colour=True, seed=1):
    """A smooth random picture with all grey levels."""
    shape = (height, width, 3) if colour else (height, width)
    blurred = cv2.GaussianBlur(generator(seed).random(shape, dtype=np.float32), (0, 0), 3)
    return cv2.normalize(blurred, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def render(published, image, level=0, *, compat=False, seed=5):
    return published.realise(Scene(image), generator(seed), compat).render(published.severities[level])


def difference(one, other):
    return np.abs(one.astype(int) - other.astype(int))


def rounded(values):
    return np.clip(np.rint(values), 0, 255)


def test_scales_hold_the_published_types_under_the_names_of_their_files():
    common = ["gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur"]
    common += ["snow", "frost", "fog", "brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression"]
    originals = [*common, "speckle_noise", "gaussian_blur", "spatter", "saturate"]
    for scale in (IMAGENET_C, IMAGECORRUPTIONS, CIFAR_C):
        assert [published.original for published in scale.variants[""].values()] == originals
        assert "generated" in scale.note
    assert sorted(MEDIMETA_C.variants[""]) == sorted(
        ["brightness", "contrast", "gaussian_noise", "impulse_noise", "motion_blur", "pixelate", "zoom_blur"]
    )
    assert "inferred" in MEDIMETA_C.note


@every_type
def test_types_are_complete(published):
    assert len(published.severities) == 5
    assert {len(severity) for severity in published.severities} == {len(published.parameters)}
    assert published.realise.__doc__ is not None
    assert "Quirk:" in published.realise.__doc__
    assert pickle.loads(pickle.dumps(published)) == published


@every_type
@settings(max_examples=6, deadline=None)
@given(
    height=st.integers(32, 70),
    width=st.integers(32, 70),
    colour=st.booleans(),
    compat=st.booleans(),
    kind=st.sampled_from(["noise", "black", "white", "pixel"]),
)
def test_any_image_keeps_shape_type_and_input(published, height, width, colour, compat, kind):
    image = np.full((height, width, 3) if colour else (height, width), 255 * (kind == "white"), np.uint8)
    if kind == "noise":
        image = generator(3).integers(0, 256, image.shape).astype(np.uint8)
    if kind == "pixel":
        image[height // 2, width // 2] = 255
    before = image.copy()
    drawn = published.realise(Scene(image), generator(4), compat)
    with np.errstate(all="raise", under="ignore"):
        for severity in published.severities:
            out = drawn.render(severity)
            assert out.shape == image.shape
            assert out.dtype == np.uint8
            assert np.array_equal(drawn.render(severity), out)
    assert np.array_equal(image, before)


@every_type
def test_multiplier_above_one_is_stronger_and_one_changes_nothing(published):
    image = picture()
    drawn = published.realise(Scene(image), generator(5), False)
    severity = published.severities[2]
    assert published.multiplied(severity, 1) == pytest.approx(severity)
    mild, strong = (
        difference(drawn.render(published.multiplied(severity, factor)), image).mean() for factor in (1, 1.5)
    )
    assert strong > mild or (published.name == "saturate" and strong == mild)


@pytest.mark.parametrize(
    "name", ["gaussian_noise", "shot_noise", "impulse_noise", "speckle", "defocus_blur", "zoom_blur"]
)
def test_levels_spoil_more_and_more(name):
    image = picture()
    spoilt = [difference(render(IMAGENET[name], image, level), image).mean() for level in range(5)]
    assert spoilt == sorted(spoilt)


@pytest.mark.parametrize("name", ["gaussian_noise", "speckle"])
@every_level
def test_normal_noise_has_the_published_deviation(name, level):
    image = np.full((200, 200, 3), 128, np.uint8)
    published = IMAGENET[name]
    sigma = published.severities[level][0] * (255 if name == "gaussian_noise" else 128)
    inside = stats.truncnorm(-128 / sigma, 127 / sigma, scale=sigma)
    noisy = render(published, image, level).astype(float) - 128
    clipped = (noisy == -128) | (noisy == 127)
    assert noisy[~clipped].std() == pytest.approx(inside.std(), rel=0.03)
    assert clipped.mean() == pytest.approx(stats.norm.cdf(-128 / sigma) + stats.norm.sf(127 / sigma), abs=0.01)
    assert not np.array_equal(noisy[..., 0], noisy[..., 1])


@pytest.mark.parametrize(("photons", "grey"), [(60, 200), (12, 100), (3, 250), (500, 30), (5, 0)])
def test_shot_noise_counts_photons(photons, grey):
    drawn = shot_noise(Scene(np.full((300, 300), grey, np.uint8)), generator(2), False)
    noisy = drawn.render((float(photons),))
    counts = np.minimum(np.arange(3 * photons + 60), photons)
    expected = np.bincount(
        rounded(counts * 255 / photons).astype(int),
        stats.poisson.pmf(np.arange(len(counts)), grey / 255 * photons),
        256,
    )
    assert np.bincount(noisy.ravel(), minlength=256) / noisy.size == pytest.approx(expected, abs=0.005)
    assert set(np.unique(noisy)) <= set(np.flatnonzero(expected))


def test_shot_noise_takes_the_quantile_of_its_number():
    image = generator(1).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    uniform = generator(8).random(image.size, dtype=np.float32).reshape(image.shape)
    for photons in (60.0, 5.0, 2.5):
        counts = stats.poisson.ppf(uniform, image / 255 * photons)
        noisy = shot_noise(Scene(image), generator(8), False).render((photons,))
        assert np.array_equal(noisy, rounded(np.maximum(counts, 0) * np.float32(255 / photons)))


@every_level
def test_impulse_noise_hits_the_published_share_of_values(level):
    image = np.full((200, 200, 3), 128, np.uint8)
    noisy = render(IMAGENET["impulse_noise"], image, level)
    share = IMAGENET["impulse_noise"].severities[level][0]
    assert (noisy == 0).mean() == pytest.approx(share / 2, abs=0.004)
    assert (noisy == 255).mean() == pytest.approx(share / 2, abs=0.004)
    assert not np.array_equal(noisy[..., 0], noisy[..., 1])


@pytest.mark.parametrize("image", [picture(), picture(colour=False)], ids=["colour", "grey"])
@every_level
def test_gaussian_blur_is_skimages(image, level):
    for scale in (IMAGENET_C, CIFAR_C):
        published = scale.variants[""]["gaussian_blur"]
        axis = -1 if image.ndim == 3 else None
        blurred = filters.gaussian(image / 255, published.severities[level][0], channel_axis=axis) * 255
        assert np.abs(render(published, image, level) - blurred).max() < 0.501


@pytest.mark.parametrize("image", [picture(), picture(colour=False)], ids=["colour", "grey"])
@every_level
def test_defocus_is_a_disk(image, level):
    radius, alias = IMAGENET["defocus_blur"].severities[level]
    # The kernel is cut off where the published grid ends.
    grid_reach = max(8, int(radius))
    offsets = np.arange(-grid_reach, grid_reach + 1)
    disk = (np.hypot(*np.meshgrid(offsets, offsets)) <= radius).astype(float)
    reach = 1 if radius <= 8 else 2
    soft = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * alias**2))
    soft /= soft.sum()
    for axis in (0, 1):
        disk = ndimage.correlate1d(disk, soft, axis=axis, mode="constant")
    disk /= disk.sum()
    kernel = disk[..., None] if image.ndim == 3 else disk
    blurred = ndimage.correlate(image.astype(float), kernel, mode="mirror")
    assert np.abs(render(IMAGENET["defocus_blur"], image, level) - blurred).max() < 0.51


@every_level
def test_motion_blur_shifts_and_adds(level):
    image = picture(60, 80)
    degrees = generator(5).uniform(-45, 45)
    radius, sigma = IMAGENET["motion_blur"].severities[level]
    weights = np.exp(-(np.arange(2 * radius + 1) ** 2) / (2 * sigma**2))
    total = np.zeros(image.shape)
    rows, columns = np.indices(image.shape[:2])
    for tap, weight in enumerate(weights / weights.sum()):
        dx = -math.ceil(tap * math.cos(math.radians(degrees)) - 0.5)
        dy = -math.ceil(tap * math.sin(math.radians(degrees)) - 0.5)
        total += weight * image[np.clip(rows - dy, 0, 59), np.clip(columns - dx, 0, 79)]
    assert np.abs(render(IMAGENET["motion_blur"], image, level) - total).max() < 0.51


@pytest.mark.parametrize("compat", [False, True])
@every_level
def test_zoom_blur_is_the_mean_of_spline_zooms(compat, level):
    image = picture(96, 96)
    published = PACKAGE["zoom_blur"]
    factors = np.arange(1, *published.severities[level])
    total = image.astype(float)
    for factor in factors:
        crop = math.ceil(96 / factor)
        start = (96 - crop) // 2
        middle = image[start : start + crop, start : start + crop].astype(float)
        zoomed = ndimage.zoom(middle, (factor, factor, 1), order=1, mode="nearest")
        trim = 0 if compat else (len(zoomed) - 96) // 2
        total += zoomed[trim : trim + 96, trim : trim + 96]
    mean = total / (len(factors) + 1)
    assert np.abs(render(published, image, level, compat=compat) - (mean - 0.5 * compat)).max() < 0.51


def test_glass_exchanges_pixels_and_the_published_code_loses_some():
    image = np.arange(96 * 96, dtype=np.uint32).view(np.uint8).reshape(96, 96, 4)[..., :3].copy()
    published = IMAGENET["glass_blur"]
    for compat in (False, True):
        shaken = published.realise(Scene(image), generator(3), compat).render((0.01, 2.0, 2.0))
        values = np.unique(shaken.reshape(-1, 3), axis=0)
        assert (len(values) == 96 * 96) is not compat
        rows, columns = np.divmod(shaken[..., 0] + 256 * shaken[..., 1].astype(int), 96)
        drift = (rows - np.arange(96)[:, None]).mean(), (columns - np.arange(96)).mean()
        assert np.abs(drift).max() < 0.1 or compat
        assert np.median(np.abs(rows - np.arange(96)[:, None])) <= 4


@pytest.mark.parametrize("name", ["brightness", "saturate"])
@every_level
def test_brightness_and_saturation_are_skimages(name, level):
    image = generator(1).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    image[:8] = image[:8, :, :1]
    image[8:12] = 0
    for scale in (IMAGENET_C, CIFAR_C):
        published = scale.variants[""][name]
        severity = published.severities[level]
        gain, offset = (1, severity[0]) if name == "brightness" else severity
        channel = 2 if name == "brightness" else 1
        hsv = color.rgb2hsv(image)
        hsv[..., channel] = np.clip(hsv[..., channel] * gain + offset, 0, 1)
        expected = color.hsv2rgb(hsv) * 255
        assert np.abs(render(published, image, level, compat=True) - (expected - 0.5)).max() <= 1
        corrected = render(published, image, level)
        if name == "saturate":
            assert np.array_equal(corrected[:12], image[:12])
        assert difference(corrected, rounded(expected))[0 if name == "brightness" else 12 :].max() <= 1


@every_level
def test_contrast_is_the_formula(level):
    for image in (picture(), picture(colour=False)):
        factor = IMAGENET["contrast"].severities[level][0]
        means = image.mean(axis=(0, 1))
        exact = (image - means) * factor + means
        assert np.abs(render(IMAGENET["contrast"], image, level) - exact).max() <= 0.5 + 1e-3
        assert np.array_equal(render(IMAGENET["contrast"], image, level, compat=True), np.floor(exact + 1e-4))


@every_level
def test_jpeg_and_pixelate_are_pillows(level):
    for image in (picture(70, 90), picture(70, 90, colour=False)):
        source = Pillow.fromarray(image)
        data = io.BytesIO()
        source.save(data, "JPEG", quality=IMAGENET["jpeg"].severities[level][0])
        assert np.array_equal(render(IMAGENET["jpeg"], image, level), np.asarray(Pillow.open(data)))
        share = IMAGENET["pixelate"].severities[level][0]
        small = source.resize((int(90 * share), int(70 * share)), Pillow.Resampling.BOX)
        box, nearest = (
            np.asarray(small.resize((90, 70), way)) for way in (Pillow.Resampling.BOX, Pillow.Resampling.NEAREST)
        )
        assert np.array_equal(render(IMAGENET["pixelate"], image, level, compat=True), box)
        assert np.array_equal(render(PACKAGE["pixelate"], image, level), box)
        assert np.array_equal(render(PACKAGE["pixelate"], image, level, compat=True), nearest)


def test_compat_cuts_off_and_the_default_rounds():
    image = picture()
    for name in ("gaussian_noise", "speckle", "motion_blur", "zoom_blur", "fog", "frost"):
        rounding = render(IMAGENET[name], image).astype(int) - render(IMAGENET[name], image, compat=True)
        assert set(np.unique(rounding)) == {0, 1}
        assert rounding.mean() == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize("scale", [IMAGENET_C, IMAGECORRUPTIONS, CIFAR_C], ids=lambda scale: scale.name)
@pytest.mark.parametrize("shape", [(64, 64), (48, 80)])
@every_level
def test_elastic_moves_masks_as_it_moves_the_image(scale, shape, level):
    image = picture(*shape)
    published = scale.variants[""]["elastic"]
    severity = published.severities[level]
    drawn = published.realise(Scene(image), generator(6), False)
    assert drawn.warp is not None
    moved, warp = drawn.render(severity), drawn.warp(severity)
    assert np.array_equal(moved, warp_image(image, warp, 0))
    assert valid_pixels(*shape, warp).all()
    disc = np.hypot(*np.ogrid[-shape[0] // 2 : shape[0] // 2, -shape[1] // 2 : shape[1] // 2]) < 15
    drawn_disc = published.realise(Scene(disc.astype(np.uint8) * 255), generator(6), False).render(severity)
    assert np.array_equal(warp_mask(disc, warp), drawn_disc > 127)


@every_level
def test_elastic_of_imagecorruptions_is_scipys(level):
    image = picture(60, 90)
    alpha = PACKAGE["elastic"].severities[level][0]
    fields = generator(5).random((2, 60, 90), dtype=np.float32).astype(float) * 2 - 1
    dx, dy = (
        ndimage.gaussian_filter(field * 0.005 * 60, (0.6, 0.9), mode="reflect", truncate=3) * alpha for field in fields
    )
    y, x = np.indices((60, 90))
    channels = [
        ndimage.map_coordinates(image[..., channel].astype(float), (y + dy, x + dx), order=1, mode="reflect")
        for channel in range(3)
    ]
    assert np.abs(render(PACKAGE["elastic"], image, level) - np.stack(channels, axis=-1)).max() < 1


@pytest.mark.parametrize("scale", [IMAGENET_C, CIFAR_C], ids=lambda scale: scale.name)
@every_level
def test_original_elastic_is_an_affine_map_then_scipys(scale, level):
    image = picture(72, 72, seed=2)
    published = scale.variants[""]["elastic"]
    alpha, sigma, moves = (72 * value for value in published.severities[level])
    rng = generator(5)
    fields = rng.random((2, 72, 72), dtype=np.float32).astype(float) * 2 - 1
    corners = np.array([[60, 60], [60, 12], [12, 12]], np.float32)
    matrix = cv2.getAffineTransform(corners, (corners + rng.uniform(-1, 1, (3, 2)) * moves).astype(np.float32))
    dx, dy = (ndimage.gaussian_filter(field, sigma, mode="reflect", truncate=3) * alpha for field in fields)
    y, x = np.indices((72, 72))
    back = cv2.invertAffineTransform(matrix)
    affine = [
        ndimage.map_coordinates(
            image[..., channel].astype(float),
            [row[0] * x + row[1] * y + row[2] for row in back[::-1]],
            order=1,
            mode="mirror",
        )
        for channel in range(3)
    ]
    twice = np.stack(
        [ndimage.map_coordinates(channel, (y + dy, x + dx), order=1, mode="reflect") for channel in affine], axis=-1
    )
    assert np.abs(render(published, image, level, compat=True) - (twice - 0.5)).max() < 2
    # Resampling once instead of twice is sharper, but shows the same places.
    assert difference(render(published, image, level), twice).mean() < 2.5


@every_level
def test_fog_adds_a_cloud_and_scales_back(level):
    image = picture(60, 90)
    amplitude, decay = IMAGENET["fog"].severities[level]
    seed = int(generator(5).integers(1 << 63))
    cloud = plasma_over(60, 90, decay, generator(seed))[..., None]
    brightest = image.max() / 255
    expected = (image / 255 + amplitude * cloud) * brightest / (brightest + amplitude) * 255
    assert np.abs(render(IMAGENET["fog"], image, level) - expected).max() < 0.51


def test_frost_mixes_in_the_same_ice_at_every_level():
    black, image = np.zeros((64, 96, 3), np.uint8), picture(64, 96)
    published = IMAGENET["frost"]
    ice = published.realise(Scene(black), generator(5), False).render((1, 1)).astype(float)
    assert ice.std() > 10
    for level, (share, amount) in enumerate(published.severities):
        assert np.abs(render(published, image, level) - np.clip(share * image + amount * ice, 0, 255)).max() <= 1


def test_snow_pales_the_scene_and_falls_twice():
    image = picture(64, 96)
    drawn = IMAGENET["snow"].realise(Scene(image), generator(5), False)
    pale = drawn.render((-9, 0.3, 3, 0.5, 10, 4, 0.7))
    luma = image @ np.array([0.299, 0.587, 0.114])
    assert (
        np.abs(pale - np.minimum(0.7 * image + 0.3 * np.maximum(image, 1.5 * luma[..., None] + 127.5), 255)).max()
        < 0.51
    )
    flakes = (
        IMAGENET["snow"]
        .realise(Scene(np.zeros((64, 96), np.uint8)), generator(5), False)
        .render((0.1, 0.3, 3, 0.5, 10, 4, 1))
    )
    assert flakes.max() > 40
    assert np.array_equal(flakes, flakes[::-1, ::-1])


def test_water_is_turquoise_and_mud_brown():
    image = np.full((128, 128, 3), 60, np.uint8)
    published = IMAGENET["spatter"]
    water = render(published, image, 0).astype(int) - 60
    assert 0.01 < (water[..., 1] > 5).mean() < 0.6
    assert np.abs(water[..., 0] - water[..., 1] * 175 / 238).max() <= 1
    assert np.array_equal(water[..., 1], water[..., 2])
    mud = render(published, image, 4)
    covered = difference(mud, image).max(axis=-1) > 20
    assert 0.02 < covered.mean() < 0.9
    assert mud[covered].mean(axis=0) == pytest.approx([63, 42, 20], abs=8)


def test_spatter_without_drops_leaves_the_image():
    image = picture(32, 32)
    drawn = IMAGENET["spatter"].realise(Scene(image), generator(1), False)
    assert np.array_equal(drawn.render((0.65, 0.3, 4, 9, 0.6, 0)), image)
    assert np.array_equal(drawn.render((0.65, 0.3, 1, 9, 1.5, 1)), image)


def test_grey_is_the_luma_of_weather_and_gets_noise_of_its_own():
    # Dark enough that no channel clips alone.
    image = picture(64, 64, colour=False) // 3
    as_colour = np.repeat(image[..., None], 3, axis=-1)
    for name in ("frost", "fog", "snow", "spatter", "brightness", "contrast", "motion_blur", "glass_blur", "elastic"):
        grey, colour = render(IMAGENET[name], image), render(IMAGENET[name], as_colour)
        luma = colour @ np.array([0.299, 0.587, 0.114])
        assert np.abs(grey - luma).max() < 1.6, name
    assert np.array_equal(render(IMAGENET["saturate"], image, 4, compat=True), image)
    residual = render(IMAGENET["gaussian_noise"], np.full((100, 100), 128, np.uint8)).astype(float) - 128
    assert residual.std() == pytest.approx(0.08 * 255, rel=0.03)
