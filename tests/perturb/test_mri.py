"""MRI artefacts: that k-space is in the order of its frequencies, and what each artefact must leave alone."""

import cv2
import numpy as np
import pytest
from scipy import fft

from medstress.perturb.calibrate import calibrate
from medstress.perturb.mri import (
    CENTRE_SHARE,
    MRI_BIAS_FIELD,
    MRI_GHOSTING,
    MRI_MOTION,
    TYPES,
    draw_positions,
    ghosts_of,
    move_lines,
)
from medstress.perturb.protocol import Scene
from medstress.seeds import generator

by_name = pytest.mark.parametrize("perturbation", TYPES, ids=lambda item: item.name)


def draw(perturbation, image, seed=5):
    return perturbation.realise(Scene(image, modality="mri"), generator(seed))


def square(side=96, size=10):
    image = np.zeros((side, side), np.uint8)
    image[20 : 20 + size, 30 : 30 + size] = 100
    return image


@pytest.mark.parametrize("shape", [(96, 128), (97, 63)])
@pytest.mark.parametrize("shift", [(3, 5), (-4, 0)])
def test_lines_of_a_displaced_object_give_the_displaced_image(shape, shift):
    image = generator(1).random(shape, dtype=np.float32)
    everywhere = np.ones(shape[0], np.intp)
    moved = move_lines(fft.fft2(image), everywhere, np.array([(0, 0), shift], float))
    shown = fft.ifft2(moved)
    assert np.allclose(shown.imag, 0, atol=1e-5) or shape[0] % 2 == 0 or shape[1] % 2 == 0
    assert np.allclose(np.abs(shown), np.roll(image, shift, axis=(0, 1)), atol=1e-4)


@pytest.mark.parametrize("lines", [64, 181, 256])
def test_motion_keeps_the_centre_of_kspace(lines, real_images):
    image = cv2.resize(real_images["brain_anatomy"], (100, lines)).astype(np.float32)
    kspace = fft.fft2(image)
    held, positions = draw_positions(lines, generator(2))
    moved = move_lines(kspace, held, positions * 6)
    centre = np.abs(fft.fftfreq(lines)) <= CENTRE_SHARE / 2
    assert centre[0]
    assert np.array_equal(moved[centre], kspace[centre])
    assert np.abs(moved[~centre] - kspace[~centre]).max() > 100
    assert fft.ifft2(moved).mean() == pytest.approx(image.mean(), rel=1e-4)
    # Each position is held over one run of lines in the order of their frequencies, save for the central ones.
    order = np.fft.fftshift(held)
    runs = order[order > 0]
    assert np.array_equal(runs, np.sort(runs))
    assert np.hypot(*positions.T).max() <= 1


def test_motion_does_not_stretch_the_grey_values():
    constant = np.full((64, 80), 90, np.uint8)
    assert np.array_equal(draw(MRI_MOTION, constant).render(0.05), constant)
    bright, dim = square(), square() // 2
    whole, half = (draw(MRI_MOTION, image).render(0.03).astype(int) for image in (bright, dim))
    assert np.abs(whole - 2 * half).max() <= 2


@pytest.mark.parametrize("cycles", [7, 20, 48])
def test_periodic_lines_put_replicas_at_multiples_of_the_number_of_periods(cycles):
    channels = square()[None].astype(np.float32)
    weights = {-2: 0.3 - 0.1j, 1: 0.5 + 0.5j, 3: -0.2j}
    real, imaginary = ghosts_of(channels, cycles, weights)
    line = np.arange(96)
    modulation = sum(weight * np.exp(-2j * np.pi * j * cycles * line / 96) for j, weight in weights.items())
    experiment = fft.ifft(fft.fft(channels, axis=1) * modulation[:, None], axis=1)
    assert np.allclose(real + 1j * imaginary, experiment, atol=1e-3)
    if cycles == 20:
        assert real[0, 25 + 20, 35] == pytest.approx(50)
        assert imaginary[0, (22 - 40) % 96, 35] == pytest.approx(-10)


def test_alternate_lines_put_the_replica_at_half_the_field_of_view():
    """The textbook experiment, without the code under test: every other line of k-space is weaker."""
    image = square().astype(np.float64)
    kspace = np.fft.fft2(image)
    kspace[1::2] *= 0.8
    experiment = np.abs(np.fft.ifft2(kspace))
    ghost, _ = ghosts_of(image[None].astype(np.float32), 48, {1: 1 + 0j})
    assert np.allclose(experiment, np.abs(0.9 * image + 0.1 * ghost[0]), atol=1e-3)
    assert experiment[20 + 48 + 5, 35] == pytest.approx(10, abs=1e-6)


