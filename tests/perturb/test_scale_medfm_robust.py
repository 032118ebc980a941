"""The scale of MedFM-Robust: the study's formulas with `compat`, and our own types at its strengths by default."""

import math
import pickle

import cv2
import numpy as np
import pytest
from scipy import fft, ndimage

from medstress.errors import MedstressError
from medstress.perturb import PERTURBATIONS
from medstress.perturb.levels import make_levels, require_fit
from medstress.perturb.protocol import Scene
from medstress.perturb.scales.medfm_base import published_line
from medstress.perturb.scales.medfm_endoscopy import published_bubbles
from medstress.perturb.scales.medfm_mri import published_shifts
from medstress.perturb.scales.medfm_robust import SCALE, TYPES
from medstress.perturb.scales.registry import SCALES
from medstress.perturb.ssim import StructuralSimilarity
from medstress.perturb.warp import valid_pixels, warp_image
from medstress.seeds import generator
from medstress.specs import SeveritySpec

every_type = pytest.mark.parametrize("published", TYPES.values(), ids=lambda published: published.name)
both_modes = pytest.mark.parametrize("compat", [False, True])

# Level 3 of the study, and the strength of our own type that stands for it.
LEVEL_3 = {
    "gaussian_noise": ((0.03,), 255 * 0.03),
    "salt_and_pepper": ((0.005,), 0.005),
    "speckle": ((0.15,), 0.15),
    "gaussian_blur": ((1.5,), 1.5),
    "motion_blur": ((7,), 7),
    "brightness": ((0.15,), 19.125),
    "contrast": ((0.15,), 0.15),
    "jpeg": ((50,), 50),
    "pixelate": ((0.5,), 2),
    "rotation": ((15,), 15),
    "scaling": ((0.85,), 0.15),
    "translation": ((15,), 15 / 256),
    "vignette": ((0.3,), 2.2 * math.log2(1 / (1 - 0.3 * math.sqrt(2)))),
    "light_reflection": ((0.9, 7), 6.7 * 0.81),
    "hair": ((9, 2), 9),
    "mri_motion": ((10, 0.45, 3), 4.5 / 256),
    "mri_bias_field": ((0.7, 3), math.log(1.7 / 0.3)),
    "mri_ghosting": ((0.35, 4, 3), 0.35),
    "us_acoustic_shadow": ((0.55, 3), 0.55 / 4),
    "us_reverberation": ((0.25, 3), 10**-2.25),
    "endo_specular": ((0.4, 3), 5.2 * 0.4 * 4 * math.pi * 0.032**2),
    "endo_bubbles": ((0.07, 3), 80 * 0.07 * math.pi * 0.0063),
    "endo_blood": ((0.1, 3), 165 * (3.2 - 1.2815515655)),
    "endo_overexposure": ((0.06, 3), 2.2 * math.log2(1.48)),
    "oct_shadow": ((0.08, 3), 0.16),
    "oct_blink": ((3, 3), 0.105),
    "oct_row_motion": ((0.06, 3), 0.06),
    "oct_defocus": ((1.5,), 1.5 / 0.256),
    "oct_speckle": ((0.25, 3), math.sqrt(math.exp(0.0625) - 1)),
    "path_stain": ((0.18, 3), math.log(1.18)),
    "path_bubbles": ((3, 4, 3), 3 * math.pi * (0.021**2 + 0.021 * 0.058 + 0.058**2) / 3),
    "ct_metal_streaks": ((0.45, 20), 6.75),
    "ct_beam_hardening": ((0.3,), 0.0087),
    "ct_photon_starvation": ((0.09,), 0.00252),
    "xray_scatter": ((0.15,), 0.15),
    "xray_underexposure": ((0.55,), math.log2(1 / 0.55)),
    "xray_overexposure": ((1.5,), math.log2(1.5)),
    "xray_grid": ((0.1,), 0.1),
    "window_level": ((0.3,), 0.3),
}
ENDS = {
    "gaussian_noise": (0.01, 0.08),
    "jpeg": (90, 10),
    "pixelate": (0.8, 0.3),
    "mri_motion": (2, 30),
    "mri_bias_field": (0.3, 0.95),
    "us_reverberation": (0.12, 0.45),
    "endo_blood": (0.02, 0.28),
    "oct_blink": (1, 6),
    "path_bubbles": (1, 5),
    "ct_photon_starvation": (0.03, 0.15),
    "xray_overexposure": (1.15, 2),
}


