"""Boxes in free text, and what they are worth."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medstress.answers.boxes import FoundBox, parse_box
from medstress.cards.generation import BoxNumbers
from medstress.score.boxes import accurate_at, iou

PIXELS = BoxNumbers()
SIZE = {"height": 100, "width": 200}


@pytest.mark.parametrize(
    "text",
    [
        "[20, 10, 60, 50]", "20 10 60 50", "20,10,60,50", "The box is (20, 10), (60, 50).", "(20,10) (60,50)",
        "bbox: [20.0, 1e1, 60, 50.]", "Image 1: [20, 10, 60, 50]", "Image 1 (20, 10, 60, 50)",
        "x1: 20, y1: 10, x2: 60, y2: 50", "from (20, 10) to (60, 50)", '{"box_2d": [20, 10, 60, 50]}',
        '{"x0": 20, "y0": 10, "x1": 60, "y1": 50}', "[60, 50, 20, 10]", "[20, 10, 60, 50, 0.9]",
        "20px, 10px, 60px, 50px", "x 20-60, so the box is [20, 10, 60, 50]", "10%, 10%, 30%, 50%",
        "[10 %, 10 %, 30 %, 50 %]",
        "In slice 12 it is from (20, 10) to (60, 50)", "slice 12: top left 20, 10; bottom right: 60, 50",
        "slice 12: x1: 20, y1: 10, x2: 60, y2: 50", "The image is 200 x 100 pixels: x1=20, y1=10, x2=60, y2=50",
        "x1=20, x2=60, y1=10, y2=50", '{"xmin": 20, "xmax": 60, "ymin": 10, "ymax": 50}',
        '{"y1": 10, "x1": 20, "y2": 50, "x2": 60}', '{"x": 20, "y": 10, "width": 40, "height": 40}',
        "x_min 20 y_min 10 x_max 60 y_max 50", "x: 20, y: 10, w: 40, h: 40",
        "top: 10, left: 20, bottom: 50, right: 60", '{"left": 20, "top": 10, "width": 40, "height": 40}',
    ],
)  # fmt: skip
def test_one_box(text: str) -> None:
    assert parse_box(text, PIXELS, **SIZE) == FoundBox("ok", (20.0, 10.0, 60.0, 50.0))


@pytest.mark.parametrize(
    ("scale", "text"),
    [("pixel", "20 10 60 50"), ("0-1", ".1 .1 .3 .5"), ("0-100", "10 10 30 50"), ("0-1000", "100 100 300 500")],
)
def test_scales(scale: str, text: str) -> None:
    found = parse_box(text, BoxNumbers(scale=scale), **SIZE)
    assert found.box == pytest.approx((20, 10, 60, 50))
    first, second, third, fourth = text.split()
    turned = parse_box(f"{second} {first} {fourth} {third}", BoxNumbers(scale=scale, y_first=True), **SIZE)
    assert turned == found
    assert found.fits


@pytest.mark.parametrize("scale", ["pixel", "0-1", "0-100", "0-1000"])
def test_percentages_and_names_say_what_they_are(scale: str) -> None:
    percent = parse_box("[10%, 10%, 30%, 50%]", BoxNumbers(scale=scale), **SIZE)
    assert percent.box == pytest.approx((20, 10, 60, 50))
    assert percent.fits
    named = parse_box("x1: 20, y1: 10, x2: 60, y2: 50", BoxNumbers(y_first=True), **SIZE)
    assert named.box == (20, 10, 60, 50)


@pytest.mark.parametrize(
    ("scale", "text"),
    [("0-1", "20 10 60 50"), ("0-100", "0.1 0.1 0.3 0.5"), ("pixel", "0.1 0.1 0.3 0.5"), ("pixel", "100 100 300 500")],
)
def test_numbers_of_another_scale_do_not_fit(scale: str, text: str) -> None:
    assert not parse_box(text, BoxNumbers(scale=scale), **SIZE).fits


def test_boxes_are_cut_at_the_image() -> None:
    assert parse_box("-5, \N{MINUS SIGN}2, 205, 103", PIXELS, **SIZE) == FoundBox("ok", (0, 0, 200, 100))
    outside = parse_box("300 10 400 50", PIXELS, **SIZE)
    assert outside == FoundBox("ok", (200, 10, 200, 50), fits=False)
    assert outside.box is not None
    assert iou(outside.box, (150, 0, 200, 100)) == 0
    assert parse_box(f"0 0 {'9' * 400} 50", PIXELS, **SIZE).box == (0, 0, 200, 50)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("In the upper left.", "unparsable"),
        ("[20, 10, 60]", "unparsable"),
        ("x1 y1 x2 y2", "unparsable"),
        ("On slice 3 of 12, 20 to 60 across and 10 to 50 down.", "unparsable"),
        ("I cannot provide coordinates.", "refused"),
    ],
)
def test_texts_without_a_box(text: str, status: str) -> None:
    assert parse_box(text, PIXELS, **SIZE) == FoundBox(status, None)


def test_iou() -> None:
    assert iou((0, 0, 10, 10), (0, 0, 10, 10)) == 1
    assert iou((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert iou((0, 0, 10, 10), (10, 0, 20, 10)) == 0
    assert iou((5, 5, 5, 5), (5, 5, 5, 5)) == 0
    half = iou((0, 0, 10, 10), (0, 0, 10, 5))
    assert [accurate_at(half, threshold) for threshold in (0.5, 0.75)] == [1.0, 0.0]


sides = st.integers(0, 20)


@settings(max_examples=80, deadline=None)
@given(st.tuples(sides, sides, sides, sides), st.tuples(sides, sides, sides, sides))
def test_iou_is_that_of_the_pixels(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    def pixels(x0: int, y0: int, x1: int, y1: int) -> set[tuple[int, int]]:
        return {(x, y) for x in range(x0, x1) for y in range(y0, y1)}

    boxes = [(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in (one, other)]
    first, second = (pixels(*box) for box in boxes)
    expected = len(first & second) / len(first | second) if first | second else 0.0
    assert math.isclose(iou(boxes[0], boxes[1]), expected, abs_tol=1e-12)
    assert iou(boxes[0], boxes[1]) == iou(boxes[1], boxes[0])


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60), st.sampled_from(["pixel", "0-1", "0-100", "0-1000"]))
def test_any_text_has_an_outcome(text: str, scale: str) -> None:
    found = parse_box(text, BoxNumbers(scale=scale), **SIZE)
    assert (found.box is None) == (found.status != "ok")
