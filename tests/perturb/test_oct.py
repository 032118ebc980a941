"""OCT artefacts: shadows below vessels, lost and shifted scan lines, lateral defocus, speckle of a known contrast."""

import numpy as np
import pytest

from medstress.config import BANDS
from medstress.perturb.calibrate import calibrate
from medstress.perturb.oct import OCT_BLINK, OCT_DEFOCUS, OCT_ROW_MOTION, OCT_SHADOW, OCT_SPECKLE, TYPES
from medstress.perturb.protocol import Scene
from medstress.perturb.warp import warp_image
from medstress.seeds import generator
from tests.conftest import images_of


def draw(kind, image, seed=3, background=0):
    return kind.realise(Scene(image, background, "oct"), generator(seed))


def layered(height=200, width=300):
    """A dark, noisy vitreous over a bright retina that begins at a third of the height."""
    image = np.full((height, width), 150, np.uint8)
    image[: height // 3] = generator(8).integers(10, 30, (height // 3, width))
    return image


def runs(marked):
    edges = np.diff(np.pad(marked.astype(int), 1))
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)


@pytest.mark.parametrize("seed", range(4))
def test_vessels_are_narrow_soft_and_below_the_surface(seed):
    image = layered(200, 1200)
    out = draw(OCT_SHADOW, image, seed).render(0.12)
    assert np.array_equal(out[:50], image[:50])
    lost = 150 - out[-1].astype(int)
    vessels = lost > 16
    first, last = runs(vessels)
    assert len(first) >= 4
    assert (last - first).max() < 0.04 * 1200
    assert vessels.mean() == pytest.approx(0.12, abs=0.04)
    # What a vessel takes away sets in over several columns, not from one to the next.
    assert np.abs(np.diff(lost)).max() < 0.5 * lost.max()


def test_what_stays_in_the_dark_is_noise_of_the_vitreous():
    image = layered()
    out = draw(OCT_SHADOW, image).render(0.8)
    dark = out[-50:, 150 - out[-1].astype(int) > 125]
    assert dark.shape[1] > 30
    assert dark.max() <= 30
    assert dark.std() > 1


def test_shadows_only_grow():
    image = layered()
    drawn = draw(OCT_SHADOW, image)
    renders = [drawn.render(share) for share in (0.05, 0.2, 0.5, 1.0)]
    for milder, stronger in zip([image, *renders], renders, strict=False):
        assert np.all(stronger <= milder)
    assert (renders[-1][-1] < 100).mean() > 0.95


@pytest.mark.parametrize("share", [0.02, 0.1, 0.4, 0.9])
def test_a_blink_loses_the_share_of_rows_in_four_bands(share):
    image = np.full((400, 120), 200, np.uint8)
    out = draw(OCT_BLINK, image).render(share)
    assert np.ptp(out, axis=1).max() == 0, "whole scan lines"
    lost = 1 - out[:, 0] / 200
    assert lost.mean() == pytest.approx(share, abs=0.01)
    if share == 0.1:
        edges = np.diff(np.pad((lost > 0.3).astype(int), 1))
        assert (edges == 1).sum() == 4


def test_lost_scan_lines_hold_the_noise_of_the_vitreous():
    image = layered()
    out = draw(OCT_BLINK, image).render(0.5)
    lost = out[80:].max(axis=1) <= 30
    assert lost.mean() > 0.2
    noise = out[80:][lost]
    assert noise.min() >= 10
    assert noise.mean() == pytest.approx(image[:66].mean(), abs=0.5)
    assert noise.std() == pytest.approx(image[:66].std(), rel=0.1)


def test_rows_move_exactly_as_the_warp_says_and_every_level_goes_further():
    image = images_of("oct")["oct_synthetic"]
    drawn = draw(OCT_ROW_MOTION, image, background=7)
    largest = []
    for share in OCT_ROW_MOTION.table:
        warp = drawn.warp(share)
        assert warp.kind == "rows"
        assert np.array_equal(drawn.render(share), warp_image(image, warp, 7))
        largest.append(np.abs(warp.parameters).max() / image.shape[1])
    assert largest == pytest.approx(OCT_ROW_MOTION.table)
    assert len({drawn.render(share).tobytes() for share in OCT_ROW_MOTION.table}) == 5
    steps = np.abs(np.diff(drawn.warp(0.1).parameters))
    assert 2 <= (steps > 8 * np.median(steps)).sum() <= 8, "saccades stand out of the drift"


def test_defocus_blurs_along_the_rows_only():
    image = np.full((128, 128), 60, np.uint8)
    image[64:] = 180
    # An even layer edge stays sharp; a dot spreads sideways.
    out = draw(OCT_DEFOCUS, image).render(3)
    assert np.ptp(out, axis=1).max() <= 1
    dot = np.full((128, 128), 100, np.uint8)
    dot[64, 64] = 250
    flat = np.full((128, 128), 100, np.uint8)
    change = draw(OCT_DEFOCUS, dot).render(20).astype(int) - draw(OCT_DEFOCUS, flat).render(20)
    assert np.flatnonzero(change.any(axis=1)).tolist() in ([64], [])
    assert change[64].max() < 30


def test_defocus_is_not_the_same_at_all_depths():
    image = generator(5).integers(60, 200, (256, 256)).astype(np.uint8)
    out = draw(OCT_DEFOCUS, image).render(2.0).astype(float)
    detail = np.abs(np.diff(out, axis=1)).mean(axis=1)
    first, last = detail[:40].mean(), detail[-40:].mean()
    assert max(first, last) > 1.3 * min(first, last)


@pytest.mark.parametrize("contrast", [0.1, 0.3])
def test_speckle_has_its_contrast_in_intensity(contrast):
    image = np.full((256, 256), 128, np.uint8)
    out = draw(OCT_SPECKLE, image).render(contrast).astype(float)
    intensity = 10 ** ((out - 128) / 255 * 4)
    assert intensity.mean() == pytest.approx(1, abs=0.03)
    assert intensity.std() == pytest.approx(contrast, rel=0.12)
    grain = intensity - intensity.mean()
    neighbour = (grain[:, 1:] * grain[:, :-1]).mean() / grain.var()
    far = (grain[:, 6:] * grain[:, :-6]).mean() / grain.var()
    assert neighbour > 0.2
    assert abs(far) < 0.05


@pytest.mark.parametrize("kind", [kind for kind in TYPES if not kind.table], ids=lambda kind: kind.name)
def test_every_band_is_reached(kind):
    image = images_of("oct")["oct_synthetic"]
    cells = calibrate(kind, draw(kind, image), image, list(BANDS))
    assert [cell.status for cell in cells] == ["in_band"] * 5


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.name)
def test_three_equal_channels_stay_equal(kind):
    image = images_of("oct")["oct_synthetic"]
    strength = kind.table[2] if kind.table else kind.typical
    out = draw(kind, np.repeat(image[..., None], 3, axis=2)).render(strength)
    assert np.array_equal(out[..., 0], out[..., 1])
    assert np.array_equal(out[..., 0], draw(kind, image).render(strength))
