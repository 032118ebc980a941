"""Endoscopy: highlights, bubbles, blood and over-exposure do what an endoscopist knows them by."""

import cv2
import numpy as np
import pytest

from medstress.perturb.calibrate import calibrate
from medstress.perturb.endo_bubbles import ENDO_BUBBLES
from medstress.perturb.endoscopy import ENDO_BLOOD, ENDO_OVEREXPOSURE, ENDO_SPECULAR
from medstress.perturb.protocol import Scene
from medstress.perturb.ssim import StructuralSimilarity
from medstress.perturb.warp import valid_pixels, warp_box, warp_image, warp_mask, warp_points
from medstress.pixels import box_of
from medstress.seeds import generator

EVERY = (ENDO_SPECULAR, ENDO_BUBBLES, ENDO_BLOOD, ENDO_OVEREXPOSURE)
every = pytest.mark.parametrize("perturbation", EVERY, ids=lambda item: item.name)


def mucosa(height=160, width=200):
    """Pink tissue that is darker far from the lamp, with vessels and grain, uint8 [H, W, 3]."""
    rows, columns = np.indices((height, width))
    light = 1 / (1 + (np.hypot(rows - height / 2, columns - width / 3) / height) ** 2)
    fields = [cv2.GaussianBlur(generator(seed).standard_normal((height, width)), (0, 0), 3) for seed in (1, 2)]
    vessels = np.exp(-((fields[0] * 40) ** 2))
    grain = cv2.GaussianBlur(generator(9).standard_normal((height, width)), (0, 0), 1) * 0.15 + fields[1]
    colour = np.array([205, 110, 95]) * (light * (1 + grain))[..., None] - vessels[..., None] * np.array([25, 45, 40])
    return np.clip(np.rint(colour), 0, 255).astype(np.uint8)


def drawn(perturbation, image, seed=3):
    return perturbation.realise(Scene(image, modality="endoscopy"), generator(seed))


def disc(height=160, width=200, centre=(80, 90), radius=34):
    rows, columns = np.indices((height, width))
    return (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2


@every
@pytest.mark.parametrize("colour", [True, False], ids=["colour", "grey"])
def test_ssim_falls_steadily_and_every_band_is_reached(perturbation, colour):
    image = mucosa() if colour else np.ascontiguousarray(mucosa()[..., 1])
    realisation = drawn(perturbation, image)
    similarity = StructuralSimilarity(image)
    values = [similarity(realisation.render(s)) for s in np.geomspace(perturbation.mildest, perturbation.strongest, 80)]
    assert values[0] > 0.98
    reached = np.array([value for value in values if value > 0.5])
    assert np.diff(reached).max() < 0.005
    assert np.diff(reached).min() > -0.2
    cells = calibrate(perturbation, realisation, image, (1, 2, 3, 4, 5))
    assert [cell.status for cell in cells] == ["in_band"] * 5
    assert all(np.diff([cell.strength for cell in cells]) > 0)


@every
def test_the_mildest_strength_changes_almost_nothing(perturbation):
    image = mucosa()
    mild = drawn(perturbation, image).render(perturbation.mildest)
    assert np.abs(mild.astype(int) - image).mean() < 0.6


@pytest.mark.parametrize("share", [0.02, 0.05, 0.1, 0.25])
def test_highlights_cover_the_share_they_say_with_white(share):
    image = np.minimum(mucosa(256, 256), 200)
    out = drawn(ENDO_SPECULAR, image).render(share)
    white = (out.astype(float) - image) / (255.0 - image)
    assert white.mean() == pytest.approx(share, rel=0.06)
    assert np.mean(np.all(out == 255, axis=2)) > 0.1 * share


def test_highlights_are_many_small_gather_in_the_light_and_stay():
    image = np.minimum(mucosa(256, 256), 200)
    brighter = []
    for seed in range(4):
        realisation = drawn(ENDO_SPECULAR, image, seed)
        spots = np.any(realisation.render(0.03) > image + 40.0, axis=2)
        count, _, facts, _ = cv2.connectedComponentsWithStats(spots.astype(np.uint8))
        assert count > 40
        assert np.median(facts[1:, cv2.CC_STAT_AREA]) < 0.002 * spots.size
        smooth = cv2.blur(image.max(axis=2), (9, 9))
        brighter.append(smooth[spots].mean() - smooth.mean())
        assert not np.any(spots & ~np.any(realisation.render(0.2) > image + 40.0, axis=2))
    assert np.mean(brighter) > 3


def test_no_highlight_lies_in_a_dark_lumen():
    image = np.minimum(mucosa(), 200)
    lumen = disc(radius=30)
    image[lumen] //= 5
    well_inside = disc(radius=27)
    for seed in range(3):
        out = drawn(ENDO_SPECULAR, image, seed).render(0.25)
        assert np.array_equal(out[well_inside], image[well_inside])
        assert np.any(out[~lumen] == 255)


@every
def test_nothing_changes_outside_the_field_of_view(perturbation):
    image = mucosa()
    outside = ~disc(radius=75)
    image[outside] = 0
    for seed in range(3):
        realisation = drawn(perturbation, image, seed)
        for strength in np.geomspace(perturbation.mildest, perturbation.strongest, 6):
            assert not realisation.render(strength)[outside].any()
            if realisation.warp is not None:
                assert not warp_image(image, realisation.warp(strength), 0)[outside].any()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [0.003, 0.1, 0.35, 0.68])
