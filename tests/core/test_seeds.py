"""Seeds depend on names alone."""

import numpy as np

from medstress.seeds import generator, seed_of


def test_seeds_are_fixed_for_ever():
    # A change of these numbers changes every perturbed image of every study.
    assert seed_of("nuclei", "tile_00", "jpeg") == 7230974257886326559
    assert generator(1).integers(0, 2**32, 3).tolist() == [1969390303, 1303814779, 3133017647]


def test_names_do_not_run_together():
    assert len({seed_of("ab", "c"), seed_of("a", "bc"), seed_of("abc"), seed_of("abc", "")}) == 4


def test_seeds_fit_a_signed_column():
    assert all(0 <= seed_of("d", str(index), "p") < 2**63 for index in range(1000))


def test_draws_of_neighbours_are_unrelated():
    draws = np.stack([generator(seed_of("d", str(index), "p")).standard_normal(400) for index in range(50)])
    correlation = np.corrcoef(draws) - np.eye(50)
    assert np.abs(correlation).max() < 0.25
