"""Agreement of orders: SciPy's coefficients, and those of resamples without ranking each anew."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, spearmanr

from medstress.config import Statistics
from medstress.score.agreement import agreement, coefficients
from medstress.score.bootstrap import draws

STATISTICS = Statistics(resamples=200)


def test_known_coefficients() -> None:
    found = agreement([1, 2, 3, 4, 5], [1, 3, 2, 4, 5], list("abcde"), "d", STATISTICS)
    assert found.kendall.mean == pytest.approx(0.8)
    assert found.spearman.mean == pytest.approx(0.9)
    assert (found.kendall.n_values, found.kendall.n_groups) == (5, 5)
    assert -1 <= found.kendall.low < 0.8 < found.kendall.high <= 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 6)), min_size=2, max_size=30))
def test_tables_have_the_coefficients_of_scipy(pairs: list[tuple[int, int]]) -> None:
    first, second = np.array(pairs, np.float64).T
    table = np.zeros((1, 6, 7))
    np.add.at(table[0], (first.astype(int), second.astype(int)), 1)
    tau, rho = coefficients(table)[:, 0]
    if len(set(first)) < 2 or len(set(second)) < 2:
        assert np.isnan(tau)
        assert np.isnan(rho)
    else:
        assert tau == pytest.approx(kendalltau(first, second).statistic, abs=1e-12)
        assert rho == pytest.approx(spearmanr(first, second).statistic, abs=1e-12)


def test_the_interval_is_that_of_resampled_patients() -> None:
    random = np.random.default_rng(3)
    patients = np.repeat([f"p{number}" for number in range(12)], 4)
    first = random.integers(1, 6, 48).astype(float)
    second = first + random.normal(size=48)
    found = agreement(first, second, patients, "d", STATISTICS)
    names = np.unique(patients)
    taus = []
    for drawn in np.concatenate(list(draws(12, "d", 200))):
        rows = np.concatenate([np.flatnonzero(patients == names[place]) for place in drawn])
        taus.append(kendalltau(first[rows], second[rows]).statistic)
    low, high = np.quantile(taus, [0.025, 0.975])
    # Arms are lengthened for few groups.
    assert found.kendall.low < low < found.kendall.mean < high < found.kendall.high
    assert found.kendall.high - found.kendall.low == pytest.approx((high - low) * 1.173, rel=0.01)


def test_the_order_of_rows_does_not_matter() -> None:
    random = np.random.default_rng(4)
    first, second, groups = random.integers(1, 6, 60), random.random(60).round(1), random.integers(0, 9, 60)
    turned = random.permutation(60)
    assert agreement(first, second, groups, "d", STATISTICS) == agreement(
        first[turned], second[turned], groups[turned], "d", STATISTICS
    )


def test_without_an_order_there_is_no_agreement() -> None:
    same = agreement([3, 3, 3], [1, 2, 3], ["a", "b", "c"], "d", STATISTICS)
    assert (same.kendall.mean, same.spearman.mean, same.kendall.n_values) == (None, None, 3)


def test_few_groups_and_resamples_without_an_order_have_no_interval() -> None:
    few = agreement([1, 2, 3, 4], [1, 2, 4, 3], ["a", "a", "b", "b"], "d", STATISTICS)
    assert few.kendall.mean is not None
    assert few.kendall.low is None
    # One patient alone has another grade, and is in two thirds of the resamples.
    rare = agreement([1] * 9 + [5], [1] * 9 + [2], list("abcdefghij"), "d", STATISTICS)
    assert rare.kendall.mean == pytest.approx(1)
    assert rare.kendall.low is None
