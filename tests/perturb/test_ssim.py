"""Our SSIM is scikit-image's, only faster."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.metrics import structural_similarity

from medstress.perturb.ssim import StructuralSimilarity


def reference(clean: np.ndarray, image: np.ndarray) -> float:
    axis = 2 if clean.ndim == 3 else None
    return float(structural_similarity(clean, image, win_size=7, data_range=255, channel_axis=axis))


@pytest.mark.parametrize("shape", [(7, 7), (7, 64), (33, 50), (129, 101), (256, 256), (64, 31, 3), (128, 128, 3)])
def test_equals_scikit_image(shape):
    rng = np.random.default_rng(0)
    clean = rng.integers(0, 256, shape).astype(np.uint8)
    for spread in (1, 20, 120):
        image = np.clip(clean + rng.normal(0, spread, shape), 0, 255).astype(np.uint8)
        assert StructuralSimilarity(clean)(image) == pytest.approx(reference(clean, image), abs=1e-6)


def test_equals_scikit_image_on_real_images(real_images):
    rng = np.random.default_rng(1)
    for clean in real_images.values():
        image = np.clip(clean * 0.8 + rng.normal(10, 15, clean.shape), 0, 255).astype(np.uint8)
        assert StructuralSimilarity(clean)(image) == pytest.approx(reference(clean, image), abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_equals_scikit_image_on_anything(data):
    shape = data.draw(st.tuples(st.integers(7, 24), st.integers(7, 24)))
    # Few distinct values make constant windows, where the formula lives from C1 and C2 alone.
    pixels = st.sampled_from([0, 1, 128, 254, 255])
    clean = data.draw(hnp.arrays(np.uint8, shape, elements=pixels))
    image = data.draw(hnp.arrays(np.uint8, shape, elements=pixels))
    assert StructuralSimilarity(clean)(image) == pytest.approx(reference(clean, image), abs=1e-6)


def test_extremes():
    black, white = np.zeros((40, 40), np.uint8), np.full((40, 40), 255, np.uint8)
    assert StructuralSimilarity(white)(white) == pytest.approx(1, abs=1e-7)
    assert StructuralSimilarity(black)(white) == pytest.approx(reference(black, white), abs=1e-6)
    checker = (np.indices((40, 40)).sum(0) % 2 * 255).astype(np.uint8)
    assert StructuralSimilarity(checker)(255 - checker) == pytest.approx(reference(checker, 255 - checker), abs=1e-6)


def test_repeated_comparisons_do_not_disturb_each_other():
    rng = np.random.default_rng(2)
    clean, one, two = (rng.integers(0, 256, (50, 60)).astype(np.uint8) for _ in range(3))
    similarity = StructuralSimilarity(clean)
    first = similarity(one)
    similarity(two)
    assert similarity(one) == first


@pytest.mark.parametrize(
    "image", [np.zeros((40, 41), np.uint8), np.zeros((40, 40), np.float32), np.zeros((40, 40, 3), np.uint8)]
)
def test_refuses_what_does_not_fit(image):
    with pytest.raises(ValueError, match="expected uint8"):
        StructuralSimilarity(np.zeros((40, 40), np.uint8))(image)


def test_refuses_images_smaller_than_its_window():
    with pytest.raises(ValueError, match="at least 7x7"):
        StructuralSimilarity(np.zeros((6, 40), np.uint8))
