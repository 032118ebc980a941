"""Properties that every perturbation has."""

from typing import get_args

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from medstress.names import PerturbationName
from medstress.perturb import PERTURBATIONS
from medstress.perturb.blur import line_kernel
from medstress.perturb.protocol import Scene
from medstress.seeds import generator

EVERY = list(PERTURBATIONS.values())
by_name = pytest.mark.parametrize("perturbation", EVERY, ids=lambda item: item.name)


def draw(perturbation, image, seed=5, background=0):
    return perturbation.realise(Scene(image, background), generator(seed))


def strengths(perturbation, count=6):
    if perturbation.table:
        return list(perturbation.table)
    return [perturbation.round(value) for value in np.geomspace(perturbation.mildest, perturbation.strongest, count)]


def test_the_registry_has_the_names_that_a_study_may_use():
    assert tuple(PERTURBATIONS) == get_args(PerturbationName)


@by_name
def test_declares_a_sensible_range(perturbation):
    assert perturbation.mildest < perturbation.typical < perturbation.strongest
    assert perturbation.unit
    assert (draw(perturbation, np.zeros((32, 32), np.uint8)).warp is not None) == perturbation.moves_pixels


@by_name
@settings(max_examples=15, deadline=None)
@given(
    height=st.integers(32, 90),
    width=st.integers(32, 90),
    colour=st.booleans(),
    kind=st.sampled_from(["noise", "black", "white", "grey", "pixel", "line"]),
)
def test_any_image_keeps_shape_type_and_input(perturbation, height, width, colour, kind):
    shape = (height, width, 3) if colour else (height, width)
    image = np.full(shape, {"white": 255, "grey": 128}.get(kind, 0), np.uint8)
    if kind == "noise":
        image = generator(3).integers(0, 256, shape).astype(np.uint8)
    if kind == "pixel":
        image[height // 2, width // 2] = 255
    if kind == "line":
        image[:, width // 3] = 200
    before = image.copy()
    realisation = draw(perturbation, image)
    for strength in strengths(perturbation, 3):
        out = realisation.render(strength)
        assert out.shape == shape
        assert out.dtype == np.uint8
    assert np.array_equal(image, before)


@by_name
def test_rendering_twice_gives_the_same_pixels_and_another_seed_another_draw(perturbation, real_images):
    image = real_images["nuclei"]
    strength = strengths(perturbation)[3]
    realisation = draw(perturbation, image)
    once = realisation.render(strength)
    realisation.render(strengths(perturbation)[1])
    assert np.array_equal(once, realisation.render(strength))
    assert np.array_equal(once, draw(perturbation, image).render(strength))
    drawn = {"gaussian_noise", "salt_and_pepper", "speckle", "motion_blur", "translation"}
    if perturbation.name in drawn:
        assert not np.array_equal(once, draw(perturbation, image, seed=6).render(strength))


@by_name
def test_the_mildest_strength_nearly_returns_the_image(perturbation, real_images):
    for image in real_images.values():
        out = draw(perturbation, image).render(perturbation.mildest)
        # Pixelation by 2 % drops a few rows and columns; JPEG at quality 99 and noise touch the last bits.
        assert np.mean(np.abs(out.astype(int) - image.astype(int))) < 4.5


def test_salt_and_pepper_grow_out_of_each_other(real_images):
    image = real_images["brain_mri_tumour"]
    realisation = draw(PERTURBATIONS["salt_and_pepper"], image)
    mild, severe = (realisation.render(share) != image for share in (0.05, 0.2))
    assert not np.any(mild & ~severe)
    touched = np.isin(realisation.render(0.2), (0, 255)).mean() - np.isin(image, (0, 255)).mean() * 0.8
    assert touched == pytest.approx(0.2, abs=0.01)


def test_gaussian_blur_equals_scipy(real_images):
    for name, image in real_images.items():
        realisation = draw(PERTURBATIONS["gaussian_blur"], image)
        for sigma in (0.8, 2.0, 6.0):
            spread = (sigma, sigma, 0) if image.ndim == 3 else sigma
            expected = ndimage.gaussian_filter(image.astype(np.float64), spread, mode="reflect", truncate=6)
            assert np.abs(realisation.render(sigma) - expected).max() <= 1.5, (name, sigma)


@pytest.mark.parametrize("length", [1.05, 2.5, 7, 33.3, 120])
@pytest.mark.parametrize("angle", [0, 0.4, np.pi / 4, np.pi / 2, 3])
def test_motion_kernels_keep_brightness_and_place(length, angle):
    kernel = line_kernel(length, angle)
    rows, columns = np.indices(kernel.shape) - (kernel.shape[0] - 1) / 2
    assert kernel.shape[0] % 2 == 1
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    assert (kernel * rows).sum() == pytest.approx(0, abs=1e-3)
    assert (kernel * columns).sum() == pytest.approx(0, abs=1e-3)
    if length > 5:
        # The variance of a uniform line is length^2 / 12; anti-aliasing adds less than half a pixel.
        assert (kernel * (rows**2 + columns**2)).sum() == pytest.approx((length - 1) ** 2 / 12, rel=0.1, abs=0.6)


def test_brightness_and_contrast_do_what_they_say(real_images):
    image = real_images["brain_anatomy"]
    sign = 1 if image.mean() < 127.5 else -1
    brighter = draw(PERTURBATIONS["brightness"], image).render(30)
    assert np.array_equal(brighter, np.clip(image.astype(int) + sign * 30, 0, 255))
    flatter = draw(PERTURBATIONS["contrast"], image).render(0.5)
    assert flatter.std() == pytest.approx(image.std() / 2, rel=0.02)
    assert flatter.mean() == pytest.approx(image.mean(), abs=0.5)


def test_jpeg_is_the_codec_at_the_complementary_quality(real_images):
    image = real_images["lung_ct_tumour"]
    _, data = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, 30))
    expected = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    assert np.array_equal(draw(PERTURBATIONS["jpeg"], image).render(70), expected)


def test_pixelation_makes_blocks_of_the_mean():
    image = generator(1).integers(0, 256, (64, 96)).astype(np.uint8)
    out = draw(PERTURBATIONS["pixelate"], image).render(8)
    blocks = image.reshape(8, 8, 12, 8).mean(axis=(1, 3))
    assert np.abs(out[::8, ::8] - blocks).max() <= 0.51
    assert np.array_equal(out, np.kron(out[::8, ::8], np.ones((8, 8), np.uint8)))
