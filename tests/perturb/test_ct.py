"""CT artefacts: the projector against what is known in closed form, and the physics of each artefact."""

from itertools import pairwise

import cv2
import numpy as np
import pytest

from medstress.perturb import sinogram
from medstress.perturb.calibrate import calibrate
from medstress.perturb.ct import (
    CT_BEAM_HARDENING,
    CT_METAL_STREAKS,
    CT_PHOTON_STARVATION,
    TYPES,
    draw_rods,
)
from medstress.perturb.protocol import Scene
from medstress.perturb.window import WINDOW_LEVEL, unclipped_grey
from medstress.pixels import to_uint8
from medstress.seeds import generator
from tests.conftest import EMBEDDED, embedded_image

ALL = (*TYPES, WINDOW_LEVEL)
by_name = pytest.mark.parametrize("perturbation", ALL, ids=lambda item: item.name)


def draw(perturbation, scene, seed=5):
    return perturbation.realise(scene, generator(seed))


def shown(raw, low, high):
    return to_uint8((raw - np.float32(low)) * np.float32(255 / (high - low)))


def water_body(half_axes, side=256, window=(-1000.0, 1000.0)):
    """An ellipse of water in air; half axes x, y as shares of the side."""
    place = (np.arange(side) + 0.5) / side - 0.5
    inside = (place / half_axes[0]) ** 2 + (place[:, None] / half_axes[1]) ** 2 < 1
    raw = np.where(inside, 0, -1000).astype(np.float32)
    return Scene(shown(raw, *window), modality="ct", raw=raw, window=window)


def lung_slice():
    raw = cv2.imread(str(sorted((EMBEDDED / "lung_ct_tumour" / "raw").glob("*.png"))[0]), cv2.IMREAD_UNCHANGED)
    return Scene(
        embedded_image("lung_ct_tumour"), modality="ct", raw=raw.astype(np.float32) - 1024, window=(-1350.0, 150.0)
    )


def disc(x, y, radius):
    fine = (np.arange(sinogram.SIDE * 4) + 0.5) / 4 - sinogram.SIDE / 2
    inside = np.hypot(fine - x, fine[:, None] - y) < radius
    return inside.reshape(sinogram.SIDE, 4, sinogram.SIDE, 4).mean(axis=(1, 3)).astype(np.float32)


def test_a_disc_casts_its_chords_and_comes_back():
    x, y, radius = 20.0, -12.0, 50.0
    line_integrals = sinogram.project(disc(x, y, radius))
    assert line_integrals.shape == (180, 272)
    angle = sinogram.angles()[:, None]
    offset = sinogram.positions() - (x * np.cos(angle) + y * np.sin(angle))
    chords = 2 * np.sqrt(np.maximum(radius**2 - offset**2, 0))
    assert np.abs(line_integrals - chords)[np.abs(offset) < radius - 4].max() < 0.6
    assert line_integrals[np.abs(offset) > radius + 2].max() == 0
    back = sinogram.back_project(line_integrals)
    assert np.abs(back[disc(x, y, radius - 3) == 1] - 1).max() < 0.02
    assert np.abs(back[disc(x, y, radius + 3) == 0]).max() < 0.02


@pytest.mark.parametrize("shape", [(64, 64), (300, 200), (100, 1024), (2048, 2048)])
def test_the_grid_holds_images_of_any_size_in_place(shape):
    height, width = shape
    smooth = np.add.outer(np.linspace(0, 100, height), np.linspace(0, 50, width)).astype(np.float32)
    grid = sinogram.to_grid(smooth)
    assert grid.shape == (192, 192)
    assert np.abs(sinogram.from_grid(grid, height, width) - smooth).max() < 7


def test_beam_hardening_cups_a_uniform_cylinder():
    scene = water_body((0.35, 0.35))
    out = draw(CT_BEAM_HARDENING, scene).render(0.04).astype(float)
    radius = np.hypot(*(np.indices(out.shape) - 127.5))
    rings = [out[(radius >= low) & (radius < low + 12)].mean() for low in range(0, 84, 12)]
    assert all(inner < outer for inner, outer in pairwise(rings))
    assert rings[-1] - rings[0] > 15
    assert rings[0] < scene.image[128, 128] < rings[-1]
    body = scene.image > 100
    assert out[body].mean() == pytest.approx(scene.image[body].mean(), abs=1)


