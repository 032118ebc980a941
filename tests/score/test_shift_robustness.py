"""Relative robustness above the floor, by hand and in its intervals."""

import numpy as np
import pandas as pd
import pytest

from medstress.config import Statistics
from medstress.score.shift_robustness import Side, kept_above_floor, lost_between, side_of

STATISTICS = Statistics(resamples=400)


def side(values: list[float], floor: float | list[float] = 0.0, groups: list[str] | None = None, **more: float) -> Side:
    names = groups or [f"p{place}" for place in range(len(values))]
    return Side(np.array(values), np.broadcast_to(floor, len(values)).astype(float), np.array(names), **more)


def test_a_guess_keeps_nothing() -> None:
    # .75 in and .625 out of distribution, where a guess has .5: half of the ability is kept, not 83 %.
    iid, ood = side([1, 1, 1, 0] * 4, 0.5), side([1, 1, 1, 0, 0, 1, 1, 0] * 2, 0.5, [f"q{i}" for i in range(16)])
    kept = kept_above_floor(ood, iid, "toy", STATISTICS)
    assert kept.mean == pytest.approx(0.5)
    assert (kept.n_values, kept.n_groups) == (16, 16)
    assert lost_between(iid, ood, "toy", STATISTICS).mean == pytest.approx(0.125)


def test_the_published_stars() -> None:
    # 3.2 and 2.4 stars of 1 to 5.
    iid, ood = side([3.2] * 6, 1.0, reach=4.0), side([2.4] * 6, 1.0, reach=4.0)
    kept = kept_above_floor(ood, iid, "toy", STATISTICS)
    assert kept.mean == pytest.approx(1.4 / 2.2)
    # Nothing varies, so nothing is uncertain.
    assert (kept.low, kept.high) == (pytest.approx(kept.mean), pytest.approx(kept.mean))


def test_each_side_has_the_floor_of_its_own_questions() -> None:
    iid, ood = side([1.0] * 8, [0.5, 0.25] * 4), side([1.0, 0.5] * 4, [0.25] * 8)
    assert kept_above_floor(ood, iid, "toy", STATISTICS).mean == pytest.approx(0.5 / 0.625)


def test_nothing_to_divide_by() -> None:
    guessing, right = side([1, 0] * 6, 0.5), side([1] * 12, 0.5)
    undefined = kept_above_floor(right, guessing, "toy", STATISTICS)
    assert (undefined.mean, undefined.low) == (None, None)
    assert kept_above_floor(guessing, right, "toy", STATISTICS).mean == 0
    assert kept_above_floor(side([]), right, "toy", STATISTICS).mean is None
    # 6 of 12 right by more than a guess of .45, by little: many resamples have nothing to divide by.
    barely = kept_above_floor(right, side([1, 0] * 6, 0.45), "toy", STATISTICS)
    assert barely.mean == pytest.approx(0.5 / 0.05)
    assert barely.low is None


def test_few_groups_on_either_side_have_no_interval() -> None:
    many, few = side([1, 0.5] * 6), side([1, 0.5] * 6, groups=["a", "b", "c"] * 4)
    for first, second in ((many, few), (few, many)):
        value = kept_above_floor(first, second, "toy", STATISTICS)
        assert (value.n_groups, value.low) == (3, None)
    assert kept_above_floor(many, many, "toy", STATISTICS).low is not None


def test_shared_groups_are_paired_and_others_are_not() -> None:
    values = list(np.random.default_rng(0).uniform(0.2, 1, 40))
    lower = [value / 2 for value in values]
    paired = kept_above_floor(side(lower), side(values), "toy", STATISTICS)
    assert (paired.low, paired.high) == (pytest.approx(0.5), pytest.approx(0.5))
    others = [f"q{place}" for place in range(40)]
    apart = kept_above_floor(side(lower, groups=others), side(values), "toy", STATISTICS)
    assert apart.mean == pytest.approx(0.5)
    assert apart.low is not None
    assert apart.high is not None
    # The delta method: the relative variance of a quotient of independent means is the sum of theirs.
    spread = 0.5 * np.sqrt(2 * np.var(values, ddof=1) / 40) / np.mean(values)
    assert apart.high - apart.low == pytest.approx(2 * 2.02 * spread, rel=0.15)
    loss = lost_between(side(values), side(lower, groups=others), "toy", STATISTICS)
    assert loss.low is not None
    assert -1 < loss.low < np.mean(values) / 2 < (loss.high or 0) < 1


def test_the_order_of_rows_makes_no_difference() -> None:
    rows = pd.DataFrame(
        {"sample_id": list("abcdef"), "group_id": list("xyzxyz"), "value": [0.1, 0.7, 0.3, 0.9, 0.2, 1]}
    )
    chances = pd.Series(0.05, index=list("abcdef"))
    many = Statistics(resamples=100, min_groups=2)
    whole = side_of(rows, "closed_accuracy", chances)
    assert (whole.floors == 0.05).all()
    found = [
        kept_above_floor(side_of(frame, "closed_accuracy", chances), whole, "toy", many)
        for frame in (rows.head(4), rows.head(4)[::-1])
    ]
    assert found[0] == found[1]
    assert side_of(rows, "open_f1", None).floors.tolist() == [0.0] * 6
