"""Stain in optical density, and air under the cover slip."""

import numpy as np
import pytest
from skimage import color

from medstress.perturb.calibrate import calibrate
from medstress.perturb.pathology import HED, PATH_BUBBLES, PATH_STAIN, optical_density, restain
from medstress.perturb.protocol import Scene
from medstress.perturb.ssim import StructuralSimilarity
from medstress.pixels import to_uint8
from medstress.seeds import generator
from tests.conftest import images_of

LEVELS = [1, 2, 3, 4, 5]
UNCHANGED = np.ones(3), np.zeros(3)


@pytest.fixture(scope="module")
def slides():
    return images_of("pathology")


def stained(seed=1, shape=(60, 80)):
    """A slide of known amounts of stain, all of them positive."""
    amounts = generator(seed).uniform(0.1, 0.6, (*shape, 3))
    return to_uint8((255 * np.exp(-amounts @ HED)).astype(np.float32))


def test_stains_are_separated_and_joined_as_scikit_image_does():
    image = stained()
    gain, offset = np.array([1.4, 0.7, 1.1]), np.array([0.02, 0.1, 0.05])
    amounts = color.rgb2hed(image)
    # scikit-image measures density in units of ln(1e6).
    expected = 255 * color.hed2rgb(amounts * gain + offset / np.log(1e6))
    kept = (amounts > 0).all(axis=-1)
    assert kept.mean() > 0.9
    assert np.abs(restain(optical_density(image), gain, offset) - expected)[kept].max() < 1


def test_more_of_one_stain_adds_its_colour(slides):
    for name, image in slides.items():
        density = optical_density(image)
        more = -np.log(restain(density, np.array([1.5, 1, 1]), np.zeros(3)) / 255)
        added = (more - density).reshape(-1, 3)
        amount = added @ HED[0] / (HED[0] @ HED[0])
        assert np.abs(added - amount[:, None] * HED[0]).max() < 1e-3, name


def test_the_same_stain_is_the_same_image(slides):
    colours = generator(2).integers(0, 256, (50, 60, 3)).astype(np.uint8)
    for image in (*slides.values(), colours):
        assert np.array_equal(to_uint8(restain(optical_density(image), *UNCHANGED)), image)
    assert np.array_equal(to_uint8(restain(optical_density(colours[..., 0]), *UNCHANGED)), colours[..., 0])


def test_a_grey_image_is_one_stain():
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    expected = 255 * (np.maximum(grey, 0.5) / 255) ** 1.7 * np.exp(-0.1)
    assert np.abs(restain(optical_density(grey), np.array([1.7]), np.array([0.1])) - expected).max() < 0.01


def test_images_are_stained_differently_both_paler_and_darker(slides):
    image = next(iter(slides.values()))
    shifts = []
    for seed in range(12):
        out = PATH_STAIN.realise(Scene(image), generator(seed)).render(0.5)
        shifts.append((out.astype(float) - image).mean(axis=(0, 1)))
    shifts = np.array(shifts)
    assert shifts.mean(axis=1).min() < -10
    assert shifts.mean(axis=1).max() > 10
    # Not only brightness: the channels change apart from each other, and not always the same way.
    assert np.ptp(shifts[:, 0] - shifts[:, 1]) > 10


@pytest.mark.parametrize("perturbation", [PATH_STAIN, PATH_BUBBLES], ids=lambda item: item.name)
def test_every_band_is_reached_on_real_slides(perturbation, slides):
    for name, image in slides.items():
        for seed in (1, 2, 3):
            cells = calibrate(perturbation, perturbation.realise(Scene(image), generator(seed)), image, LEVELS)
            assert [cell.status for cell in cells] == ["in_band"] * 5, (name, seed)


def test_bubbles_cover_the_share_and_grow_out_of_each_other():
    image = generator(3).integers(60, 200, (128, 160, 3)).astype(np.uint8)
    realisation = PATH_BUBBLES.realise(Scene(image), generator(5))
    before = np.zeros(image.shape[:2], dtype=bool)
    for share in (0.02, 0.1, 0.3, 0.6):
        touched = (realisation.render(share) != image).any(axis=-1)
        # The bright line around a rim lies outside.
        assert share - 0.02 < touched.mean() < 1.25 * share + 0.03
        assert (before & ~touched).mean() < 0.01
        before = touched


def test_a_bubble_has_a_dark_rim_and_a_pale_unsharp_inside():
    flat = np.full((256, 256), 200, np.uint8)
    noise = generator(4).integers(100, 201, flat.shape).astype(np.uint8)
    for seed in range(3):
        on_flat = PATH_BUBBLES.realise(Scene(flat), generator(seed)).render(0.4)
        assert on_flat.min() < 80
        assert np.median(on_flat) == pytest.approx(200, abs=2)
        on_noise = PATH_BUBBLES.realise(Scene(noise), generator(seed)).render(0.4)
        inside = (on_flat == 200) & (np.abs(on_noise.astype(int) - noise) > 2)
        assert inside.mean() > 0.05
        assert on_noise[inside].std() < noise.std() / 4
        assert on_noise[inside].mean() > noise.mean() + 10


def test_bubbles_keep_colours_apart():
    red = np.zeros((96, 96, 3), np.uint8)
    red[..., 0] = generator(6).integers(50, 250, (96, 96))
    out = PATH_BUBBLES.realise(Scene(red), generator(7)).render(0.5)
    assert out[..., 1:].max() == 0
    assert not np.array_equal(out[..., 0], red[..., 0])


def test_bubbles_grow_without_jumps(slides):
    image = next(iter(slides.values()))
    similarity = StructuralSimilarity(image)
    realisation = PATH_BUBBLES.realise(Scene(image), generator(8))
    values = [similarity(realisation.render(share)) for share in np.arange(0.01, 0.6, 0.01)]
    assert np.all(np.diff(values) < 0.003)
    assert np.all(np.diff(values) > -0.05)