def test_bubbles_move_masks_as_they_move_pixels(seed, share):
    image = mucosa()
    mask = disc()
    realisation = drawn(ENDO_BUBBLES, image, seed)
    warp = realisation.warp(share)
    moved = warp_mask(mask, warp)
    assert np.array_equal(moved, warp_image(mask.astype(np.uint8) * 255, warp, 0) > 127)
    assert moved.any()
    assert valid_pixels(*mask.shape, warp).all()
    # Away from rims and mirrored lamps the rendering is the moved image itself.
    refracted = warp_image(image, warp, 0)
    assert np.mean(np.all(np.abs(realisation.render(share).astype(int) - refracted) <= 1, axis=2)) > 1 - share


def test_a_dark_object_seen_through_bubbles_fits_its_moved_mask():
    """On a flat background rim and lamp are known, so the refraction of the object can be read off the picture."""
    mask = disc()
    flat = np.full(mask.shape, 200, np.uint8)
    scene = np.where(mask, 100, 200).astype(np.uint8)
    for seed in range(4):
        bright, seen = (drawn(ENDO_BUBBLES, picture, seed) for picture in (flat, scene))
        shade, out = bright.render(0.4).astype(float), seen.render(0.4).astype(float)
        # Where the lamp is mirrored nothing of the object is seen.
        readable = np.abs(shade - warp_image(flat, bright.warp(0.4), 0)) < 150
        clear = readable & (shade < 215)
        found = (out < 0.75 * shade)[clear]
        expected = warp_mask(mask, seen.warp(0.4))[clear]
        assert np.sum(found & expected) / np.sum(found | expected) > 0.97


def test_the_outline_of_a_moved_mask_is_the_moved_outline():
    mask = disc()
    angle = np.linspace(0, 2 * np.pi, 2000)
    outline = np.stack([90 + 34.3 * np.cos(angle), 80 + 34.3 * np.sin(angle)], axis=1)
    misses = []
    for seed in range(20):
        warp = drawn(ENDO_BUBBLES, mucosa(), seed).warp(0.5)
        x, y = warp_points(outline, warp, *mask.shape).T
        moved = warp_mask(mask, warp)
        # The first pixel centre inside lies half a pixel further in than the outline, on average.
        expected = np.array([x.min() + 0.5, y.min() + 0.5, x.max() + 0.5, y.max() + 0.5])
        misses.append(np.abs(np.array(box_of(moved)) - expected))
        assert warp_box(box_of(mask), mask, moved, warp) == box_of(moved)
    # A bulge that is narrower than a pixel belongs to the outline but not to the mask.
    assert np.mean(np.array(misses) <= 1) > 0.9
    assert np.max(misses) < 2


def test_points_move_to_where_they_are_seen():
    warp = drawn(ENDO_BUBBLES, mucosa()).warp(0.5)
    clean = generator(4).uniform(0, 1, (500, 2)) * (199, 159)
    seen = warp_points(clean, warp, 160, 200)
    # Behind each point of the perturbed image lies what the record's formula says.
    back = seen.copy()
    for x, y, radius, strength in np.reshape(warp.parameters, (-1, 4)):
        offset = seen - (x, y)
        squared = (offset**2).sum(axis=1) / radius**2
        back -= np.where(squared < 1, strength * (1 - squared), 0)[:, None] * offset
    assert np.abs(back - clean).max() < 1e-9
    assert np.abs(seen - clean).max() > 1


def test_nothing_outside_bubbles_changes_and_bubbles_do_not_overlap():
    image = mucosa()
    realisation = drawn(ENDO_BUBBLES, image)
    circles = np.reshape(realisation.warp(0.4).parameters, (-1, 4))
    rows, columns = np.indices(image.shape[:2])
    away = np.ones(image.shape[:2], bool)
    for x, y, radius, strength in circles:
        away &= np.hypot(columns - x, rows - y) > radius
        assert 0 < strength <= 0.7
    assert np.array_equal(realisation.render(0.4)[away], image[away])
    assert away.mean() == pytest.approx(0.6, abs=0.02)
    distance = np.hypot(circles[:, None, 0] - circles[None, :, 0], circles[:, None, 1] - circles[None, :, 1])
    gap = distance - circles[:, None, 2] - circles[None, :, 2]
    assert gap[~np.eye(len(circles), dtype=bool)].min() > 0