def test_beam_hardening_darkens_between_bones():
    scene = water_body((0.4, 0.4), window=(-300.0, 300.0))
    for x in (-50, 50):
        scene.raw[np.hypot(*(np.indices(scene.image.shape) - np.array([127.5, 127.5 + x])[:, None, None])) < 12] = 900
    with_bones = Scene(shown(scene.raw, *scene.window), modality="ct", raw=scene.raw, window=scene.window)
    changes = draw(CT_BEAM_HARDENING, with_bones).render(0.04).astype(int) - with_bones.image
    assert changes[128, 100:156].mean() < changes[100:156, 128].mean() - 2


def test_photon_noise_grows_with_attenuation():
    spreads = []
    for half_axis in (0.12, 0.24, 0.36, 0.48):
        scene = water_body((half_axis, half_axis))
        noise = draw(CT_PHOTON_STARVATION, scene).render(0.002).astype(float) - scene.image
        spreads.append(noise[118:138, 118:138].std())
    assert all(larger > 1.5 * smaller for smaller, larger in pairwise(spreads))


def test_photon_noise_streaks_along_the_rays_of_most_attenuation():
    scene = water_body((0.49, 0.2))
    noise = draw(CT_PHOTON_STARVATION, scene).render(0.003).astype(float) - scene.image
    inner = noise[100:156, 60:196]
    assert np.abs(np.diff(inner, axis=0)).mean() > 1.5 * np.abs(np.diff(inner, axis=1)).mean()


def steel_in_water(window):
    """A body of water with rods: the scene, the change of its image, and the rods."""
    scene = water_body((0.42, 0.36), window=window)
    rods = draw_rods(sinogram.to_grid(scene.raw + 1000) - 1000, generator(5))
    return scene, draw(CT_METAL_STREAKS, scene).render(4).astype(np.float32) - scene.image, rods


def test_streaks_pass_through_the_metal():
    # So wide a window that the metal is not clipped.
    _, changes, rods = steel_in_water((-6000.0, 6000.0))
    seen = np.abs(sinogram.project(sinogram.to_grid(changes)))
    chords = rods.chords()
    # The grid and the display blur a rod by a cell or two.
    away = cv2.dilate(chords, np.ones((1, 9))) == 0
    assert np.sqrt((seen[chords > 2] ** 2).mean()) > 5 * np.sqrt((seen[away] ** 2).mean())


def test_metal_is_read_too_low_where_the_beam_is_already_hard():
    scene, changes, rods = steel_in_water((-6000.0, 6000.0))
    water, chords = sinogram.project(sinogram.to_grid(scene.raw + 1000) / 1000), rods.chords()
    read = sinogram.project(sinogram.to_grid(changes)) / np.maximum(chords, 1)
    through_metal = chords > 4
    long_way, short_way = (read[through_metal & rays].mean() for rays in (water > 150, water < 110))
    assert 0.8 * short_way < long_way < 0.98 * short_way


def test_metal_is_bright_and_dark_between():
    scene, changes, rods = steel_in_water((-200.0, 200.0))
    cover = rods.cover(*scene.image.shape)
    assert np.all(scene.raw[cover > 0] == 0)
    assert changes[cover == 1].mean() > 100
    first, second = (centre * 256 / sinogram.SIDE + 127.5 for centre in rods.centres[:2])
    steps = np.linspace(0.3, 0.7, 9)[:, None]
    columns, rows = np.rint(first + steps * (second - first)).astype(int).T
    body = (scene.raw == 0) & (cover == 0)
    assert changes[rows, columns].mean() < changes[body].mean() - 3


@by_name
def test_grey_stored_as_colour_stays_grey(perturbation):
    grey = lung_slice().image
    colour = np.repeat(grey[..., None], 3, axis=2)
    strength = perturbation.typical / 4
    out = draw(perturbation, Scene(colour, modality="ct")).render(strength)
    assert np.array_equal(out[..., 0], out[..., 1])
    assert np.array_equal(out[..., 0], out[..., 2])
    alone = draw(perturbation, Scene(grey, modality="ct")).render(strength)
    assert np.abs(out[..., 0].astype(int) - alone).max() <= 1
    assert not np.array_equal(alone, grey)


