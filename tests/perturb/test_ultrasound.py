"""Ultrasound artefacts run along the beam, whatever the probe."""

import cv2
import numpy as np
import pytest

from medstress.config import BANDS
from medstress.perturb.calibrate import calibrate
from medstress.perturb.probe import find_beams
from medstress.perturb.protocol import Scene
from medstress.perturb.ultrasound import TYPES, US_ACOUSTIC_SHADOW, US_REVERBERATION
from medstress.seeds import generator
from tests.conftest import images_of

SECTOR = {"apex": (140.0, -30.0), "half_angle": 0.6, "near": 45.0, "far": 270.0}


def sector_image(height=256, width=280, grey=160):
    """A fan of even grey and where its pixels lie: image, angle from the vertical, distance from the apex."""
    y, x = np.mgrid[:height, :width]
    x, y = x - SECTOR["apex"][0], y - SECTOR["apex"][1]
    radius, angle = np.hypot(x, y), np.arctan2(x, y)
    inside = (np.abs(angle) < SECTOR["half_angle"]) & (radius > SECTOR["near"]) & (radius < SECTOR["far"])
    return np.where(inside, grey, 0).astype(np.uint8), angle, radius


def render(kind, image, strength, seed=3):
    return kind.realise(Scene(image, modality="ultrasound"), generator(seed)).render(strength)


@pytest.mark.parametrize("scale", [1, 2])
def test_a_sector_s_apex_is_where_its_edges_cross(scale):
    image, angle, radius = sector_image()
    beams = find_beams(np.kron(image, np.ones((scale, scale), np.uint8)))
    assert beams.apex == pytest.approx(np.array(SECTOR["apex"]) * scale, abs=5 * scale)
    across, along = beams.across[::scale, ::scale], beams.along[::scale, ::scale]
    lit = image > 0
    expected = (angle / SECTOR["half_angle"] + 1) / 2
    assert np.abs(across - expected)[lit].max() < 0.04
    expected = (radius - SECTOR["near"]) / (SECTOR["far"] - SECTOR["near"])
    assert np.abs(along - expected)[lit].max() < 0.04
    assert beams.inside[::scale, ::scale][lit].mean() > 0.97


def test_a_rectangle_is_a_linear_probe_s_field():
    image = np.zeros((120, 200), np.uint8)
    image[20:100, 40:160] = 90
    beams = find_beams(image)
    assert beams.apex is None
    assert np.ptp(beams.across[20:100], axis=0).max() == 0
    assert beams.across[50, [40, 159]] == pytest.approx([0, 1], abs=0.03)
    assert beams.along[[20, 99], 50] == pytest.approx([0, 1], abs=0.03)
    assert not beams.inside[:, :38].any()


@pytest.mark.parametrize("name", ["ultrasound_1", "ultrasound_3"])
def test_real_fans_are_seen_as_fans(name):
    image = images_of("ultrasound")[name]
    apex = find_beams(image).apex
    assert apex is not None
    assert apex[1] < 0.1 * image.shape[0]
    assert 0.3 < apex[0] / image.shape[1] < 0.7


@pytest.mark.parametrize("image", [np.zeros((40, 50), np.uint8), np.full((33, 90, 3), 255, np.uint8)])
def test_an_image_without_a_field_counts_as_linear(image):
    beams = find_beams(image)
    assert beams.apex is None
    assert beams.inside.all()