@pytest.mark.parametrize("strength", [0.3, 1.0])
@pytest.mark.parametrize("seed", range(12))
def test_ghosts_have_the_brightness_that_strength_says_and_never_more_than_the_image(seed, strength):
    image = square(192, 5)
    out = draw(MRI_GHOSTING, image, seed).render(strength).astype(int)
    # One axis is phase-encoding: along the other nothing leaves the square's rows or columns.
    along_rows = out[:, 30:35].sum() == out.sum()
    assert along_rows != (out[20:25].sum() == out.sum())
    profile, centre = (out[:, 32], 22) if along_rows else (out[22], 32)
    profile = np.roll(profile, -centre)
    assert profile.max() <= profile[0] + 1
    # The first ghost on either side is the brightest, and the next ones are fainter.
    spacing = 2 + next(c for c in range(3, 96) if abs(profile[c] - strength * profile[0]) <= 1)
    orders = [profile[[j * spacing % 192, -j * spacing % 192]] for j in (1, 2, 3)]
    assert np.abs(np.array([np.ptp(pair) for pair in orders])).max() <= 1
    assert orders[0].mean() > orders[1].mean() > orders[2].mean() > 0
    energy = (profile.astype(float) ** 2).sum()
    assert energy == pytest.approx(5 * 100.0**2, rel=0.06)


@pytest.mark.parametrize("seed", range(4))
def test_the_bias_field_is_smooth_and_as_strong_as_it_says(seed):
    flat = np.full((120, 90), 120, np.uint8)
    out = draw(MRI_BIAS_FIELD, flat, seed).render(1.0).astype(np.float64)
    gain = np.log(out / 120)
    assert np.ptp(gain) == pytest.approx(1, abs=0.03)
    waves = np.abs(fft.dctn(gain, norm="ortho"))
    order = np.add.outer(np.arange(120), np.arange(90))
    # What is left above the third order is the rounding to grey levels.
    assert waves[order > 3].max() < 0.02 * waves[order <= 3].max()
    assert np.array_equal(draw(MRI_BIAS_FIELD, np.zeros((40, 40), np.uint8)).render(5.0), np.zeros((40, 40)))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["brain_mri_tumour", "brain_anatomy"])
def test_the_window_follows_the_brightest_part_so_that_nothing_large_saturates(name, seed, real_images):
    image = real_images[name]
    realisation = draw(MRI_BIAS_FIELD, image, seed)
    brightest = cv2.resize(image.astype(np.float32), (16, 16), interpolation=cv2.INTER_AREA).max()
    for span in (1.0, 3.0, 6.0):
        out = realisation.render(span)
        seen = cv2.resize(out.astype(np.float32), (16, 16), interpolation=cv2.INTER_AREA).max()
        assert seen == pytest.approx(brightest, rel=0.15)
        assert (out == 255).mean() < (image == 255).mean() + 0.01


@pytest.mark.parametrize("perturbation", [MRI_MOTION, MRI_GHOSTING], ids=lambda item: item.name)
@pytest.mark.parametrize("shape", [(32, 200), (97, 64)])
def test_channels_are_treated_alike_and_apart(perturbation, shape, real_images):
    grey = cv2.resize(real_images["brain_mri_tumour"], shape[::-1])
    image = np.stack([grey, 255 - grey, grey // 2], axis=-1)
    out = draw(perturbation, image).render(perturbation.typical)
    for channel in range(3):
        alone = draw(perturbation, np.ascontiguousarray(image[..., channel])).render(perturbation.typical)
        # A single image's transform may round another way than three at once.
        assert np.abs(out[..., channel].astype(int) - alone).max() <= 1


def test_all_channels_have_one_gain():
    image = np.zeros((64, 80, 3), np.uint8)
    image[...] = (200, 100, 50)
    out = draw(MRI_BIAS_FIELD, image).render(1.5).astype(int)
    assert np.ptp(out[..., 1]) > 30
    assert np.abs(out[..., 0] - 2 * out[..., 1])[out[..., 0] < 255].max() <= 2
    assert np.abs(out[..., 1] - 2 * out[..., 2]).max() <= 2


@by_name
@pytest.mark.parametrize("name", ["brain_mri_tumour", "brain_anatomy"])
def test_all_bands_are_reached_on_real_images(perturbation, name, real_images):
    image = real_images[name]
    realisation = draw(perturbation, image)
    cells = calibrate(perturbation, realisation, image, (1, 2, 3, 4, 5))
    assert [cell.status for cell in cells] == ["in_band"] * 5
    assert np.all(np.diff([cell.strength for cell in cells]) > 0)
    assert np.abs(realisation.render(perturbation.mildest).astype(int) - image).max() <= 2
