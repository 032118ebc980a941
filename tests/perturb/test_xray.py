"""X-ray and angiography artefacts work on exposure, in the direction in which the modality shows it."""

import numpy as np
import pytest

from medstress.config import BANDS
from medstress.perturb.angiography import ANGIO_HAZE
from medstress.perturb.calibrate import calibrate
from medstress.perturb.protocol import Scene
from medstress.perturb.xray import XRAY_GRID, XRAY_OVEREXPOSURE, XRAY_SCATTER, XRAY_UNDEREXPOSURE
from medstress.pixels import decode_png, encode_png
from medstress.seeds import generator
from tests.conftest import images_of

PAIRS = [
    (kind, modality, name)
    for kind in (XRAY_SCATTER, XRAY_UNDEREXPOSURE, XRAY_OVEREXPOSURE, XRAY_GRID)
    for modality, name in (("xray", "xray_1"), ("xray", "xray_2"), ("angiography", "angiography_1"))
] + [(ANGIO_HAZE, "angiography", "angiography_1")]
by_pair = pytest.mark.parametrize(
    ("kind", "modality", "name"), PAIRS, ids=[f"{kind.name}-{name}" for kind, _, name in PAIRS]
)
HIGH, LOW = slice(0, 64), slice(64, 128)


def render(kind, image, strength, modality="xray", seed=3):
    return kind.realise(Scene(image, modality=modality), generator(seed)).render(strength)


def ramp():
    return np.repeat(np.arange(256, dtype=np.uint8)[:, None], 64, axis=1)


@by_pair
def test_every_band_is_reached_and_survives_saving(kind, modality, name):
    image = images_of(modality)[name]
    cells = calibrate(kind, kind.realise(Scene(image, modality=modality), generator(1)), image, list(BANDS))
    assert [cell.status for cell in cells] == ["in_band"] * 5
    assert np.all(np.diff([cell.ssim for cell in cells]) < 0)
    saved = [decode_png(encode_png(cell.image), where="test").tobytes() for cell in cells]
    assert len({image.tobytes(), *saved}) == 6


@by_pair
def test_the_mildest_strength_returns_the_image(kind, modality, name):
    image = images_of(modality)[name]
    out = render(kind, image, kind.mildest, modality)
    assert np.abs(out.astype(int) - image).mean() < 0.6


@pytest.mark.parametrize("kind", [XRAY_UNDEREXPOSURE, XRAY_OVEREXPOSURE])
def test_less_exposure_is_white_on_a_film_and_dark_in_angiography(kind):
    image = np.full((64, 64), 128, np.uint8)
    film, fluoroscopy = (render(kind, image, 1, modality).mean() for modality in ("xray", "angiography"))
    under = kind is XRAY_UNDEREXPOSURE
    assert (film > 150) == under
    assert (fluoroscopy < 106) == under
    assert film + fluoroscopy == pytest.approx(256, abs=4)


def test_underexposure_is_noisy_and_noisier_where_less_arrives():
    image = np.full((128, 128), 60, np.uint8)
    image[LOW] = 128
    mild, strong = (render(XRAY_UNDEREXPOSURE, image, stops).astype(float) for stops in (0.2, 1.5))
    assert strong[HIGH].std() > 2 * mild[HIGH].std() > 1
    # At 2^-s of the exposure: relative variance (2^s - 1) / (300 E) through the characteristic curve.
    for part, grey in ((HIGH, 60), (LOW, 128)):
        odds = (1 - (grey + 0.5) / 256) / ((grey + 0.5) / 256)
        response = odds * 2**-2.25 / (1 + odds * 2**-2.25)
        expected = 256 * 1.5 * response * (1 - response) * np.sqrt((2**1.5 - 1) / (300 * odds ** (2 / 3)))
        assert strong[part].std() == pytest.approx(expected, rel=0.1)
        assert strong[part].mean() == pytest.approx(256 * (1 - response) - 0.5, abs=1)


def test_overexposure_runs_into_saturation_and_is_no_mere_offset():
    out = render(XRAY_OVEREXPOSURE, ramp(), 3)[:, 0].astype(int)
    assert np.all(np.diff(out) >= 0)
    assert out[:60].max() <= 4
    assert out[255] > 230, "what no radiation reached stays white"
    assert np.ptp(np.arange(256) - out) > 80