def runs(marked):
    edges = np.diff(np.pad(marked.astype(int), 1))
    return list(zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_shadows_lie_behind_bright_fronts_and_not_above_them(seed):
    image = np.full((400, 600), 120, np.uint8)
    out = render(US_ACOUSTIC_SHADOW, image, 0.15, seed).astype(int)
    wide = [(first + last) // 2 for first, last in runs(out[-1] == 0) if last - first > 8]
    assert wide
    for column in out[:, wide].T:
        front = column.argmax()
        assert column[front] > 190
        assert 0.07 * 400 < np.flatnonzero(column != 120)[0] < front
        # White at the front, and then darker all the way.
        assert np.all(np.diff(column[front:]) <= 0)
    clear = out[-1] == 120
    assert clear.mean() > 0.3
    assert np.all(out[:, clear] == 120)


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_the_share_of_beams_is_lost(share):
    image = np.full((200, 300), 255, np.uint8)
    lost = (255 - render(US_ACOUSTIC_SHADOW, image, share)[-1].astype(float)) / 255 * 60
    # Bodies take 35 to 60 dB.
    assert 35 * share < lost.mean() < 60 * share


def test_bodies_appear_one_after_another():
    image = np.full((300, 900), 200, np.uint8)
    counts = [
        [len(runs(render(US_ACOUSTIC_SHADOW, image, share, seed)[-1] < 120)) for share in (0.01, 0.1, 0.5)]
        for seed in range(6)
    ]
    assert all(few <= some for few, some, _ in counts)
    assert max(few for few, _, _ in counts) <= 2
    assert np.mean([many for _, _, many in counts]) >= 3


def test_a_shadow_in_a_sector_follows_the_rays():
    image, angle, radius = sector_image()
    lost = image.astype(int) - render(US_ACOUSTIC_SHADOW, image, 0.12)
    middles = []
    for distance in (190, 225, 255):
        ring = (np.abs(radius - distance) < 4) & (image > 0)
        middles.append((angle * lost)[ring].sum() / lost[ring].sum())
    assert np.ptp(middles) < 0.02
    assert np.abs(lost[radius < 60]).max() == 0
    assert np.abs(lost[image == 0]).max() == 0


def test_more_bodies_take_more_of_what_is_behind_them():
    image = images_of("ultrasound")["ultrasound_1"]
    deep = find_beams(image).along > 0.65
    shadows = [render(US_ACOUSTIC_SHADOW, image, share) for share in (0.05, 0.2, 0.6, 1.0)]
    for milder, stronger in zip([image, *shadows], shadows, strict=False):
        assert np.all(stronger[deep] <= milder[deep])
        assert stronger[deep].sum(dtype=int) < milder[deep].sum(dtype=int)


def test_flow_keeps_its_hue_in_shadow():
    image = np.zeros((128, 128, 3), np.uint8)
    image[...] = (240, 160, 40)
    out = render(US_ACOUSTIC_SHADOW, image, 0.3).astype(float)[80:]
    shaded = (out[..., 0] < 200) & (out[..., 0] > 60)
    assert shaded.any()
    assert np.abs(out[..., 1] / out[..., 0] - 160 / 240)[shaded].max() < 0.02
    assert np.abs(out[..., 2] / out[..., 0] - 40 / 240)[shaded].max() < 0.02


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.name)
def test_nothing_is_drawn_outside_the_field(kind):
    image, _, _ = sector_image(grey=40)
    # A field that the frame grabber cut off below.
    image[200:] = 0
    near = cv2.dilate((image > 0).astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)
    for seed in range(3):
        out = render(kind, image, kind.strongest, seed)
        assert out[near].max() > 200
        assert out[~near].max() == 0


def peaks_of(profile):
    inner = profile[1:-1]
    return 1 + np.flatnonzero((inner > profile[:-2]) & (inner >= profile[2:]) & (inner > profile.max() / 10))


def test_echoes_are_evenly_spaced_and_fade_with_depth():
    image = np.full((400, 200), 40, np.uint8)
    added = render(US_REVERBERATION, image, 0.1).astype(int) - 40
    profile = added.max(axis=1)
    peaks = peaks_of(profile)
    assert len(peaks) >= 6
    assert np.ptp(np.diff(peaks)) <= 2
    assert peaks[0] == pytest.approx(np.diff(peaks).mean(), abs=2)
    assert np.all(np.diff(profile[peaks]) <= 1)
    assert np.ptp(added[peaks[1]]) > 3


def test_echoes_in_a_sector_are_arcs():
    image, angle, radius = sector_image(grey=30)
    added = render(US_REVERBERATION, image, 0.3).astype(int) - image
    found = []
    for low in (-0.3, 0.0, 0.2):
        wedge = (image > 0) & (angle > low) & (angle < low + 0.1)
        profile = np.array([added[wedge & (np.abs(radius - r) < 0.7)].mean() for r in range(50, 255)])
        found.append(peaks_of(profile))
    assert len({len(peaks) for peaks in found}) == 1
    assert np.ptp(np.array(found), axis=0).max() <= 2


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.name)
@pytest.mark.parametrize("name", ["ultrasound_1", "ultrasound_2", "ultrasound_3"])
def test_every_band_is_reached_on_real_images(kind, name):
    image = images_of("ultrasound")[name]
    cells = calibrate(kind, kind.realise(Scene(image), generator(1)), image, list(BANDS))
    assert [cell.status for cell in cells] == ["in_band"] * 5
