"""The L2 ball: every stored image is inside it and within 0..255, and rounding neither wastes nor exceeds it."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medstress.attack.ball import into_ball, onto_grid, random_offset
from medstress.attack.subjects import to_images
from medstress.seeds import generator

SHAPES = st.tuples(st.integers(1, 3), st.sampled_from([1, 3]), st.integers(1, 9), st.integers(1, 9))


def drawn(shape, seed, spread):
    """Whole clean images, with black and white in them, and images at a heavy-tailed distance from these."""
    random = generator(seed)
    clean = torch.from_numpy(random.choice([0, 255, *range(20, 240, 7)], shape).astype(np.float32))
    change = spread * random.standard_t(2, shape).astype(np.float32)
    return clean, clean + torch.from_numpy(change)


def squares(stored, clean):
    """The squared L2 distance of each stored image from the clean one, in whole numbers."""
    pairs = zip(to_images(stored), to_images(clean), strict=True)
    return [int(((one.astype(int) - other) ** 2).sum()) for one, other in pairs]


@settings(max_examples=120, deadline=None)
@given(SHAPES, st.integers(0, 10**6), st.floats(0.01, 100), st.floats(1, 700))
def test_what_is_stored_is_inside(shape, seed, spread, radius):
    clean, pixels = drawn(shape, seed, spread)
    inside = into_ball(pixels, clean, radius, "l2")
    assert inside.min() >= 0
    assert inside.max() <= 255
    assert (inside - clean).double().flatten(1).norm(dim=1).max() <= radius + 1e-3
    stored = onto_grid(pixels, clean, radius, "l2")
    assert torch.equal(stored, stored.round())
    assert stored.min() >= 0
    assert stored.max() <= 255
    assert all(moved <= radius**2 for moved in squares(stored, clean))
    # No value goes the other way.
    assert ((stored - clean) * (pixels - clean) >= 0).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(20, 400))
def test_rounding_wastes_little_of_the_radius(seed, radius):
    """A change along a gradient with a few large values: naive rounding would leave the ball or lose most of it."""
    clean = torch.full((2, 1, 24, 24), 128.0)
    _, pixels = drawn(clean.shape, seed, 50.0)
    direction = pixels - pixels.mean()
    direction = direction / direction.flatten(1).norm(dim=1)[:, None, None, None]
    change = into_ball(clean + radius * direction, clean, radius, "l2") - clean
    kept = onto_grid(clean + change, clean, radius, "l2") - clean
    length, along = change.flatten(1).norm(dim=1), (kept * direction).flatten(1).sum(1)
    assert (along > 0.85 * length).all()


def test_a_change_below_half_a_grey_level_does_not_vanish():
    clean = torch.full((1, 1, 32, 32), 100.0)
    change = torch.linspace(0.05, 0.4, 1024).reshape(clean.shape)
    radius = float(change.norm())
    assert torch.equal((clean + change).round(), clean)
    kept = onto_grid(clean + change, clean, radius, "l2") - clean
    (square,) = squares(clean + kept, clean)
    assert 0.9 * radius**2 < square <= radius**2
    # What is kept is where the change was largest.
    assert kept.flatten()[-square:].tolist() == [1.0] * square


def test_what_is_rounded_is_no_longer_than_it_was():
    """A start that stayed well inside the ball is not pushed to its edge."""
    clean = torch.full((1, 1, 16, 16), 100.0)
    change = 10 * torch.from_numpy(random_offset(generator(3), clean.shape[1:], "l2"))
    (square,) = squares(onto_grid(clean + change, clean, 500.0, "l2"), clean)
    assert 0.8 * float(change.norm()) ** 2 < square <= 1.001 * float(change.norm()) ** 2


def test_l2_starts_have_uniform_lengths_and_directions():
    starts = np.stack([random_offset(generator(seed), (3, 4, 5), "l2") for seed in range(2000)])
    lengths = np.linalg.norm(starts.reshape(2000, -1), axis=1)
    assert np.abs(np.quantile(lengths, [0.1, 0.5, 0.9]) - [0.1, 0.5, 0.9]).max() < 0.04
    assert np.abs(starts.mean(0)).max() < 0.02
    assert np.array_equal(starts[7], random_offset(generator(7), (3, 4, 5), "l2"))
