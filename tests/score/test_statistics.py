"""Statistics against simulations whose truth is known, and against formulas written out here."""

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from medstress.config import Statistics
from medstress.score.bootstrap import estimate, interval, resampled_together, widening
from medstress.score.robustness import relative_robustness
from medstress.score.statistics.components import components_of, detectable_of
from medstress.score.statistics.extremes import best_of_worst, largest_of, smallest_of
from medstress.score.statistics.matched import level_of_drop, matched_drops
from medstress.score.statistics.noise import floors_of_differences, noise_floors
from medstress.score.statistics.pairs import resampled_differences
from medstress.score.statistics.power import detectable_drop, power_of, spread_of_groups
from medstress.score.statistics.ranking import rank_stability
from medstress.score.statistics.shared import shared_means
from medstress.score.statistics.significance import adjusted, mcnemar_test, smallest_p, wilcoxon_test

STATISTICS = Statistics(resamples=400)
TRUTH = 0.1


def _clustered(random: np.random.Generator, groups: int, spread: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """Drops with mean TRUTH; groups of 2 to 8 samples differ by `spread`, samples by .1."""
    sizes = random.integers(2, 9, groups)
    names = np.repeat([f"p{place}" for place in range(groups)], sizes)
    away = np.repeat(random.normal(0, spread, groups), sizes)
    return TRUTH + away + random.normal(0, 0.1, len(names)), names


def test_the_interval_covers_the_truth_of_clustered_data_as_often_as_it_says() -> None:
    random, wider = np.random.default_rng(7), []
    covered: list[bool] = []
    naive: list[bool] = []
    for study in range(600):
        values, groups = _clustered(random, 24)
        found = estimate(values, groups, f"study{study}", STATISTICS)
        alone = estimate(values, np.arange(len(values)).astype(str), f"study{study}", STATISTICS)
        for one, into in ((found, covered), (alone, naive)):
            assert one.low is not None and one.high is not None
            into.append(one.low <= TRUTH <= one.high)
        wider.append((found.high or 0) - (found.low or 0) > (alone.high or 0) - (alone.low or 0))
    assert 0.93 <= np.mean(covered) <= 0.97
    # As if samples of a patient were independent: far too short.
    assert np.mean(naive) < 0.8
    assert np.mean(wider) == 1.0


def test_shared_means_are_those_of_each_resample_by_hand() -> None:
    random = np.random.default_rng(3)
    rows = pd.DataFrame(
        {
            "run": random.choice(["a", "b"], 90),
            "group_id": random.choice([f"p{place}" for place in range(9)], 90),
            "value": random.normal(size=90),
        }
    )
    names = sorted(rows["group_id"].unique())
    found = shared_means(rows.sample(frac=1, random_state=1), ["value"], ["run"], names, "set", 50)
    again = shared_means(rows, ["value"], ["run"], names, "set", 50)
    # The draws, from the resamples of one number that tells the groups apart.
    ones = resampled_together(np.eye(len(names)), np.ones((len(names), len(names))) / len(names), "set", 50)
    assert set(found) == {("a",), ("b",)}
    for run in ("a", "b"):
        own = rows[rows["run"] == run]
        assert found[run,]["value"][0] == pytest.approx(own["value"].mean())
        for step in range(1, 51):
            times = own["group_id"].map(dict(zip(names, ones[step], strict=True)))
            assert found[run,]["value"][step] == pytest.approx((own["value"] * times).sum() / times.sum())
        np.testing.assert_array_equal(found[run,]["value"], again[run,]["value"])


def _signed_rank_by_hand(values: list[float]) -> float:
    """All signs are equally likely: counts those with a rank sum at least as far from the middle."""
    ranks = {value: place + 1 for place, value in enumerate(sorted(map(abs, values)))}
    middle = sum(ranks.values()) / 2
    given = abs(sum(ranks[abs(value)] for value in values if value > 0) - middle)
    sums = [sum(rank for rank, up in zip(ranks.values(), ups, strict=True) if up) for ups in _signs(len(values))]
    return float(np.mean([abs(one - middle) >= given for one in sums]))


def _signs(count: int) -> Iterator[tuple[bool, ...]]:
    return itertools.product((False, True), repeat=count)


def test_wilcoxon_counts_all_signs_and_groups_once() -> None:
    values = [0.11, -0.02, 0.3, 0.17, 0.05, -0.21, 0.4, 0.26, 0.0]
    groups = ["a", "b", "c", "d", "e", "f", "g", "h", "i"]
    found = wilcoxon_test(values, groups)
    assert found.p_samples == pytest.approx(_signed_rank_by_hand(values[:-1]))
    assert found.p_groups == pytest.approx(found.p_samples)
    assert (found.n_samples, found.n_groups) == (8, 8)
    # The same patients photographed ten times are no more patients.
    often = wilcoxon_test(np.repeat(values, 10), np.repeat(groups, 10))
    assert often.p_groups == pytest.approx(found.p_groups)
    assert often.p_samples < found.p_samples / 10
    assert wilcoxon_test([0.0, 0.0], ["a", "b"]).p_groups == 1.0
    for groups in (5, 8):
        signs, names = np.arange(1.0, groups + 1), [f"p{place}" for place in range(groups)]
        assert wilcoxon_test(signs, names).p_groups == pytest.approx(smallest_p(groups))
        assert mcnemar_test(np.zeros(groups), np.ones(groups), names).p_groups == pytest.approx(smallest_p(groups))


def test_mcnemar_is_the_binomial_of_the_answers_that_changed() -> None:
    before = np.array([1] * 12 + [0] * 8, dtype=bool)
    after = before.copy()
    after[:9] = False
    after[12:14] = True
    groups = [f"p{place}" for place in range(20)]
    tail = sum(math.comb(11, wrong) for wrong in range(3)) / 2**11
    assert mcnemar_test(before, after, groups).p_samples == pytest.approx(2 * tail)
    # Two patients: one lost more than it gained, of the other as much came as went.
    found = mcnemar_test(before, after, ["a"] * 5 + ["b"] * 2 + ["a"] * 5 + ["b"] * 8)
    assert (found.n_groups, found.p_groups) == (1, 1.0)


def test_adjusted_p_values_follow_benjamini_and_hochberg() -> None:
    given = np.array([0.01, np.nan, 0.04, 0.03, 0.5])
    ordered = [0.01, 0.03, 0.04, 0.5]
    by_hand = [min(p * 4 / (rank + 1) for rank, p in enumerate(ordered) if rank >= place) for place in range(4)]
    np.testing.assert_allclose(adjusted(given), [by_hand[0], np.nan, by_hand[2], by_hand[1], by_hand[3]])
    assert np.isnan(adjusted([np.nan])).all()


def test_tau_and_the_share_of_firsts_are_those_of_every_resample() -> None:
    random = np.random.default_rng(5)
    means = np.vstack([[0.5, 0.4, 0.3, 0.2], np.array([0.5, 0.4, 0.3, 0.2]) + random.normal(0, 0.08, (300, 4))])
    found = rank_stability(means)
    for row, tau in zip(means[1:], found.tau, strict=True):
        pairs = list(itertools.combinations(range(4), 2))
        assert tau == pytest.approx(np.mean([1.0 if row[a] > row[b] else -1.0 for a, b in pairs]))
    assert found.first == pytest.approx(np.bincount(means[1:].argmax(axis=1), minlength=4) / 300)
    assert found.ranks.sum() == pytest.approx(10)
    fixed = rank_stability(np.tile([3.0, 1.0, 2.0], (6, 1)), smaller_is_better=True)
    assert (fixed.tau == 1).all() and fixed.first.tolist() == [0, 1, 0] and fixed.ranks.tolist() == [3, 1, 2]
    with pytest.raises(ValueError, match="two runs"):
        rank_stability(np.ones((5, 1)))


def test_the_detectable_drop_is_found_in_four_of_five_studies() -> None:
    random, groups, spread = np.random.default_rng(11), 12, 0.25
    drop = detectable_drop(spread, groups)
    assert power_of(drop, spread, groups) == pytest.approx(0.8)
    means = random.normal(drop, spread, (20_000, groups))
    statistic = means.mean(axis=1) / (means.std(axis=1, ddof=1) / math.sqrt(groups))
    # Student's quantile for 11 degrees of freedom.
    assert np.mean(np.abs(statistic) > 2.20099) == pytest.approx(0.8, abs=0.01)
    assert detectable_drop(spread, 48) < drop / 2
    assert math.isnan(detectable_drop(spread, 1)) and detectable_drop(0.0, 5) == 0.0


def test_the_spread_of_groups_is_that_of_their_means_where_all_are_as_large() -> None:
    random = np.random.default_rng(2)
    values = random.normal(size=(7, 4))
    groups = np.repeat([f"p{place}" for place in range(7)], 4)
    assert spread_of_groups(values.ravel(), groups) == pytest.approx(values.mean(axis=1).std(ddof=1))


def test_components_find_what_was_simulated_and_say_what_they_cannot() -> None:
    random = np.random.default_rng(4)
    images, types, seeds = 300, 6, 3
    image, kind = random.normal(0, 0.2, images), np.linspace(0, 0.3, types)
    draw, training = random.normal(0, 0.1, (images, types)), np.array([-0.06, 0.0, 0.06])
    rows = [
        (f"g{i}", f"s{i}", "", f"t{p}", level, seed, 0.1 + image[i] + kind[p] + draw[i, p] + training[seed], True)
        for i in range(images)
        for p in range(types)
        for level in (1, 2)
        for seed in range(seeds)
    ]
    names = ["group_id", "sample_id", "object_id", "perturbation", "level", "seed", "drop", "scored"]
    found = components_of(pd.DataFrame(rows, columns=names))
    assert found.data == pytest.approx(math.sqrt((0.2**2 + 0.1**2 / types) / images), rel=0.1)
    assert found.draw_at_most == pytest.approx(0.1 / math.sqrt(images * types), rel=0.05)
    assert found.seed == pytest.approx(0.06 / math.sqrt(3))
    assert found.total == pytest.approx(math.hypot(found.data or 0, found.seed or 0))
    alone = components_of(pd.DataFrame([row for row in rows if row[5] == 0], columns=names))
    assert alone.seed is None and alone.total == alone.data and alone.n_seeds == 1
    few = components_of(pd.DataFrame(rows[:1], columns=names))
    assert (few.data, few.draw_at_most, few.total) == (None, None, None)
    assert detectable_of(few, 0.95) is None
    spread = (found.data or 0) * math.sqrt(images)
    assert detectable_of(found, 0.9) == pytest.approx(detectable_drop(spread, images, 0.9))


def _pairs(random: np.random.Generator, patients: int, images: int, *, seeds: int = 1) -> pd.DataFrame:
    names = ["group_id", "sample_id", "object_id", "perturbation", "level", "seed", "drop", "scored"]
    cells = itertools.product(range(patients), range(images), "xyz", (1, 2), range(seeds))
    return pd.DataFrame(
        [(f"g{p}", f"s{p}-{i}", "", kind, level, seed, random.normal(), True) for p, i, kind, level, seed in cells],
        columns=names,
    )


def test_the_draws_part_is_never_more_than_the_data_it_is_a_part_of() -> None:
    random = np.random.default_rng(0)
    pairs = _pairs(random, 6, 5)
    # Patients are alike, so the data's part is small; their images are not.
    pairs["drop"] -= pairs.groupby("group_id")["drop"].transform("mean")
    pairs["drop"] += 1e-4 * pairs["group_id"].str[1:].astype(int)
    found = components_of(pairs)
    assert found.data is not None and 0 < found.data < 1e-3
    assert found.draw_at_most == found.data


def test_components_are_over_the_groups_that_all_seeds_have() -> None:
    pairs = _pairs(np.random.default_rng(1), 9, 2, seeds=3)
    lacking = pairs[(pairs["seed"] != 1) | ~pairs["group_id"].isin(["g0", "g1", "g2"])]
    found = components_of(lacking)
    whole = components_of(pairs[~pairs["group_id"].isin(["g0", "g1", "g2"])])
    assert found.n_groups == 6 and found == whole


def _difference(pairs: pd.DataFrame) -> np.ndarray:
    values = np.stack([pairs["drop"].to_numpy(), np.zeros(len(pairs))], axis=1)
    return resampled_differences(values, pairs["group_id"].astype(str), [(0, 1)], "set", 20)


def test_statistics_have_the_same_digits_in_any_order_of_rows() -> None:
    pairs = _pairs(np.random.default_rng(2), 7, 5, seeds=3)
    given = components_of(pairs)
    for state in range(20):
        mixed = pairs.sample(frac=1, random_state=state)
        # Categories come in the order of the files.
        for name in ("group_id", "sample_id", "perturbation"):
            mixed[name] = pd.Categorical(mixed[name], categories=list(dict.fromkeys(mixed[name])))
        assert components_of(mixed) == given
        assert detectable_of(components_of(mixed), 0.95) == detectable_of(given, 0.95)
        kept = [relative_robustness(one.assign(clean=one["drop"] + 3, perturbed=one["drop"])) for one in (pairs, mixed)]
        assert kept[0] == kept[1]
        np.testing.assert_array_equal(*(_difference(one) for one in (pairs, mixed)))


def test_equal_runs_differ_by_more_than_the_noise_floor_in_one_study_of_twenty() -> None:
    random, exceeded, groups = np.random.default_rng(8), [], 30
    for study in range(300):
        values = random.normal(0, 1, (4, groups)) + random.normal(0, 2, groups)
        means = resampled_together(values, np.ones_like(values), f"study{study}", 300)
        floors = noise_floors(means, groups, STATISTICS)
        assert floors is not None
        exceeded.append(bool((np.abs(means[0][:, None] - means[0]) > floors).any()))
    assert 0.01 <= np.mean(exceeded) <= 0.09
    assert floors is not None and (floors == floors.T).all() and not floors.diagonal().any()
    assert noise_floors(means, 4, STATISTICS) is None and noise_floors(means[:, :1], 30, STATISTICS) is None


def test_floors_are_standard_errors_times_one_number() -> None:
    random = np.random.default_rng(6)
    values = random.normal(0, [[1], [1], [1], [20]], (4, 40))
    values[1] = values[0] + 0.5
    means = resampled_together(values, np.ones_like(values), "noisy", 400)
    floors = noise_floors(means, 40, STATISTICS)
    pairs = list(itertools.combinations(range(4), 2))
    off = np.array([[(row[a] - row[b]) - (means[0, a] - means[0, b]) for a, b in pairs] for row in means[1:]])
    errors = np.sqrt((off**2).mean(axis=0))
    moved = errors > 1e-9
    ratio = np.quantile((np.abs(off[:, moved]) / errors[moved]).max(axis=1), 0.95) * widening(40, 0.95)
    assert floors is not None
    assert [floors[pair] for pair in pairs] == pytest.approx(list(np.where(moved, errors * ratio, 0)))
    # Two that always differ by the same are told apart, however noisy others are.
    assert floors[0, 1] == 0
    # Differences that are given have the same floors; one that lacks a resample, or groups, has none and changes none.
    given = np.stack([means[:, a] - means[:, b] for a, b in pairs], axis=1)
    more = np.hstack([given, np.full((401, 1), np.nan), 9 * random.normal(size=(401, 1))])
    found = floors_of_differences(more, [40] * 7 + [4], STATISTICS)
    assert found[:6] == pytest.approx([floors[pair] for pair in pairs]) and np.isnan(found[6:]).all()
    assert np.isnan(floors_of_differences(given[:1], [40] * 6, STATISTICS)).all()


def test_ends_of_the_smallest_are_those_of_all_and_hold_at_once() -> None:
    random = np.random.default_rng(9)
    given = np.array([0.3, 0.1, 0.2])
    values = np.vstack([given, given + random.normal(0, 0.05, (4000, 3))])
    plain = [interval(given[k], values[1:, k], 50, 0.95) for k in range(3)]
    strict = [interval(given[k], values[1:, k], 50, 1 - 0.05 / 3) for k in range(3)]
    found = smallest_of(values, 50, STATISTICS)
    assert (found.mean, found.low, found.high) == (
        0.1,
        min(low for low, _ in plain),
        min(high for _, high in strict),
    )
    largest = largest_of(-values, 50, STATISTICS)
    assert (largest.mean, largest.low, largest.high) == pytest.approx((-0.1, -(found.high or 0), -(found.low or 0)))
    # One side is ahead by .2 everywhere, the other behind: the first one wins.
    wins = best_of_worst([np.full((9, 2), 0.2), np.full((9, 2), -0.2)], 50, STATISTICS)
    assert (wins.mean, wins.low, wins.high) == pytest.approx((0.2, 0.2, 0.2))
    assert smallest_of(values, 3, STATISTICS).low is None
    assert smallest_of(np.full((5, 2), np.nan), 50, STATISTICS).mean is None


def test_equally_harmed_runs_are_read_off_between_levels() -> None:
    levels, reference = [1, 2, 3], [0.1, 0.3, 0.25]
    np.testing.assert_allclose(
        level_of_drop(levels, reference, [0.0, 0.05, 0.2, 0.3, 0.31, -0.1])[:4], [0, 0.5, 1.5, 2]
    )
    assert np.isnan(level_of_drop(levels, reference, [0.31, -0.1])).all()
    found = matched_drops(levels, reference, {"own": reference, "half": [0.05, 0.15, 0.2]}, [0.1, 0.2, 0.5])
    np.testing.assert_allclose(found["own"], [0.1, 0.2, np.nan])
    np.testing.assert_allclose(found["half"], [0.05, 0.1, np.nan])


def test_the_reference_loses_its_own_target_also_where_its_curve_falls_back_or_starts_with_a_gain() -> None:
    random = np.random.default_rng(3)
    fixed = [[-0.02, 0.01, 0.05], [0.1, 0.04, 0.2], [-0.01, -0.03, 0.02], [0.05, 0.0, 0.04]]
    for curve in [np.array(one) for one in fixed] + list(random.normal(0.05, 0.1, (200, 4))):
        levels, targets = np.arange(1, len(curve) + 1), np.linspace(1e-3, 0.3, 40)
        own = matched_drops(levels, curve, {"own": curve}, targets)["own"]
        reached = targets <= curve.max()
        np.testing.assert_allclose(own[reached], targets[reached])
        assert np.isnan(own[~reached]).all()
    # From a gain of .02 at level 1 to a loss of .01 at level 2, a loss of .005 is five sixths of the way.
    np.testing.assert_allclose(level_of_drop([1, 2, 3], fixed[0], [0.005]), [1 + 5 / 6])
