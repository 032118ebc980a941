"""Shifts: who is in distribution, who is out of it, who is neither, and what may not be."""

from typing import Any

import pytest

from medstress.cards.generation import Shift
from medstress.errors import MedstressError
from medstress.shifts import Member, shift_sets


def shift(**changes: Any) -> Shift:
    return Shift.model_validate({"name": "s", "field": "f", "constant_in": "none"} | changes)


def members(*said: str, field: str = "f") -> list[Member]:
    """One question each: split, image, patient and value, with blanks between them."""
    found = []
    for number, line in enumerate(said):
        split, image, group, *value = line.split(" ", 3)
        values = {field: value[0] if value else "", "content_type": "gender" if number == 0 else "presence"}
        found.append(Member(f"{image}#{number}", image, group, split, values))  # type: ignore[arg-type]
    return found


def problems(found: list[Member], asked: Shift) -> list[str]:
    with pytest.raises(MedstressError) as caught:
        shift_sets(found, asked)
    return str(caught.value).split("\n")


PEOPLE = members("train a p1 F", "train b p2 M", "val c p3 M", "test d p4 F", "test e p5 M", "test f p6", "val g p7 F")


def test_the_sides_and_what_is_on_neither() -> None:
    sets = shift_sets(PEOPLE, shift(ood=["f"], constant_in="patient"))
    assert sets.iid == {"train": ("b#1",), "val": ("c#2",), "test": ("e#4",)}
    assert sets.ood == ("d#3",)
    assert sets.left_out == {"f unknown": 1, "out of distribution in train": 1, "out of distribution in val": 1}
    assert sets.line() == (
        "in distribution train 1, val 1, test 1; out of it 1; left out, f unknown: 1; left out, out of distribution in "
        "train: 1; left out, out of distribution in val: 1"
    )


def test_train_lends_and_val_does_not_unless_it_is_told_to() -> None:
    assert shift_sets(PEOPLE, shift(ood=["F"], constant_in="image", lend_from=["train"])).ood == ("a#0", "d#3")
    lent = shift_sets(PEOPLE, shift(ood=["F"], constant_in="image", lend_from=["train", "val"]))
    assert lent.ood == ("a#0", "d#3", "g#6")
    assert lent.left_out == {"f unknown": 1}


def test_questions_about_the_shift_itself_are_left_out_on_both_sides() -> None:
    sets = shift_sets(
        PEOPLE, shift(ood=["F"], constant_in="image", lend_from=["train"], without={"content_type": ["Gender"]})
    )
    assert sets.ood == ("d#3",)
    assert sets.left_out["with content_type gender"] == 1


AGES = ("25", "39", "40", "59.5", "60", "90", "unknown", "old")


@pytest.mark.parametrize(("rule", "out", "inside"), [("young", "01", "45"), ("old", "45", "01")])
def test_ages_between_are_on_neither_side(rule: str, out: str, inside: str) -> None:
    found = members(*(f"test i{n} p{n} {age}" for n, age in enumerate(AGES)))
    sets = shift_sets(found, shift(rule=rule))
    assert [sample_id[1] for sample_id in sets.ood] == list(out)
    assert [sample_id[1] for sample_id in sets.iid["test"]] == list(inside)
    assert sets.left_out == {"f from 40 to 59": 2, "f unknown": 2}


@pytest.mark.parametrize(("rule", "out", "inside"), [("nonwhite", "12", "0"), ("white", "0", "12")])
def test_people_whose_group_is_not_known_are_on_neither_side(rule: str, out: str, inside: str) -> None:
    found = members(
        "test i0 p0 WHITE", "test i1 p1 BLACK", "test i2 p2 ASIAN", "test i3 p3 UNKNOWN/OTHER", "test i4 p4"
    )
    sets = shift_sets(found, shift(rule=rule))
    assert "".join(sample_id[1] for sample_id in sets.ood) == out
    assert "".join(sample_id[1] for sample_id in sets.iid["test"]) == inside
    assert shift_sets(found, shift(rule=rule, unknown=["asian"])).left_out == {"f unknown": 3}


def test_empty_sides_are_errors() -> None:
    found = members("train a p1 F", "test d p4 F", "test e p5 M")
    (text,) = problems(found, shift(ood=["F"]))
    assert text == "the shift 's': no question is in distribution in train. f is F (2), M (1)."
    (text,) = problems(members("train a p F", "train b q M", "test c r M"), shift(ood=["F"]))
    assert "no question is out of distribution in the test" in text
    assert len(problems(members("test a p F"), shift(ood=["F"]))) == 1
    with pytest.raises(MedstressError, match="no question has f 'X'; there are F"):
        shift_sets(found, shift(ood=["X"]))
    assert problems(found, shift(field="g", ood=["X"])) == [
        "the shift 's': no question has the attribute 'g'; there are content_type, f."
    ]


def test_an_image_or_a_patient_on_both_sides_leaks() -> None:
    found = members("train a p1 F", "train a p1 M", "train c p2 M", "test d p4 F", "test e p5 M")
    lending = shift(ood=["F"], constant_in="image", lend_from=["train"])
    inconstant, leak = problems(found, lending)
    assert "f is not constant: 1 image on both sides (a has 'F' and 'M')" in inconstant
    assert "leakage: the image a is in distribution in train or val, and lends questions" in leak
    found = members("train a p1 F", "train b p1 M", "train c p2 M", "test d p4 F", "test e p5 M")
    (leak,) = problems(found, lending)
    assert "leakage: the patient p1 is in distribution" in leak
    assert shift_sets(found, shift(ood=["F"], constant_in="image")).ood == ("d#3",)
    (text,) = problems(found, shift(ood=["F"], constant_in="patient"))
    assert "1 patient on both sides (p1 has 'F' and 'M')" in text
