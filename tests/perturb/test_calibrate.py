"""The promise of calibration: what can be reached is reached, on every image, and what cannot is said."""

import itertools

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from medstress.perturb import PERTURBATIONS
from medstress.perturb.calibrate import BANDS, calibrate, displace
from medstress.perturb.protocol import Perturbation, Realisation, Scene
from medstress.pixels import decode_png, encode_png
from medstress.seeds import generator

CALIBRATED = [perturbation for perturbation in PERTURBATIONS.values() if not perturbation.moves_pixels]
LEVELS = [1, 2, 3, 4, 5]


def draw(perturbation, image, seed=11):
    return perturbation.realise(Scene(image), generator(seed))


def skimage_ssim(clean, image):
    return structural_similarity(clean, image, data_range=255, channel_axis=2 if clean.ndim == 3 else None)


def crops(real_images):
    """Parts of real images: a scan costs hundreds of evaluations each."""
    brain = real_images["brain_mri_tumour"]
    height, width = brain.shape
    yield "brain", np.ascontiguousarray(brain[height // 4 : height // 4 + 96, width // 4 : width // 4 + 96])
    yield "brain with background", np.ascontiguousarray(brain[::2, ::2])
    lung = real_images["lung_ct_tumour"]
    yield "lung", np.ascontiguousarray(lung[:110, :91])
    yield "nuclei", real_images["nuclei"]
    yield "anatomy", np.ascontiguousarray(real_images["brain_anatomy"][::2, ::2])
    yield "colour", np.ascontiguousarray(real_images["colour"][:64, :64])


def test_what_a_dense_scan_reaches_is_reached(real_images):
    reachable, missed = 0, []
    for name, image in crops(real_images):
        for perturbation in CALIBRATED:
            realisation = draw(perturbation, image)
            whole = np.arange(perturbation.mildest, perturbation.strongest + 1)
            scan = whole if perturbation.whole else np.geomspace(perturbation.mildest, perturbation.strongest, 300)
            seen = np.array([skimage_ssim(image, realisation.render(perturbation.round(value))) for value in scan])
            for cell in calibrate(perturbation, realisation, image, LEVELS):
                low, high = BANDS[cell.level]
                if np.any((seen >= low) & (seen <= high)):
                    reachable += 1
                    if cell.status != "in_band":
                        missed.append((name, perturbation.name, cell.level, cell.ssim))
    assert reachable > 200
    assert len(missed) <= 0.01 * reachable, missed


@pytest.mark.parametrize("perturbation", CALIBRATED, ids=lambda item: item.name)
def test_cells_are_what_they_say(perturbation, real_images):
    for image in real_images.values():
        realisation = draw(perturbation, image)
        cells = calibrate(perturbation, realisation, image, LEVELS)
        assert [cell.level for cell in cells] == LEVELS
        for cell in cells:
            stored = decode_png(encode_png(cell.image), where="test")
            low, high = BANDS[cell.level]
            assert cell.ssim == pytest.approx(skimage_ssim(image, stored), abs=1e-6)
            assert (cell.status == "in_band") == (low <= cell.ssim <= high)
            assert cell.strength == perturbation.round(cell.strength)
            assert np.array_equal(stored, realisation.render(cell.strength))
        reached = [cell for cell in cells if cell.status == "in_band"]
        assert all(mild.ssim > severe.ssim for mild, severe in itertools.pairwise(reached))
        assert all(mild.strength < severe.strength for mild, severe in itertools.pairwise(reached))


def test_levels_do_not_depend_on_which_others_are_asked_for_in_status(real_images):
    image = real_images["brain_mri_tumour"]
    for perturbation in CALIBRATED:
        every = {cell.level: cell.status for cell in calibrate(perturbation, draw(perturbation, image), image, LEVELS)}
        (alone,) = calibrate(perturbation, draw(perturbation, image), image, [3])
        assert alone.status == every[3]


def test_grey_jpeg_says_that_it_cannot_go_further(real_images):
    image = real_images["brain_mri_tumour"]
    jpeg = PERTURBATIONS["jpeg"]
    severest = calibrate(jpeg, draw(jpeg, image), image, LEVELS)[-1]
    assert severest.status == "unreachable"
    coarsest = [skimage_ssim(image, draw(jpeg, image).render(strength)) for strength in range(60, 100)]
    assert severest.ssim == pytest.approx(min(coarsest), abs=1e-6)
    assert severest.ssim > BANDS[5][1]


def test_a_staircase_that_jumps_over_a_band_is_unreachable_and_holds_the_closest_image():
    clean = np.tile(np.arange(64, dtype=np.uint8) * 4, (64, 1))
    noise = generator(1).normal(0, 1, clean.shape)

    def render(strength):
        return np.clip(clean + noise * (2 if strength < 50 else 40), 0, 255).astype(np.uint8)

    stairs = Perturbation("jpeg", lambda scene, rng: Realisation(render), "steps", 1, 20, 99, whole=True)
    cells = calibrate(stairs, Realisation(render), clean, LEVELS)
    steps = [skimage_ssim(clean, render(1)), skimage_ssim(clean, render(99))]
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


@pytest.mark.parametrize("name", ["rotation", "scaling", "translation"])
def test_displacements_come_from_the_table(name, real_images):
    image, perturbation = real_images["nuclei"], PERTURBATIONS[name]
    cells = displace(perturbation, draw(perturbation, image), image, LEVELS)
    assert [cell.strength for cell in cells] == list(perturbation.table)
    assert {cell.status for cell in cells} == {"table"}
    assert all(cell.ssim == pytest.approx(skimage_ssim(image, cell.image), abs=1e-6) for cell in cells)
