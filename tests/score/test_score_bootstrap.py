"""The interval against a slow loop, and its coverage where the truth is known."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, t

from medstress.config import Statistics
from medstress.score.bootstrap import estimate, estimate_column, widening
from medstress.seeds import generator, seed_of


def clustered(groups: int, seed: int) -> tuple[list[float], list[str]]:
    """Values around 0.6 that differ more between groups than inside them; groups have 1 to 6 values."""
    random = np.random.default_rng(seed)
    values, names = [], []
    for group in range(groups):
        centre = 0.6 + 0.1 * random.normal()
        for _ in range(random.integers(1, 7)):
            values.append(centre + 0.03 * random.normal())
            names.append(f"p{group:03d}")
    return values, names


def test_equal_to_a_loop() -> None:
    values, names = clustered(12, 1)
    statistics = Statistics(resamples=200)
    random = generator(seed_of("bootstrap", "toy"))
    groups = sorted(set(names))
    means = []
    for _ in range(200):
        drawn = [groups[random.integers(0, len(groups))] for _ in groups]
        carried = [value for group in drawn for value, name in zip(values, names, strict=True) if name == group]
        means.append(np.mean(carried))
    got = estimate(values, names, "toy", statistics)
    assert got.mean == pytest.approx(np.mean(values), rel=1e-12)
    centre = np.mean(values)
    wider = np.sqrt(12 / 11) * t.ppf(0.975, 11) / norm.ppf(0.975)
    low, high = np.quantile(means, [0.025, 0.975])
    assert got.low == pytest.approx(centre - (centre - low) * wider, rel=1e-12)
    assert got.high == pytest.approx(centre + (high - centre) * wider, rel=1e-12)
    assert (got.n_values, got.n_groups) == (len(values), 12)


def test_the_order_of_rows_does_not_change_a_bit() -> None:
    values, names = clustered(20, 2)
    order = np.random.default_rng(0).permutation(len(values))
    shuffled = estimate(np.array(values)[order], np.array(names)[order], "toy", Statistics())
    assert shuffled == estimate(values, names, "toy", Statistics())
    assert shuffled != estimate(values, names, "other", Statistics())


def test_chunks_do_not_change_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    values, names = clustered(20, 3)
    whole = estimate(values, names, "toy", Statistics())
    monkeypatch.setattr("medstress.score.bootstrap._DRAWS_AT_ONCE", 150)
    assert estimate(values, names, "toy", Statistics()) == whole


def test_few_groups_have_no_interval() -> None:
    values, names = [0.1, 0.2, 0.3, 0.6] * 10, ["a", "b", "c", "d"] * 10
    got = estimate(values, names, "toy", Statistics())
    assert (got.mean, got.low, got.high, got.n_groups) == (pytest.approx(0.3), None, None, 4)
    assert estimate(values, names, "toy", Statistics(min_groups=4)).low is not None


def test_no_values() -> None:
    got = estimate([], [], "toy", Statistics())
    assert (got.mean, got.low, got.high, got.n_values, got.n_groups) == (None, None, None, 0, 0)


def test_coverage_of_a_known_mean() -> None:
    statistics = Statistics(resamples=400)
    inside = too_sure = 0
    for seed in range(200):
        values, names = clustered(30, 1000 + seed)
        got = estimate(values, names, "toy", statistics)
        inside += got.low < 0.6 < got.high
        single = estimate(values, [str(place) for place in range(len(values))], "toy", statistics)
        too_sure += single.low < 0.6 < single.high
    assert 0.91 <= inside / 200 <= 0.99
    # Resampling values as if they were independent is what the groups are there to prevent.
    assert too_sure / 200 < 0.8


@pytest.mark.parametrize("groups", [5, 10, 30])
def test_few_groups_are_covered_too(groups: int) -> None:
    statistics = Statistics(resamples=400)
    inside = plain = 0
    for seed in range(400):
        values, names = clustered(groups, 5000 + seed)
        got = estimate(values, names, "toy", statistics)
        inside += got.low < 0.6 < got.high
        arms = np.array([got.low - got.mean, got.high - got.mean]) / widening(groups, 0.95)
        plain += got.mean + arms[0] < 0.6 < got.mean + arms[1]
    assert 0.91 <= inside / 400 <= 0.98
    # What the widening is there for: the plain percentile interval of five groups is far too sure.
    assert groups > 5 or plain / 400 < 0.87


def test_many_groups_need_no_widening() -> None:
    assert widening(5, 0.95) == pytest.approx(1.584, abs=1e-3)
    assert widening(100_000, 0.95) == pytest.approx(1, abs=1e-4)


def test_intervals_stay_where_the_metric_can_be() -> None:
    rows = pd.DataFrame({"value": [1.0, 1.0, 1.0, 1.0, 0.4], "group_id": list("abcde")})
    rows["drop"], rows["perturbed"] = rows["value"], 1 - rows["value"]
    assert estimate(rows["value"], rows["group_id"], "toy", Statistics()).high > 1
    whole = {
        column: estimate_column(rows, column, "iou", "toy", Statistics()) for column in rows if column != "group_id"
    }
    assert (whole["value"].high, whole["drop"].high, whole["perturbed"].low) == (1, 1, 0)
    # A distance has no upper end, and a drop may be a gain.
    assert estimate_column(rows, "value", "hd95", "toy", Statistics()).high > 1
    rows["drop"] -= 1
    assert estimate_column(rows, "drop", "iou", "toy", Statistics()).low < 0
