"""Groups are never cut, and a limit is the same everywhere."""

from pathlib import Path

import numpy as np
import pytest

from medstress.cards.images import SplitRule
from medstress.datasets.candidate import Candidate
from medstress.datasets.limit import in_turn, some_objects
from medstress.datasets.masks import MaskObject
from medstress.datasets.splits import assign_splits


def candidate(image_id: str, group: str, split: str | None = None) -> Candidate:
    return Candidate(image_id, f"{image_id}.png", Path(image_id), (Path(image_id),), group, split=split)


def many(groups: int, each: int) -> list[Candidate]:
    return [candidate(f"p{group}/{index}", f"p{group}") for group in range(groups) for index in range(each)]


def test_fractions_deal_whole_groups_and_about_as_many_as_asked() -> None:
    rule = SplitRule(unit="patient", by="fraction", val=0.2, test=0.3)
    dealt = assign_splits(many(400, 3), rule, "mine")
    sizes = {split: len(members) / 1200 for split, members in dealt.splits.items()}
    assert sizes == pytest.approx({"train": 0.5, "val": 0.2, "test": 0.3}, abs=0.06)
    sides = [{item.group for item in members} for members in dealt.splits.values()]
    assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
    assert not dealt.leaks
    fewer = assign_splits(many(10, 3), rule, "mine")
    for split, members in fewer.splits.items():
        assert {item.image_id for item in members} <= {item.image_id for item in dealt.splits[split]}


def test_a_group_on_two_sides_is_a_leak_that_names_both_files() -> None:
    rows = [candidate("a", "p1", "train"), candidate("b", "p1", "test"), candidate("c", "p2", "test")]
    (leak,) = assign_splits(rows, SplitRule(unit="patient", by="column"), "mine").leaks
    assert "patient 'p1'" in leak
    assert "train (a.png)" in leak
    assert "test (b.png)" in leak


def test_folders_and_columns_say_the_split_and_others_are_refused() -> None:
    rows = [candidate("train/a", "a"), candidate("test/b", "b"), candidate("old/c", "c"), candidate("d", "d")]
    dealt = assign_splits(rows, SplitRule(unit="image", by="folder"), "mine")
    assert [len(dealt.splits[split]) for split in ("train", "val", "test")] == [1, 0, 1]
    assert [reject.file for reject in dealt.rejects] == ["old/c.png", "d.png"]
    named = assign_splits([candidate("a", "a", "Validation")], SplitRule(unit="image", by="column"), "mine")
    assert "'Validation'; expected one of train, val, test" in named.rejects[0].reason


def test_a_limit_takes_groups_in_turn() -> None:
    first = in_turn(many(5, 4), "mine")[:5]
    assert {item.group for item in first} == {f"p{group}" for group in range(5)}


def test_a_limit_does_not_depend_on_order_and_hardly_on_other_images() -> None:
    rows = many(6, 5)
    chosen = in_turn(rows, "mine")
    assert in_turn(rows[::-1], "mine") == chosen
    # One more image of a known group comes in somewhere; the others keep their order.
    more = in_turn([*rows, candidate("p3/new", "p3")], "mine")
    ids = [item.image_id for item in chosen if item.group != "p3"]
    assert [item.image_id for item in more if item.group != "p3"] == ids
    assert in_turn(rows, "yours") != chosen


def test_a_limit_of_objects_is_steady_and_keeps_their_order() -> None:
    objects = [MaskObject(str(number), "x", np.ones((2, 2), bool)) for number in range(20)]
    few = some_objects(objects, 5, "mine", "a")
    assert [item.object_id for item in few] == [item.object_id for item in objects if item in few]
    assert {item.object_id for item in few} <= {item.object_id for item in some_objects(objects, 8, "mine", "a")}
    assert few == some_objects(objects[::-1], 5, "mine", "a")[::-1]
    assert some_objects(objects, None, "mine", "a") == objects
