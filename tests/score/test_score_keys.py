"""Numbers that stand for names, against the names themselves."""

import numpy as np
import pandas as pd
import pytest

from medstress.config import Statistics
from medstress.errors import MedstressError
from medstress.score import keys
from medstress.score.bootstrap import codes_of, estimate
from medstress.score.keys import coded, keys_of
from medstress.score.robustness import paired_drops
from tests.score.test_score_robustness import row

FRAME = pd.DataFrame(
    {
        "run": pd.Categorical(["b", "a", "b", "a", "b"], categories=["b", "unused", "a"]),
        "seed": [0, 0, 7, 7, 0],
        "sample": ["x", "y", "x", "y", "x"],
    }
)


@pytest.mark.parametrize("largest", [2**62, 3])
def test_rows_have_the_same_key_where_they_have_the_same_values(largest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # With a small limit, keys are packed anew before the numbers would not fit any more.
    monkeypatch.setattr(keys, "_LARGEST", largest)
    found = keys_of(FRAME, ["run", "seed", "sample"])
    named = list(FRAME.itertuples(index=False, name=None))
    for one in range(len(FRAME)):
        for other in range(len(FRAME)):
            assert (found[one] == found[other]) == (named[one] == named[other])
    assert keys_of(FRAME.head(0), ["run", "seed"]).tolist() == []
    for name in FRAME:
        values, codes = coded(FRAME[name])
        assert [values[code] for code in codes] == FRAME[name].tolist()


def test_groups_have_the_same_numbers_as_categories_and_as_texts() -> None:
    random = np.random.default_rng(1)
    names = random.choice(["p10", "p2", "p1", "q", "aa", "b"], 200)
    groups = pd.Series(pd.Categorical(names, categories=["q", "p2", "never", "p10", "p1", "b", "aa", "nor this"]))
    assert codes_of(groups).tolist() == codes_of(names).tolist() == np.searchsorted(np.unique(names), names).tolist()
    values = random.normal(size=200)
    assert estimate(values, groups, "toy", Statistics(resamples=200)) == estimate(
        values, names, "toy", Statistics(resamples=200)
    )


def test_a_clean_score_that_is_there_twice_is_refused() -> None:
    rows = pd.DataFrame(
        [vars(row("a", "clean", 0, 0.9)), vars(row("a", "clean", 0, 0.8)), vars(row("a", "jpeg", 1, 0.7))]
    )
    with pytest.raises(MedstressError, match=r"1 clean scores are there twice, such as toy/model/0/s-a/a/iou"):
        paired_drops(rows)