def test_scatter_takes_contrast_and_keeps_the_middle_exposure():
    image = np.full((128, 128), 90, np.uint8)
    image[32:96, 32:96] = 170
    out = [render(XRAY_SCATTER, image, ratio).astype(float) for ratio in (0.5, 2, 8)]
    contrasts = [values[40:88, 40:88].mean() - values[:20].mean() for values in (image, *out)]
    assert np.all(np.diff(contrasts) < 0)
    assert contrasts[-1] < 0.35 * contrasts[0]
    assert all(abs(values.mean() - image.mean()) < 40 for values in out)


def test_an_even_exposure_scatters_evenly():
    for grey in (0, 100, 255):
        out = render(XRAY_SCATTER, np.full((96, 96), grey, np.uint8), 5).astype(float)
        assert out.mean() == pytest.approx(grey, abs=1)


@pytest.mark.parametrize("kind", [XRAY_SCATTER, XRAY_UNDEREXPOSURE, XRAY_OVEREXPOSURE, XRAY_GRID])
@pytest.mark.parametrize("channel", [0, 2])
def test_channels_never_mix(kind, channel):
    image = np.zeros((96, 96, 3), np.uint8)
    image[20:70, 30:60, channel] = 200
    out = render(kind, image, kind.typical, "angiography")
    others = np.delete(out, channel, axis=2)
    alone = render(kind, np.zeros((96, 96), np.uint8), kind.typical, "angiography")
    assert np.array_equal(others[..., 0], others[..., 1])
    assert np.array_equal(others[..., 0], alone)


def test_grid_lines_lie_where_drawn_and_hold_exposure_back():
    image = np.full((256, 320), 128, np.uint8)
    weak, strong = (render(XRAY_GRID, image, depth).astype(float) for depth in (0.2, 0.6))
    assert weak.min() >= 128
    assert strong.max() > weak.max() > 135
    peaks = []
    for values in (weak, strong):
        power = np.abs(np.fft.rfft2(values - values.mean()))
        power[:3, :3] = power[-3:, :3] = 0
        peaks.append(np.unravel_index(power.argmax(), power.shape))
    assert peaks[0] == peaks[1]
    row, column = min(peaks[0][0], 256 - peaks[0][0]) / 256, peaks[0][1] / 320
    # One to two and a half percent of 256 pixels, and at least 2.5.
    assert 1 / 6.5 < np.hypot(row, column) < 1 / 2.4


def test_haze_follows_the_law_of_attenuation_and_airlight():
    image = images_of("angiography")["angiography_1"]
    drawn = ANGIO_HAZE.realise(Scene(image, modality="angiography"), generator(3))
    # Well inside the field, and t = exp(-b d) at b and 2 b: the second is the square of the first.
    part = np.s_[60:200, 120:220]
    veil = drawn.render(20)[part].astype(float)
    assert np.ptp(veil) <= 1
    clean = image[part] - veil
    once, twice = ((drawn.render(depth)[part] - veil) / clean for depth in (0.4, 0.8))
    sure = clean < -60
    assert sure.mean() > 0.5
    assert np.abs(once**2 - twice)[sure].max() < 0.04
    assert np.exp(-0.4 * 1.2) < once[sure].mean() < np.exp(-0.4 * 0.8)


@pytest.mark.parametrize("seed", range(4))
def test_haze_is_a_smooth_veil_inside_the_collimated_field(seed):
    image = images_of("angiography")["angiography_1"]
    out = [render(ANGIO_HAZE, image, depth, "angiography", seed).astype(int) for depth in (0.2, 0.6, 1.5)]
    corners = [np.s_[:20, :20], np.s_[:20, -20:], np.s_[-20:, :20], np.s_[-20:, -20:]]
    for milder, stronger in zip([image, *out], out, strict=False):
        assert np.all(stronger >= milder), "nothing gets darker"
        for corner in corners:
            assert np.array_equal(stronger[corner], image[corner]), "the frame stays black"
    # What was evenly dark is evenly lifted: no holes.
    evenly = np.s_[100:160, 180:230]
    assert image[evenly].std() < 12
    assert out[1][evenly].mean() > 2 * image[evenly].mean()
    assert out[1][evenly].std() < 12


def test_haze_covers_a_film_without_a_frame():
    image = np.full((64, 96), 60, np.uint8)
    image[20:40, 30:60] = 200
    out = render(ANGIO_HAZE, image, 1, "angiography")
    assert np.all(out[:15] > 90)
