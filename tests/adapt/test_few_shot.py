"""Few images of each class: small choices lie in larger ones, every class has one, and test is not looked at."""

import itertools
from collections import Counter
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medstress.adapt.examples import StoredExample, read_labelled
from medstress.adapt.few_shot import choose, few_of
from medstress.cards.strategy import FewShot
from medstress.errors import MedstressError
from medstress.pixels import encode_png
from medstress.records import ImageRow, SampleRow, write_rows
from tests.adapt.conftest import strategy

PUBLISHED = (0.01, 0.03, 0.07, 0.1)
KIND = st.lists(st.integers(0, 4), min_size=1, max_size=300)
LABELS = st.lists(st.frozensets(st.integers(0, 4), max_size=3), min_size=1, max_size=120)
BLACK = encode_png(np.zeros((8, 8), np.uint8))


def example(name, labels, group=None, split="train"):
    row = ImageRow(f"i{name}", group or f"g{name}", split, "ct", BLACK, 8, 8)
    return StoredExample(row, SampleRow(f"s{name}", f"i{name}", "classification", labels=tuple(labels)))


def named(examples):
    return {one.sample_id for one in examples}


def few(examples, seed=0, dataset="d", **asked):
    return few_of(examples, FewShot(**asked), seed, dataset)


@settings(max_examples=60, deadline=None)
@given(kinds=KIND, seed=st.integers(0, 3), more=st.floats(0.001, 1))
def test_smaller_shares_lie_in_larger_ones(kinds, seed, more):
    examples = [example(index, [kind]) for index, kind in enumerate(kinds)]
    fractions = sorted({*PUBLISHED, round(more, 3) or 0.001, 1.0})
    choices = [named(few(examples, seed, fraction=fraction)) for fraction in fractions]
    for smaller, larger in itertools.pairwise(choices):
        assert smaller <= larger
    assert choices[-1] == named(examples)
    shots = [named(few(examples, seed, shots=shots)) for shots in (1, 2, 5)]
    assert shots[0] <= shots[1] <= shots[2]


@settings(max_examples=60, deadline=None)
@given(kinds=KIND, percent=st.integers(1, 100))
def test_each_class_gives_its_share_and_at_least_one(kinds, percent):
    examples = [example(index, [kind]) for index, kind in enumerate(kinds)]
    taken = Counter(one.sample.labels[0] for one in few(examples, fraction=percent / 100))
    for kind, images in Counter(kinds).items():
        whole = (Decimal(percent) * images / 100).to_integral_value(ROUND_HALF_UP)
        assert taken[kind] == max(1, int(whole))


@settings(max_examples=60, deadline=None)
@given(labels=LABELS)
def test_with_several_labels_an_image_shares_nest_and_no_label_is_without_an_image(labels):
    examples = [example(index, sorted(one)) for index, one in enumerate(labels)]
    choices = [few(examples, fraction=fraction) for fraction in PUBLISHED]
    for smaller, larger in itertools.pairwise(choices):
        assert named(smaller) <= named(larger)
    assert {label for one in choices[0] for label in one.sample.labels} == set().union(*labels)


def test_an_image_counts_for_its_rarest_label():
    """Label 1 is on 4 of 100 images that all have label 0: half of these 4, and half of the other 96."""
    examples = [example(index, [0, 1] if index < 4 else [0]) for index in range(100)]
    taken = few(examples, fraction=0.5)
    assert Counter(one.sample.labels for one in taken) == {(0, 1): 2, (0,): 48}


def test_what_is_chosen_depends_on_names_and_seed_alone():
    examples = [example(index, [index % 3]) for index in range(90)]
    chosen = few(examples, fraction=0.1)
    assert [one.sample_id for one in chosen] == [one.sample_id for one in examples if one in chosen]
    assert named(few(examples[::-1], fraction=0.1)) == named(chosen)
    assert named(few(examples, seed=1, fraction=0.1)) != named(chosen)
    assert named(few(examples, dataset="other", fraction=0.1)) != named(chosen)
    # Images of other classes do not matter.
    alone = [one for one in examples if one.sample.labels == (2,)]
    assert named(few(alone, fraction=0.1)) <= named(chosen)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """30 images of train, 20 of val in 10 groups of two, 10 of test, of two classes."""
    folder = tmp_path_factory.mktemp("records")
    of = {"train": 30, "val": 20, "test": 10}
    examples = [
        example(f"{split}{index}", [index % 2], f"{split}{index // 2 if split == 'val' else index}", split)
        for split, count in of.items()
        for index in range(count)
    ]
    write_rows(folder / "images.parquet", ImageRow, [one.row for one in examples])
    write_rows(folder / "samples.parquet", SampleRow, [one.sample for one in examples])
    write_rows(folder / "bare.parquet", ImageRow, [one.row for one in examples if one.row.split != "train"])
    write_rows(folder / "no_val.parquet", ImageRow, [one.row for one in examples if one.row.split != "val"])
    return folder


def chosen(records, images="images.parquet", **changes):
    by = strategy("full", **changes)
    return choose(records / images, records / "samples.parquet", by, 0, "d")


@pytest.mark.parametrize(
    "few_shot", [None, {"fraction": 0.2}, {"shots": 3, "source": "val"}, {"fraction": 0.3, "source": "val"}]
)
def test_test_is_never_read_and_no_group_is_on_both_sides(records, few_shot):
    choice = chosen(records, few_shot=few_shot)
    source = (few_shot or {}).get("source", "train")
    assert {one.row.split for one in choice.training} == {source}
    assert {one.row.split for one in choice.validation} == {"val"}
    groups = [{one.group_id for one in part} for part in (choice.training, choice.validation)]
    assert groups[0].isdisjoint(groups[1])


def test_what_is_left_of_val_chooses_without_the_groups_of_the_chosen(records):
    choice = chosen(records, few_shot={"shots": 3, "source": "val"})
    groups = {one.group_id for one in choice.training}
    assert len(choice.training) == 6
    assert len(choice.validation) == 20 - 2 * len(groups)


def test_images_are_read_of_what_was_chosen(records):
    """The train split of a MedMNIST is gigabytes, of which a few images are wanted."""
    every = read_labelled(records / "images.parquet", records / "samples.parquet", "train")
    assert {one.row.png for one in every} == {b""}
    choice = chosen(records, few_shot={"shots": 3})
    assert {one.row.png for one in (*choice.training, *choice.validation)} == {BLACK}


def test_without_few_shot_all_of_train_is_used(records):
    choice = chosen(records)
    assert (len(choice.training), len(choice.validation)) == (30, 20)
    assert len(chosen(records, share=0.5).training) == 15


def test_nothing_left_to_choose_on_is_said(records):
    with pytest.raises(
        MedstressError, match=r"trains on 20 of the 20 images of d in val, and no group of val is left.*Lower the fract"
    ):
        chosen(records, few_shot={"fraction": 1.0, "source": "val"})
    with pytest.raises(MedstressError, match=r"no group of val is left to choose the weights on\. Give the data set a"):
        chosen(records, "no_val.parquet", few_shot={"fraction": 0.1})


def test_a_data_set_without_train_works_with_val_and_says_so_otherwise(records):
    assert chosen(records, "bare.parquet", few_shot={"fraction": 0.1, "source": "val"}).training
    with pytest.raises(MedstressError, match=r"d has no image in train to train with\. Its val has.*source: val"):
        chosen(records, "bare.parquet", few_shot={"fraction": 0.1})