def picture(height=96, width=96, colour=False, seed=1):
    """A smooth random picture, all grey levels from 0 to 255 in each channel: saving stretches nothing in it."""
    planes = [
        cv2.normalize(
            cv2.GaussianBlur(generator(seed + index).random((height, width), dtype=np.float32), (0, 0), 3),
            None,
            0,
            255,
            cv2.NORM_MINMAX,
        )
        for index in range(3 if colour else 1)
    ]
    return np.rint(np.stack(planes, axis=-1) if colour else planes[0]).astype(np.uint8)


def with_ends(value, side=200):
    """An image of one grey level, but for a black and a white pixel that keep the range."""
    image = np.full((side, side), value, np.uint8)
    image[0, :2] = 0, 255
    return image


def render(name, image, severity=None, *, compat=False, modality=None, seed=5):
    drawn = TYPES[name].realise(Scene(image, 0, modality), generator(seed), compat)
    return drawn.render(severity or TYPES[name].severities[2])


def difference(one, other):
    return np.abs(one.astype(int) - other.astype(int))


def stretched(values):
    low, high = values.min(), values.max()
    return ((values - low) / (high - low) * 255).astype(np.uint8)


def equal(saved, values):
    """Whether values, in any range, are saved so; cutting off may leave a level where arithmetic differs."""
    off = difference(saved, stretched(np.asarray(values, dtype=np.float64)))
    return off.max() <= 1 and (off > 0).mean() < 0.05


def from_middle(side):
    place = np.arange(side) - side / 2
    return np.hypot(place[:, None], place)


def test_the_study_has_forty_types_and_one_has_no_code():
    assert SCALES["medfm_robust"] is SCALE
    assert list(TYPES) == list(PERTURBATIONS)[:39]
    assert "angio_haze" not in TYPES
    assert "angio_haze" in SCALE.note
    originals = {
        name: TYPES[name].original for name in ("salt_and_pepper", "vignette", "ct_metal_streaks", "xray_grid")
    }
    assert list(originals.values()) == [
        "salt_pepper_noise",
        "dermoscopy_artifacts",
        "metal_artifacts",
        "xray_grid_artifact",
    ]
    assert TYPES["brightness"].original == TYPES["contrast"].original == "brightness_contrast"
    assert TYPES["endo_overexposure"].original == "saturation"


@every_type
def test_values_are_the_published_ones(published):
    assert len(published.severities) == 5
    assert {len(severity) for severity in published.severities} == {len(published.parameters)}
    assert published.severities[2] == pytest.approx(LEVEL_3[published.name][0])
    if published.name in ENDS:
        assert (published.severities[0][0], published.severities[4][0]) == ENDS[published.name]
    assert "Quirk:" in published.realise.__doc__
    assert "By default our" in published.realise.__doc__
    assert pickle.loads(pickle.dumps(published)) == published


@every_type
def test_by_default_it_is_our_type_at_the_strength_that_the_value_stands_for(published):
    kind = PERTURBATIONS[published.name]
    strength = LEVEL_3[published.name][1]
    assert kind.mildest <= strength <= kind.strongest
    scene = Scene(picture(colour=True))
    expected = kind.realise(scene, generator(5)).render(kind.round(strength))
    assert np.array_equal(published.realise(scene, generator(5), False).render(published.severities[2]), expected)