@pytest.mark.parametrize("perturbation", TYPES, ids=lambda item: item.name)
def test_marks_in_colour_keep_their_colour(perturbation):
    colour = np.repeat((lung_slice().image // 4 + 100)[..., None], 3, axis=2)
    colour[100:110, 100:110] = (130, 110, 90)
    out = draw(perturbation, Scene(colour, modality="ct")).render(perturbation.mildest * 3).astype(int)
    inside = out[102:108, 102:108]
    assert np.all(np.abs(inside[..., 0] - inside[..., 1] - 20) <= 1)
    assert np.all(np.abs(inside[..., 1] - inside[..., 2] - 20) <= 1)


@pytest.mark.parametrize("perturbation", TYPES, ids=lambda item: item.name)
def test_without_raw_the_window_says_what_grey_means(perturbation):
    scene = water_body((0.3, 0.3))
    told = Scene(scene.image, modality="ct", window=scene.window)
    strength = perturbation.typical / 2
    with_raw, without = (draw(perturbation, item).render(strength).astype(int) for item in (scene, told))
    # An 8-bit grey level is 8 HU here.
    assert np.abs(with_raw - without).mean() < 1


@pytest.mark.parametrize("perturbation", TYPES, ids=lambda item: item.name)
def test_without_a_body_only_metal_shows(perturbation):
    air = np.zeros((80, 60), np.uint8)
    out = draw(perturbation, Scene(air, modality="ct")).render(perturbation.typical)
    assert (out.max() > 0) == (perturbation is CT_METAL_STREAKS)


def test_what_the_window_clipped_is_still_there():
    scene = lung_slice()
    before = unclipped_grey(scene)
    assert before.max() > 300
    assert np.array_equal(np.clip(before, 0, 255), scene.image)
    assert np.array_equal(unclipped_grey(Scene(scene.image)), scene.image)


def bright_steps(with_raw):
    """Tissue of 0, bone of 600 and of 1200 HU, in a window that shows both bones as white."""
    raw = np.repeat(np.float32([0, 600, 1200]), 40)[None].repeat(40, axis=0)
    window = (-1000.0, 500.0)
    return Scene(shown(raw, *window), modality="ct", raw=raw if with_raw else None, window=window)


def test_a_higher_level_brings_back_bone_only_where_the_record_has_it():
    for with_raw in (True, False):
        scene = bright_steps(with_raw)
        assert len(np.unique(scene.image)) == 2
        out = draw(WINDOW_LEVEL, scene).render(0.8)
        assert len(np.unique(out)) == (3 if with_raw else 2)
        assert out[0, 100] == 255 or with_raw


@pytest.mark.parametrize("seed", range(6))
def test_the_window_moves_and_narrows_as_said(seed):
    ramp = np.arange(256, dtype=np.uint8)[None].repeat(40, axis=0)
    out = draw(WINDOW_LEVEL, Scene(ramp), seed).render(0.4)[0].astype(float)
    between = np.flatnonzero((out > 2) & (out < 253))
    slope, offset = np.polyfit(between, out[between], 1)
    assert 1 / slope == pytest.approx(1 - 0.4 / 2, rel=0.01)
    centre = (127.5 - offset) / slope
    assert 0.25 * 0.4 - 0.01 <= abs(centre - 127.5) / 255 <= 0.4 + 0.01
    assert np.all(np.diff(out) >= 0)


@by_name
def test_all_bands_are_reached_on_a_real_slice(perturbation):
    scene = lung_slice()
    realisation = draw(perturbation, scene)
    cells = calibrate(perturbation, realisation, scene.image, (1, 2, 3, 4, 5))
    assert [cell.status for cell in cells] == ["in_band"] * 5
    assert np.all(np.diff([cell.strength for cell in cells]) > 0)
    assert np.abs(realisation.render(perturbation.mildest).astype(int) - scene.image).max() <= 2
