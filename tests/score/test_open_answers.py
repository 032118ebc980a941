"""Free answers against the truth: which published values hold, and which are corrected."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medstress.answers.words import words_of
from medstress.score.open_answers import compare_answer

# answer, truth, F1 as published by SURE-VQA's evaluation.
KEPT_F1 = [
    ("lung", "lung", 1.0),
    ("left lung", "lung", 2 / 3),
    ("left kidney, right kidney", "right kidney, left kidney", 1.0),
    ("There is not a nodule", "There is a nodule", 6 / 7),
    ("a", "an", 0.0),
]
# answer, truth, published exact match and F1, and what they are here.
CORRECTED = [
    ("left lung", "lung", (0.5, 2 / 3), (0.0, 2 / 3)),
    ("lung lung lung", "lung", (1 / 3, 1.0), (0.0, 0.5)),
    ("left kidney, right kidney", "right kidney, left kidney", (0.75, 1.0), (0.0, 1.0)),
    ("There is not a nodule", "There is a nodule", (0.75, 6 / 7), (0.0, 6 / 7)),
    ("none", "0", (1.0, 1.0), (0.0, 0.0)),
    ("vitamin a", "vitamin", (1.0, 1.0), (0.0, 2 / 3)),
]


@pytest.mark.parametrize(("answer", "truth", "f1"), KEPT_F1)
def test_published_values_that_hold(answer: str, truth: str, f1: float) -> None:
    found = compare_answer(answer, truth)
    assert found.f1 == pytest.approx(f1)
    assert found.exact == float(answer == truth)


@pytest.mark.parametrize(("answer", "truth", "published", "corrected"), CORRECTED)
def test_published_values_that_are_corrected(
    answer: str, truth: str, published: tuple[float, float], corrected: tuple[float, float]
) -> None:
    found = compare_answer(answer, truth)
    assert (found.exact, found.f1) == pytest.approx(corrected)
    assert (found.exact, found.f1) != pytest.approx(published)


def test_precision_and_recall() -> None:
    found = compare_answer("lung lung lung", "the left lung")
    assert (found.precision, found.recall) == pytest.approx((1 / 3, 1 / 2))
    assert compare_answer("", "lung").f1 == 0
    assert compare_answer("", "").exact == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The left  Lung.", ["left", "lung"]),
        ("don't, won\N{RIGHT SINGLE QUOTATION MARK}t", ["dont", "wont"]),
        ("1,000 cells, 1.5 mm", ["1000", "cells", "1.5", "mm"]),
        ("5mm 2.5cm 1.5T", ["5", "mm", "2.5", "cm", "1.5", "t"]),
        ("T2-weighted L4/L5 2D", ["t2", "weighted", "l4", "l5", "2d"]),
        ("-5 to \N{MINUS SIGN}3, 5-10", ["-5", "to", "-3", "5", "10"]),
        ("<5 % but >3", ["<", "5", "%", "but", ">", "3"]),
        ("two lesions, none bleeding", ["2", "lesions", "none", "bleeding"]),
        ("a", ["a"]),
        ("vitamin A.", ["vitamin", "a"]),
        ("It is an A, an X-ray", ["it", "is", "a", "x", "ray"]),
        ("5 cm²", ["5", "cm2"]),
        ("left_lung", ["left", "lung"]),
        ("...", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert list(words_of(text)) == words


def test_every_mark_is_judged_alone() -> None:
    # Published: "1,000" anywhere makes the other marks vanish instead of separating words.
    assert words_of("left/right")[:2] == words_of("left/right, 1,000")[:2] == ("left", "right")


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_overlap_is_symmetric_and_bounded(first: str, second: str) -> None:
    there, back = compare_answer(first, second), compare_answer(second, first)
    assert (there.precision, there.recall, there.exact) == (back.recall, back.precision, back.exact)
    assert 0 <= there.exact <= there.f1 <= 1
    assert compare_answer(first, first).exact == 1
