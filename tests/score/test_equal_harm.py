"""Matching in resamples against the plain functions on each resample, and against numbers written out."""

import numpy as np
import pandas as pd
import pytest

from medstress.score.equal_harm import Curves, curves, matched_at
from medstress.score.statistics.matched import level_of_drop, matched_drops


def test_every_resample_is_matched_as_one_curve_is() -> None:
    random, levels = np.random.default_rng(2), np.array([1.0, 2.0, 4.0])
    # Curves that fall back, that start with a gain, and that never get so far.
    given = Curves(
        levels, random.normal(0.1, 0.1, (300, 3)), random.normal(0.1, 0.1, (300, 3)), random.uniform(0.2, 0.9, 300)
    )
    found = matched_at(given, 0.2)
    itself = matched_at(Curves(levels, given.reference, given.reference, given.clean), 0.2)
    reached = 0
    for step in range(300):
        drops = [0.2 * given.clean[step]]
        level = level_of_drop(levels, given.reference[step], drops)
        own = matched_drops(levels, given.reference[step], {"run": given.own[step]}, drops)["run"]
        np.testing.assert_allclose(found.level[step], level[0])
        np.testing.assert_allclose(found.drop[step], own[0])
        assert found.target[step] == drops[0]
        if np.isfinite(level[0]):
            assert itself.drop[step] == pytest.approx(drops[0])
        reached += bool(np.isfinite(level[0]))
    assert 50 < reached < 250


def test_a_curve_by_hand_and_one_with_a_hole() -> None:
    own = np.array([[0.1, 0.3], [0.1, np.nan]])
    reference = np.array([[0.02, 0.06], [0.02, 0.06]])
    found = matched_at(Curves(np.array([1.0, 2.0]), own, reference, np.array([0.8, 0.8])), 0.05)
    # 5 % of .8 is .04, halfway between the two levels.
    assert (found.level[0], found.drop[0], found.target[0]) == pytest.approx((1.5, 0.2, 0.04))
    assert np.isnan(found.drop[1])
    # A share of nothing is not reached, and neither is one of a negative score.
    for clean in (0.0, -0.5):
        assert np.isnan(matched_at(Curves(np.array([1.0, 2.0]), own, reference, np.full(2, clean)), 0.05).drop).all()


def _pairs(rows: list[tuple[str, int, str, int, float, float]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["run", "seed", "sample_id", "level", "clean", "drop"])
    return frame.assign(group_id="p" + frame["sample_id"], object_id="", perturbation="blur")


def test_curves_are_over_the_cells_that_both_answered_in_all_seeds() -> None:
    rows = [("base", 0, sample, level, 0.8, 0.1 * level) for sample in ("a", "b", "c") for level in (1, 2)]
    rows[4:] = [("base", 0, "c", level, 0.2, 0.5) for level in (1, 2)]
    rows += [("net", seed, sample, 1, 0.9, 0.1 + seed) for seed in (0, 1) for sample in ("a", "b")]
    # Of c one seed alone, and of level 2 one sample: c must not be in, nor b at level 2 in the reference's curve.
    rows += [("net", 0, "c", 1, 0.9, 9.0), ("net", 0, "a", 2, 0.9, 0.3), ("net", 1, "a", 2, 0.9, 0.5)]
    found = curves(_pairs(rows), "base", "set", 20)
    assert found["net"].levels.tolist() == [1, 2]
    assert found["net"].own[0] == pytest.approx([0.6, 0.4])
    assert found["net"].reference[0] == pytest.approx([0.1, 0.2])
    assert found["net"].clean[0] == pytest.approx(0.8)
    assert found["base"].reference[0] == pytest.approx([(0.1 + 0.1 + 0.5) / 3, (0.2 + 0.2 + 0.5) / 3])
    assert found["base"].own == pytest.approx(found["base"].reference, nan_ok=True)
    assert found["base"].own.shape == (21, 2)
    assert curves(_pairs(rows), "other", "set", 20) == {}
