"""Corruption errors: the identities of the published ones, guards, and resamples that both sides share."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from medstress.config import ClassScoring, Statistics
from medstress.perturb.scales.registry import SCALES
from medstress.score.alexnet import ALEXNET
from medstress.score.bootstrap import estimate
from medstress.score.corruption_error import (
    Errors,
    benchmark_of,
    corruption_errors,
    errors_of,
    errors_of_means,
    estimate_of,
    normaliser_of,
    over_types,
    published_errors,
    relative_clean_error,
    relative_corruption_errors,
)
from medstress.table_spec import TableSpec

TYPES = ["jpeg", "pixelate", "speckle"]
LEVELS = [1, 2, 3, 4, 5]
STATISTICS = Statistics(resamples=300)


def spec_of(**changes: Any) -> TableSpec:
    values = {
        "study": "toy",
        "datasets": {"cells": "Cells"},
        "split_units": {"cells": "patient"},
        "runs": {"clip": "CLIP", "net": "Net"},
        "baselines": [],
        "perturbations": TYPES,
        "levels": LEVELS,
        "tasks": {"cells": "classification"},
        "metrics": ["accuracy"],
        "statistics": STATISTICS,
        "classification": ClassScoring(normaliser="clip"),
    }
    return TableSpec.model_validate(values | changes)


def scores_of(patients: int = 40, seed: int = 1) -> pd.DataFrame:
    """Two images a patient; CLIP is right with .7 on clean images, Net with .8, and both lose with the level."""
    random = np.random.default_rng(seed)
    rows = []
    for run, clean in (("clip", 0.7), ("net", 0.8)):
        for kind, level in [("clean", 0), *((kind, level) for kind in TYPES for level in LEVELS)]:
            for place in range(2 * patients):
                right = float(random.random() < clean - 0.05 * level)
                rows.append(
                    ("cells", run, 0, f"s{place}", "a", "accuracy", f"p{place // 2:02d}", kind, level, right, "ok")
                )
    columns = ["dataset", "run", "seed", "sample_id", "object_id", "metric", "group_id", "perturbation", "level"]
    return pd.DataFrame(rows, columns=[*columns, "value", "status"])


def errors(clean: float, corrupted: list[list[float]]) -> Errors:
    return errors_of_means(np.array([clean]), np.array([corrupted]), 10)


def test_by_hand() -> None:
    own, base = errors(0.1, [[0.2, 0.4], [0.3, 0.5]]), errors(0.2, [[0.4, 0.8], [0.5, 0.5]])
    assert corruption_errors(own, base, 100)[0].tolist() == pytest.approx([50, 80])
    # (.1 + .3) / (.2 + .6) and (.2 + .4) / (.3 + .3).
    assert relative_corruption_errors(own, base, 100)[0].tolist() == pytest.approx([50, 100])
    assert relative_clean_error(own, base, 100)[0] == pytest.approx(50)
    assert own.by_type[0].tolist() == pytest.approx([0.3, 0.4])
    assert over_types(own.by_type)[0] == pytest.approx(0.35)


def test_small_and_negative_denominators_are_not_given() -> None:
    own = errors(0.1, [[0.2, 0.2]] * 4)
    base = errors(0.2, [[0.2, 0.219], [0.2, 0.221], [0.1, 0.1], [0.004, 0.004]])
    relative = relative_corruption_errors(own, base, 1)[0]
    assert np.isnan(relative).tolist() == [True, False, True, True]
    assert over_types(relative[None])[0] == pytest.approx(0.2 / 0.021)
    assert np.isnan(corruption_errors(own, base, 1)[0]).tolist() == [False, False, False, True]
    assert math.isnan(relative_clean_error(own, errors(0.009, [[0.2, 0.2]]), 100)[0])


def test_holes_are_left_out_on_both_sides() -> None:
    nothing = math.nan
    own = errors(0.1, [[0.2, nothing], [nothing, nothing]])
    base = errors(0.2, [[0.4, 0.8], [0.5, 0.5]])
    quotients = corruption_errors(own, base, 100)
    assert quotients[0, 0] == pytest.approx(50)
    assert math.isnan(quotients[0, 1])
    assert over_types(quotients)[0] == pytest.approx(50)
    assert math.isnan(over_types(corruption_errors(errors(0.1, [[nothing]]), errors(0.2, [[0.3]]), 100))[0])


def test_the_normaliser_is_100_exactly_in_every_resample() -> None:
    spec = spec_of()
    found = errors_of(spec, scores_of(), "cells", "accuracy")
    base = normaliser_of(spec, "cells", found)
    assert base is not None
    assert (corruption_errors(found["clip"], base.errors, base.unit) == 100).all()
    assert (relative_clean_error(found["clip"], base.errors, base.unit) == 100).all()
    mean = estimate_of(over_types(corruption_errors(found["clip"], base.errors, base.unit)), 40, STATISTICS)
    assert (mean.mean, mean.low, mean.high) == (100, 100, 100)
    net = estimate_of(over_types(corruption_errors(found["net"], base.errors, base.unit)), 40, STATISTICS)
    assert net.mean is not None
    assert net.low is not None
    assert net.low < net.mean < 100


@pytest.mark.parametrize("dataset", list(ALEXNET))
def test_alexnet_is_1_exactly(dataset: str) -> None:
    published = ALEXNET[dataset]
    types = list(published.types)
    base = published_errors(published, types, LEVELS)
    assert base is not None
    means = np.array([*published.types.values()])
    own = errors_of_means(np.array([published.clean]), np.repeat(means[None, :, None], 5, axis=2))
    quotients = corruption_errors(own, base, 1)
    assert (quotients == 1).all()
    assert over_types(quotients)[0] == 1
    relative = relative_corruption_errors(own, base, 1)[0]
    given = dict(zip(types, relative, strict=True))
    guarded = {name for name, value in given.items() if math.isnan(value)}
    # The published code divides by these: two are negative, and three below a hundredth.
    lacking = {
        "pneumoniamnist": {"contrast_up", "gamma_up"},
        "chestmnist": {"contrast_up", "gamma_up", "gamma_down"},
    }
    assert guarded == lacking.get(dataset, set())
    assert {value for value in given.values() if not math.isnan(value)} <= {1.0}


def test_published_types_are_those_of_the_scale() -> None:
    variants = SCALES["medmnist_c"].variants
    assert set(ALEXNET) == set(variants)
    for dataset, types in variants.items():
        assert set(ALEXNET[dataset].types) == set(types)


def test_published_errors_are_means_over_five_levels() -> None:
    spec = spec_of(normalisers={"cells": "bloodmnist"}, perturbations=["jpeg", "fog"])
    found = benchmark_of(spec, "cells")
    assert found is not None
    assert found.errors.corrupted[0, 0, 0] == ALEXNET["bloodmnist"].types["jpeg"]
    assert np.isnan(found.errors.corrupted[0, 1]).all()
    assert benchmark_of(spec.model_copy(update={"levels": [1, 3]}), "cells") is None
    assert benchmark_of(spec_of(), "cells") is None


def test_errors_of_scores() -> None:
    frame = scores_of()
    spec = spec_of()
    found = errors_of(spec, frame, "cells", "accuracy")
    own = frame[frame["run"] == "net"]
    means = own.groupby(["perturbation", "level"])["value"].mean()
    assert found["net"].clean[0] == pytest.approx(1 - means["clean", 0])
    assert found["net"].corrupted[0, 1, 2] == pytest.approx(1 - means["pixelate", 3])
    assert found["net"].corrupted.shape == (301, 3, 5)
    # The resamples are those of every other table.
    clean = own[own["level"] == 0]
    expected = estimate(1 - clean["value"], clean["group_id"], "cells", STATISTICS)
    ours = estimate_of(found["net"].clean, found["net"].groups, STATISTICS)
    assert (ours.low, ours.high) == (pytest.approx(expected.low, abs=1e-9), pytest.approx(expected.high, abs=1e-9))
    # What does not count, and what is no corruption, changes nothing.
    more = pd.concat([frame, own.assign(status="unreachable", value=0.0), own.assign(perturbation="pgd", value=0.0)])
    again = errors_of(spec, more, "cells", "accuracy")
    assert np.array_equal(again["net"].corrupted, found["net"].corrupted)
    shuffled = errors_of(spec, frame.sample(frac=1, random_state=4), "cells", "accuracy")
    assert np.array_equal(shuffled["net"].corrupted, found["net"].corrupted)


def test_a_run_that_corruption_does_not_change_has_no_relative_error() -> None:
    """Though only its wrong images reach their band: the clean error is that of the images that count."""
    frame = scores_of()
    steady = frame[frame["run"] == "net"].copy()
    clean = steady[steady["level"] == 0].set_index("sample_id")["value"]
    steady["value"] = steady["sample_id"].map(clean)
    steady.loc[(steady["level"] > 2) & (steady["value"] == 1), "status"] = "unreachable"
    found = errors_of(spec_of(), pd.concat([frame[frame["run"] == "clip"], steady]), "cells", "accuracy")
    assert found["net"].corrupted[0, 0].tolist() == pytest.approx([*[1 - clean.mean()] * 2, 1, 1, 1])
    assert (found["net"].rise == 0).all()
    assert (relative_corruption_errors(found["net"], found["clip"], 100)[0] == 0).all()
    # Where every image counts, it is the difference of the means.
    whole = found["clip"].corrupted - found["clip"].clean[:, None, None]
    assert found["clip"].rise == pytest.approx(whole, abs=1e-8)


def test_a_data_set_without_scores_has_no_errors() -> None:
    spec = spec_of(datasets={"cells": "Cells", "lungs": "Lungs"})
    assert errors_of(spec, scores_of(), "lungs", "accuracy") == {}
    assert errors_of(spec, scores_of().assign(status="error"), "cells", "accuracy") == {}


def test_few_groups_have_no_resamples() -> None:
    found = errors_of(spec_of(), scores_of(patients=3), "cells", "accuracy")
    assert found["net"].corrupted.shape == (1, 3, 5)
    assert estimate_of(found["net"].clean, found["net"].groups, STATISTICS).low is None


def test_a_shared_resample_makes_quotients_narrower() -> None:
    """Images that are hard for both runs come and go together; the runs differ on one image alone."""
    frame = scores_of()
    alike = frame[frame["run"] == "clip"].assign(run="net")
    alike.loc[alike["sample_id"] == "s1", "value"] = 1.0
    found = errors_of(spec_of(), pd.concat([frame[frame["run"] == "clip"], alike]), "cells", "accuracy")
    together = corruption_errors(found["net"], found["clip"], 100)
    turned = errors_of_means(found["clip"].clean[::-1].copy(), found["clip"].corrupted[::-1].copy(), 40)
    apart = corruption_errors(found["net"], turned, 100)
    assert over_types(together)[1:].std() < 0.5 * over_types(apart)[1:].std()