def test_bubbles_grow_from_nothing_and_stay():
    realisation = drawn(ENDO_BUBBLES, mucosa())
    before = np.reshape(realisation.warp(0.2).parameters, (-1, 4))
    after = np.reshape(realisation.warp(0.3).parameters, (-1, 4))
    assert len(after) > len(before)
    assert np.array_equal(after[: len(before) - 1], before[:-1])
    area = [np.pi * (circles[:, 2] ** 2).sum() / (160 * 200) for circles in (before, after)]
    assert area == pytest.approx([0.2, 0.3], abs=1e-9)


def test_blood_turns_tissue_red_and_dark_and_spreads():
    image = mucosa()
    realisation = drawn(ENDO_BLOOD, image)
    covered = []
    for level in (200.0, 400.0, 800.0):
        out = realisation.render(level).astype(int)
        assert np.all(cv2.blur(out.astype(np.float32), (9, 9)) <= cv2.blur(image.astype(np.float32), (9, 9)) + 1)
        under = image[..., 1].astype(int) - out[..., 1] > 20
        covered.append(under.mean())
        redness = out[..., 0] / np.maximum(out[..., 1], 1)
        assert redness[under].mean() > 1.3 * (image[..., 0] / np.maximum(image[..., 1], 1))[under].mean()
    assert 0 < covered[0] < covered[1] < covered[2]


def test_blood_follows_beer_and_lambert():
    """Where one film is twice as thick as another, the light that it lets through is squared."""
    image = mucosa()
    image[::2, ::2] = np.clip(image[::2, ::2].astype(int) + 25, 0, 255)
    realisation = drawn(ENDO_BLOOD, image)
    # The contrast between neighbours passes through the film; what the blood sends back does not change it.
    clean = image[::2, ::2, 0].astype(float) - image[::2, 1::2, 0]
    strong = np.abs(clean) > 15
    passed = []
    for level in (1000.0, 1100.0, 1200.0):
        out = realisation.render(level).astype(float)
        passed.append(np.median(((out[::2, ::2, 0] - out[::2, 1::2, 0]) / np.where(clean == 0, 1, clean))[strong]))
    assert passed[1] / passed[0] == pytest.approx(np.exp(-2 * 0.004 * 100 / 2.2), abs=0.12)
    assert passed[2] / passed[1] == pytest.approx(passed[1] / passed[0], abs=0.12)


def test_blood_darkens_a_grey_image():
    grey = np.ascontiguousarray(mucosa()[..., 1])
    out = drawn(ENDO_BLOOD, grey).render(500.0)
    assert out.ndim == 2
    assert out.mean() < 0.9 * grey.mean()


def test_over_exposure_saturates_outwards_from_one_place():
    image = np.full((150, 150), 120, np.uint8)
    realisation = drawn(ENDO_OVEREXPOSURE, image)
    y, x = np.argwhere(realisation.render(1.0) == realisation.render(1.0).max()).mean(axis=0)
    rows, columns = np.indices(image.shape)
    distance = np.hypot(rows - y, columns - x)
    extents = []
    for stops in (4.0, 6.0):
        out = realisation.render(stops).astype(int)
        assert np.all(out >= image)
        white = out == 255
        extents.append(white.mean())
        assert distance[white].max() < distance[~white].min() + 3
    assert 0.02 < extents[0] < extents[1] < 0.9
    # One stop doubles the light at the brightest place.
    ratio = (realisation.render(1.0).max() / 120) ** 2.2
    assert ratio == pytest.approx(2, rel=0.03)


def test_full_pixels_spill_into_dark_ones():
    image = np.full((120, 120), 150, np.uint8)
    image[5:115, 60] = 0
    realisation = drawn(ENDO_OVEREXPOSURE, image)
    assert realisation.render(1.0)[5:115, 60].max() == 0
    assert realisation.render(5.0)[5:115, 60].max() > 60


@pytest.mark.parametrize("perturbation", [ENDO_SPECULAR, ENDO_BUBBLES, ENDO_OVEREXPOSURE], ids=lambda item: item.name)
def test_a_colourless_picture_in_colour_is_treated_as_the_grey_one(perturbation):
    grey = np.ascontiguousarray(mucosa()[..., 1])
    colour = np.stack([grey] * 3, axis=-1)
    once, thrice = (drawn(perturbation, image).render(perturbation.typical) for image in (grey, colour))
    assert np.array_equal(thrice, np.stack([once] * 3, axis=-1))
