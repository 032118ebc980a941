"""The promise of calibration: what can be reached is reached, on every image, and what cannot is said."""

import itertools

import numpy as np
import pytest

from medstress.config import BANDS
from medstress.perturb import PERTURBATIONS
from medstress.perturb.calibrate import calibrate, displace
from medstress.perturb.protocol import Perturbation, Realisation, Scene
from medstress.seeds import generator
from tests.perturb.reach import (
    cells_as_stored,
    images_for,
    independent_ssim,
    reached_by_scan,
    seed_for,
)

CALIBRATED = [perturbation for perturbation in PERTURBATIONS.values() if perturbation.table is None]
LEVELS = [1, 2, 3, 4, 5]


def draw(perturbation, image, seed=11):
    return perturbation.realise(Scene(image), generator(seed))


def part(image):
    """A hundredth of a megapixel of an image: a scan costs a hundred evaluations."""
    height, width = image.shape[:2]
    step = max(1, min(height, width) // 150)
    top, left = height // (3 * step), width // (3 * step)
    return np.ascontiguousarray(image[::step, ::step][top : top + 96, left : left + 90])


def scenes(perturbation):
    """One image of each modality that the type is for; general types on one of each of four."""
    seen = set()
    for modality, name, image in images_for(perturbation):
        if modality not in seen:
            seen.add(modality)
            yield name, Scene(part(image), modality=modality)


def test_what_a_dense_scan_reaches_is_reached():
    reachable, missed = 0, []
    for perturbation in CALIBRATED:
        for name, scene in scenes(perturbation):
            seed = seed_for(perturbation, name)
            found = reached_by_scan(perturbation, scene, seed, 80)
            cells = cells_as_stored(perturbation, scene, seed)
            reachable += len(found)
            for cell, _, ssim in cells:
                low, high = BANDS[cell.level]
                if cell.level in found and not low <= ssim <= high:
                    missed.append((name, perturbation.name, cell.level, ssim))
    assert reachable > 400
    assert len(missed) <= 0.01 * reachable, missed


@pytest.mark.parametrize("perturbation", CALIBRATED, ids=lambda item: item.name)
def test_cells_are_what_they_say(perturbation):
    for name, scene in scenes(perturbation):
        seed = seed_for(perturbation, name)
        realisation = perturbation.realise(scene, generator(seed))
        cells = cells_as_stored(perturbation, scene, seed)
        assert [cell.level for cell, _, _ in cells] == LEVELS
        for cell, stored, ssim in cells:
            low, high = BANDS[cell.level]
            assert cell.ssim == pytest.approx(ssim, abs=1e-6)
            assert (cell.status == "in_band") == (low <= cell.ssim <= high)
            assert cell.strength == perturbation.round(cell.strength)
            assert np.array_equal(stored, realisation.render(cell.strength))
        reached = [(cell, stored) for cell, stored, _ in cells if cell.status == "in_band"]
        assert not any(np.array_equal(stored, scene.image) for _, stored in reached)
        for (mild, _), (severe, _) in itertools.pairwise(reached):
            assert mild.ssim > severe.ssim
            assert mild.strength < severe.strength


def test_a_level_does_not_depend_on_which_others_are_asked_for():
    for perturbation in CALIBRATED:
        name, scene = next(scenes(perturbation))
        seed = seed_for(perturbation, name)
        every = calibrate(perturbation, perturbation.realise(scene, generator(seed)), scene.image, LEVELS)
        (alone,) = calibrate(perturbation, perturbation.realise(scene, generator(seed)), scene.image, [3])
        assert (alone.strength, alone.ssim, alone.status) == (every[2].strength, every[2].ssim, every[2].status)
        assert np.array_equal(alone.image, every[2].image)


def test_grey_jpeg_says_that_it_cannot_go_further(real_images):
    image = real_images["brain_mri_tumour"]
    jpeg = PERTURBATIONS["jpeg"]
    severest = calibrate(jpeg, draw(jpeg, image), image, LEVELS)[-1]
    assert severest.status == "unreachable"
    coarsest = [independent_ssim(image, draw(jpeg, image).render(strength)) for strength in range(60, 100)]
    assert severest.ssim == pytest.approx(min(coarsest), abs=1e-6)
    assert severest.ssim > BANDS[5][1]


def test_a_staircase_that_jumps_over_a_band_is_unreachable_and_holds_the_closest_image():
    clean = np.tile(np.arange(64, dtype=np.uint8) * 4, (64, 1))
    noise = generator(1).normal(0, 1, clean.shape)

    def render(strength):
        return np.clip(clean + noise * (2 if strength < 50 else 40), 0, 255).astype(np.uint8)

    stairs = Perturbation("jpeg", lambda scene, rng: Realisation(render), "steps", 1, 20, 99, whole=True)
    cells = calibrate(stairs, Realisation(render), clean, LEVELS)
    steps = [independent_ssim(clean, render(1)), independent_ssim(clean, render(99))]
    for cell in cells:
        centre = sum(BANDS[cell.level]) / 2
        assert cell.ssim == pytest.approx(min(steps, key=lambda value: abs(value - centre)), abs=1e-6)
    assert "unreachable" in {cell.status for cell in cells}


def test_constant_images_have_nothing_to_blur():
    flat = np.full((64, 64), 90, np.uint8)
    blur = PERTURBATIONS["gaussian_blur"]
    cells = calibrate(blur, draw(blur, flat), flat, LEVELS)
    assert {cell.status for cell in cells} == {"unreachable"}
    assert all(np.array_equal(cell.image, flat) for cell in cells)


@pytest.mark.parametrize("name", [item.name for item in PERTURBATIONS.values() if item.table is not None])
def test_displacements_come_from_the_table(name, real_images):
    image, perturbation = real_images["nuclei"], PERTURBATIONS[name]
    cells = displace(perturbation, draw(perturbation, image), image, LEVELS)
    assert [cell.strength for cell in cells] == list(perturbation.table)
    assert {cell.status for cell in cells} == {"table"}
    assert all(cell.ssim == pytest.approx(independent_ssim(image, cell.image), abs=1e-6) for cell in cells)