@every_type
@both_modes
@pytest.mark.parametrize("shape", [(32, 32), (33, 47, 3), (70, 32, 3)])
def test_any_image_keeps_shape_type_and_input(published, compat, shape):
    noise = generator(3).integers(0, 256, shape).astype(np.uint8)
    pixel = np.zeros(shape, np.uint8)
    pixel[shape[0] // 2, shape[1] // 2] = 255
    for image in (noise, np.full(shape, 90, np.uint8), pixel):
        before = image.copy()
        drawn = published.realise(Scene(image), generator(4), compat)
        assert (drawn.warp is not None) == PERTURBATIONS[published.name].moves_pixels
        for severity in (published.severities[0], published.severities[4]):
            out = drawn.render(severity)
            assert out.shape == shape
            assert out.dtype == np.uint8
            assert np.array_equal(drawn.render(severity), out)
        assert np.array_equal(image, before)


@every_type
def test_multiplier_above_one_is_stronger_and_one_changes_nothing(published):
    severity = published.severities[2]
    assert published.multiplied(severity, 1) == pytest.approx(severity)
    image = picture(colour=True)
    drawn = published.realise(Scene(image), generator(5), False)
    # The centre of the window may move against the loss of contrast.
    factors = (1, 2)
    mild, strong = (
        difference(drawn.render(published.multiplied(severity, factor)), image).mean() for factor in factors
    )
    assert strong > mild
    assert drawn.render(published.multiplied(severity, 10)).shape == image.shape


def test_types_are_for_the_modalities_that_ours_are_for():
    for name, published in TYPES.items():
        assert published.modalities == PERTURBATIONS[name].modalities
    assert TYPES["gaussian_noise"].fits("xray")
    assert not TYPES["oct_shadow"].fits("fundus")
    assert TYPES["window_level"].modalities == {"ct", "xray"}
    with pytest.raises(MedstressError, match="mri_motion is for mri"):
        require_fit(TYPES["mri_motion"], "ct", "the set")


def test_a_study_gets_five_levels_with_masks_moved_along():
    spec = SeveritySpec(scale="medfm_robust", compat=True)
    made = make_levels(TYPES["rotation"], Scene(picture()), [1, 2, 3, 4, 5], 7, spec)
    assert [level.cell.strength for level in made] == [5, 10, 15, 20, 25]
    assert {level.cell.status for level in made} == {"table"}
    assert all(level.warp is not None and level.band is None for level in made)


# What compat reproduces.


@pytest.mark.parametrize(
    ("modality", "factor"), [("ultrasound", 1.5), ("pathology", 0.6), ("microscopy", 0.6), (None, 1)]
)
@both_modes
def test_noise_depends_on_the_modality(modality, factor, compat):
    noisy = render("gaussian_noise", with_ends(128), (0.05,), compat=compat, modality=modality)
    assert noisy.std() == pytest.approx(255 * 0.05 * factor, rel=0.04)


def test_speckle_grows_with_the_signal():
    for value in (50, 100):
        noisy = render("speckle", with_ends(value), (0.2,), compat=True).astype(float)
        assert noisy.std() == pytest.approx(0.2 * value, rel=0.04)


def test_salt_and_pepper_are_drawn_apart_and_pepper_wins():
    image = with_ends(100, 400)
    noisy = render("salt_and_pepper", image, (0.4,), compat=True)
    assert (noisy == 0).mean() == pytest.approx(0.2, abs=0.01)
    assert (noisy == 255).mean() == pytest.approx(0.2 * 0.8, abs=0.01)
    ours = render("salt_and_pepper", image, (0.4,))
    assert (ours == 255).mean() == pytest.approx(0.2, abs=0.01)


def test_jpeg_codes_each_stretched_channel_alone():
    image = picture(colour=True) // 2 + 40
    saved = render("jpeg", image, (30,), compat=True)
    for channel in range(3):
        data = cv2.imencode(".jpg", stretched(image[..., channel].astype(np.float32)), (cv2.IMWRITE_JPEG_QUALITY, 30))[
            1
        ]
        decoded = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
        assert equal(saved[..., channel], decoded)


def test_pixelate_takes_the_nearest_pixel_and_ours_the_mean():
    image = picture()
    blocks = np.kron(image[::2, ::2], np.ones((2, 2)))
    assert equal(render("pixelate", image, (0.5,), compat=True), blocks)
    means = image.reshape(48, 2, 48, 2).mean(axis=(1, 3))
    assert difference(render("pixelate", image, (0.5,)), np.kron(means, np.ones((2, 2)))).max() <= 1


def test_the_kernel_of_motion_is_not_normalised_and_may_be_off_centre():
    sums = [published_line(size, degrees).sum() for size in (3, 5, 7, 9, 11) for degrees in range(-180, 180, 3)]
    assert min(sums) < 0.98
    assert 1.1 < max(sums) < 1.14
    assert published_line(6, 0)[3].tolist() == pytest.approx([1 / 6] * 6)
    line = np.zeros((41, 41), np.uint8)
    line[20, 20] = 255
    spread = cv2.filter2D(line.astype(np.float32), -1, published_line(6, 0))
    assert (spread.sum(axis=0) * np.arange(41)).sum() / spread.sum() == pytest.approx(20.5)


@pytest.mark.parametrize("name", ["gaussian_blur", "oct_defocus"])
def test_blur_is_the_same_filter_under_two_names(name):
    image = picture()
    assert equal(render(name, image, (2.0,), compat=True), ndimage.gaussian_filter(image.astype(np.float32), 2))
    assert not np.array_equal(render("oct_defocus", image, (2.0,)), render("gaussian_blur", image, (2.0,)))


def test_saving_takes_back_what_brightness_and_exposure_change():
    image = picture()
    darker = next(seed for seed in range(9) if generator(seed).uniform(-1, 1) < -0.3)
    for name, seed in (("brightness", darker), ("xray_underexposure", 1)):
        for severity in TYPES[name].severities:
            assert difference(render(name, image, severity, compat=True, seed=seed), image).max() <= 1
            ours = render(name, image, severity, seed=seed, modality="xray")
            assert abs(ours.mean() - image.mean()) > 4
    stain = render("path_stain", image, compat=True, modality="pathology")
    assert difference(stain, image).max() <= 1


def test_saving_stretches_clean_parts():
    dull = picture() // 2 + 60
    assert (render("oct_shadow", dull, compat=True) > dull.max()).any()
    assert render("salt_and_pepper", dull, (0.0,), compat=True).tolist() == stretched(dull.astype(np.float32)).tolist()
    colour = np.stack([dull, dull // 2, dull // 3], axis=-1)
    assert render("salt_and_pepper", colour, (0.0,), compat=True).max(axis=(0, 1)).tolist() == [255] * 3
    assert render("xray_grid", colour, (0.0,), compat=True).max(axis=(0, 1)).tolist() != [255] * 3


@pytest.mark.parametrize("colour", [False, True])
def test_vignette_and_beam_hardening_are_radial_factors(colour):
    image = picture(colour=colour)
    planes = np.moveaxis(np.atleast_3d(image), -1, 0).astype(float)
    distance = from_middle(96)
    vignette = np.clip(1 - 0.3 * distance / 48, 0, 1)
    hardening = 1 - 0.4 * (distance / math.hypot(48, 48)) ** 2
    for name, severity, gain in (("vignette", (0.3,), vignette), ("ct_beam_hardening", (0.4,), hardening)):
        saved = np.moveaxis(np.atleast_3d(render(name, image, severity, compat=True)), -1, 0)
        assert all(equal(one, plane * gain) for one, plane in zip(saved, planes, strict=True))


def cylinder(side=256):
    return np.where(from_middle(side) < side / 2 - 1, 102, 0).astype(np.uint8)


def test_beam_hardening_cups_by_the_published_share_where_the_study_darkens_the_rim():
    water = cylinder()
    distance = from_middle(256)
    middle, rim = distance < 10, (distance > 112) & (distance < 122)
    for (share,) in TYPES["ct_beam_hardening"].severities:
        ours = render("ct_beam_hardening", water, (share,), modality="ct").astype(float)
        assert (ours[rim].mean() - ours[middle].mean()) / 102 == pytest.approx(share, rel=0.2, abs=0.02)
        theirs = render("ct_beam_hardening", water, (share,), compat=True).astype(float)
        assert theirs[rim].mean() < theirs[middle].mean() - 5


def test_photon_starvation_is_noise_that_only_ours_shows():
    water = cylinder()
    body = from_middle(256) < 115
    for (scale,) in TYPES["ct_photon_starvation"].severities:
        ours = render("ct_photon_starvation", water, (scale,), modality="ct")
        assert ours[body].std() == pytest.approx(255 * scale * math.sqrt(102 / 255), rel=0.15)
        hardly = render("ct_photon_starvation", with_ends(102), (scale,), compat=True)
        assert hardly[2:].std() == pytest.approx(scale * math.sqrt(103), abs=0.3)


def test_metal_is_as_strong_as_painted_rays():
    image = picture(192, 192)
    drawn = [
        StructuralSimilarity(image)(render("ct_metal_streaks", image, compat=True, seed=seed)) for seed in range(3)
    ]
    assert all(0.7 < value < 0.99 for value in drawn)
    rays = difference(render("ct_metal_streaks", with_ends(100), (0.15, 12), compat=True), with_ends(100)) > 1
    assert 0.005 < rays.mean() < 0.05


def test_motion_mixes_the_orders_of_two_transforms():
    image = picture(64, 80)
    severity = (5, 0.3, 2)
    shifts = published_shifts(severity, 64)
    assert np.count_nonzero(shifts) <= int(0.3 * 64)
    assert np.abs(shifts).max() <= 5
    assert not shifts[31:33].any()
    spectrum = np.fft.fftshift(np.fft.fft2(image.astype(float)))
    moved = {}
    for order in ("mixed", "right"):
        frequency = fft.fftfreq(80) if order == "mixed" else np.fft.fftshift(fft.fftfreq(80))
        phase = np.exp(-2j * np.pi * frequency * shifts[:, None])
        moved[order] = np.abs(np.fft.ifft2(np.fft.ifftshift(spectrum * phase)))
    # What would be the mean of a line gets the phase of the highest frequency.
    assert fft.fftfreq(80)[40] == -0.5
    saved = render("mri_motion", image, severity, compat=True)
    assert equal(saved, moved["mixed"])
    assert not equal(saved, moved["right"])


def test_every_second_ghost_is_the_image_itself():
    image = picture(80, 80)
    clean = image.astype(float)
    first = np.roll(ndimage.gaussian_filter(clean, 0.3), 40, axis=0)
    second = ndimage.gaussian_filter(clean, 0.4)
    assert equal(render("mri_ghosting", image, (0.5, 2, 1), compat=True), clean + 0.5 * first + 0.5 * 2**-0.8 * second)


def test_the_bias_field_runs_from_the_least_to_the_largest_gain():
    flat = with_ends(100)
    saved = render("mri_bias_field", flat, (0.3, 1), compat=True)[5:, 5:]
    assert saved.min() == pytest.approx(70, abs=2)
    assert saved.max() == pytest.approx(130, abs=2)


def test_scatter_crosses_channels_only_as_published():
    red = np.zeros((64, 512, 3), np.uint8)
    red[:, :150, 0] = np.linspace(100, 255, 64)[:, None]
    published = render("xray_scatter", red, (0.3,), compat=True)
    assert np.array_equal(published[..., 1], published[..., 2])
    assert published[:, :60, 1].min() > 5
    veil = ndimage.gaussian_filter(red.astype(np.float32), 30)
    assert difference(published, np.minimum(red + 0.3 * veil, 255)).max() <= 1
    assert render("xray_scatter", red, (0.3,), modality="xray")[..., 1:].max() == 0


def test_exposure_grid_and_window_follow_their_formulas():
    image = picture()
    clean = image.astype(float)
    assert equal(render("xray_overexposure", image, (1.5,), compat=True), np.minimum(clean * 1.5, 255))
    lined = clean.copy()
    lined[::4] *= 0.8
    assert equal(render("xray_grid", image, (0.2,), compat=True), lined)
    move = generator(5).uniform(-1, 1)
    middle = 127.5 + move * 0.4 * 255
    assert equal(render("window_level", image, (0.4,), compat=True), np.clip((clean - middle) / 0.8 + 127.5, 0, 255))


@pytest.mark.parametrize(
    "name",
    [
        "oct_shadow",
        "oct_blink",
        "oct_speckle",
        "us_acoustic_shadow",
        "us_reverberation",
        "endo_specular",
        "endo_blood",
        "endo_overexposure",
        "path_bubbles",
        "mri_bias_field",
        "mri_motion",
    ],
)
def test_places_do_not_depend_on_the_image_as_published(name):
    image = picture()
    published = TYPES[name]
    first, second = (render(name, image, compat=True, seed=seed) for seed in (1, 2))
    assert np.array_equal(first, second)
    one, other = (render(name, image, seed=seed, modality=next(iter(published.modalities))) for seed in (1, 2))
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("name", ["rotation", "scaling", "translation", "oct_row_motion"])
@both_modes
def test_the_map_says_where_pixels_went(name, compat):
    image = picture(90, 120, colour=True)
    # The ends of the range stay in the frame, so that saving stretches nothing.
    image[40:50, 55:65] = 0
    image[42:48, 57:63] = 255
    for severity in TYPES[name].severities:
        drawn = TYPES[name].realise(Scene(image), generator(3), compat)
        warp = drawn.warp(severity)
        inside = cv2.erode(valid_pixels(90, 120, warp).astype(np.uint8), np.ones((3, 3))) > 0
        assert inside.mean() > 0.3
        off = difference(drawn.render(severity), warp_image(image, warp, 0))[inside]
        assert np.percentile(off, 99) <= 3
        assert off.mean() < 1


def test_published_translation_may_stay_and_never_reaches_p():
    shifts = []
    for seed in range(60):
        drawn = TYPES["translation"].realise(Scene(picture(40, 40)), generator(seed), True)
        shifts.append(np.array(drawn.warp((5,)).parameters)[[2, 5]])
    assert np.array_equal(np.unique(shifts), np.arange(-5, 5))


def test_published_bubbles_refract_without_overlap():
    image = picture(128, 128, colour=True)
    # No bubble reaches a corner, so saving stretches nothing.
    image[0, 0], image[0, 1] = 0, 255
    for severity in TYPES["endo_bubbles"].severities:
        circles = published_bubbles(severity, 128, 128)
        assert 3 <= len(circles) <= max(3, 80 * severity[0])
        apart = np.hypot(*(circles[:, None, :2] - circles[None, :, :2]).T)
        reach = circles[:, 2] + circles[:, None, 2]
        assert (apart >= reach)[~np.eye(len(circles), dtype=bool)].all()
        drawn = TYPES["endo_bubbles"].realise(Scene(image), generator(1), True)
        assert np.reshape(drawn.warp(severity).parameters, (-1, 4)) == pytest.approx(circles)
        row, column = np.ogrid[:128, :128]
        inside = np.zeros((128, 128), bool)
        for x, y, radius, _ in circles:
            inside |= np.hypot(row - y, column - x) < radius + 1
        moved = difference(drawn.render(severity), image).max(axis=2)
        assert moved[inside].mean() > 15
        assert moved[~inside].max() <= 1


def test_hair_is_drawn_on_small_images_too():
    for side in (32, 100, 101, 102, 256):
        image = with_ends(150, side)
        for compat in (False, True):
            covered = render("hair", image, (15, 3), compat=compat, modality="dermoscopy") < 100
            assert 0.01 < covered.mean() < 0.7


def test_blood_covers_about_the_published_share():
    tissue = np.full((160, 160, 3), 150, np.uint8)
    for severity in TYPES["endo_blood"].severities[2:]:
        shares = [
            (difference(render("endo_blood", tissue, severity, seed=seed), tissue).max(axis=2) > 1).mean()
            for seed in range(6)
        ]
        assert np.mean(shares) == pytest.approx(severity[0], rel=0.4)


def test_blood_takes_green_and_blue_as_published():
    tissue = np.full((96, 96, 3), 200, np.uint8)
    tissue[0, 0], tissue[0, 1] = 0, 255
    lost = 200 - render("endo_blood", tissue, (0.28, 5), compat=True)[2:].astype(int).reshape(-1, 3).min(axis=0)
    assert lost.tolist() == pytest.approx([20, 100, 100], abs=2)


def test_compat_speckle_is_alike_in_all_channels_with_mean_one():
    image = np.stack([with_ends(100)] * 3, axis=-1)
    noisy = render("oct_speckle", image, (0.25, 3), compat=True)
    assert np.array_equal(noisy[..., 0], noisy[..., 2])
    places = np.random.RandomState(42 + 3 * 930)
    field = places.lognormal(0, 0.25, (200, 200))
    assert equal(noisy[..., 0], np.clip(image[..., 0] * field / field.mean(), 0, 255))
