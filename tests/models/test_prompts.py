"""Boxes that are not quite right: where they go, and that they cost no second look at the image."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medstress.cards.attack import PromptJitter
from medstress.config import Scoring
from medstress.models import predict as predicting
from medstress.models.prompts import Subject, jittered_box, jittered_prompts
from medstress.models.segmentation.box_fill import BoxFillSegmenter
from medstress.pixels import box_of, encode_mask
from medstress.records import ObjectRow, PredictionRow, ScoreRow, read_rows
from medstress.score.segmentation import score_predictions
from medstress.specs import ScoreSpec
from tests.models.study import discs, predict_spec, write_study
from tests.models.test_predict import Oracle, predict

LEVELS = (1, 2, 3, 4, 5)
GROW, SHRINK, SHIFT = (PromptJitter(name=f"box_{kind}", kind=kind) for kind in ("grow", "shrink", "shift"))
SEEDS = st.integers(0, 2**63 - 1)


@st.composite
def boxes_in_images(draw):
    """A box of at least a pixel, in an image (height, width)."""
    height, width = draw(st.integers(1, 300)), draw(st.integers(1, 300))
    x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    x1, y1 = draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height))
    return (float(x0), float(y0), float(x1), float(y1)), (height, width)


@st.composite
def jitters(draw):
    kind = draw(st.sampled_from(["grow", "shrink", "shift"]))
    shares = st.floats(0.01, 0.9 if kind == "shrink" else 2.0)
    return PromptJitter(name="moved", kind=kind, shares=draw(st.tuples(*[shares] * 5)))


def centre(box):
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def sides(box):
    return box[2] - box[0], box[3] - box[1]


def holds(outer, inner, slack=1e-9):
    return all(outer[axis] <= inner[axis] + slack and inner[axis + 2] <= outer[axis + 2] + slack for axis in (0, 1))


@given(boxes_in_images(), jitters(), st.sampled_from(LEVELS), SEEDS)
def test_a_box_stays_in_the_image_and_keeps_a_pixel(given_box, jitter, level, seed):
    box, (height, width) = given_box
    x0, y0, x1, y1 = jittered_box(box, jitter, level, (height, width), seed)
    assert 0 <= x0 < x1 <= width
    assert 0 <= y0 < y1 <= height
    assert min(x1 - x0, y1 - y0) >= 1 - 1e-9
    # So whoever fills the box has something to show.
    assert BoxFillSegmenter().predict([np.zeros((height, width), np.uint8)], [[(x0, y0, x1, y1)]])[0][0].any()


@given(boxes_in_images(), SEEDS)
def test_boxes_are_nested_from_the_most_shrunk_to_the_most_grown(given_box, seed):
    box, size = given_box
    shrunk = [jittered_box(box, SHRINK, level, size, seed) for level in reversed(LEVELS)]
    grown = [jittered_box(box, GROW, level, size, seed) for level in LEVELS]
    nested = [*shrunk, box, *grown]
    assert all(holds(outer, inner) for inner, outer in pairwise(nested))


@given(boxes_in_images(), st.sampled_from(LEVELS), SEEDS)
def test_grown_and_shrunk_boxes_keep_centre_and_shape_far_from_the_border(given_box, level, seed):
    box, (height, width) = given_box
    box = tuple(value + 400.0 for value in box)
    wide = (height + 800, width + 800)
    for jitter, sign in ((GROW, 1), (SHRINK, -1)):
        moved = jittered_box(box, jitter, level, wide, seed)
        assert centre(moved) == pytest.approx(centre(box))
        expected = [max(side * (1 + sign * jitter.shares[level - 1]), 1) for side in sides(box)]
        assert sides(moved) == pytest.approx(expected)


@given(boxes_in_images(), SEEDS)
def test_a_box_is_shifted_in_one_direction_and_further_at_every_level(given_box, seed):
    box, (height, width) = given_box
    box = tuple(value + 400.0 for value in box)
    steps = []
    for level in LEVELS:
        moved = jittered_box(box, SHIFT, level, (height + 800, width + 800), seed)
        assert sides(moved) == pytest.approx(sides(box))
        # In units of the box's own sides.
        along = [(to - at) / side for to, at, side in zip(centre(moved), centre(box), sides(box), strict=True)]
        assert math.hypot(*along) == pytest.approx(SHIFT.shares[level - 1])
        steps.append(math.atan2(along[1], along[0]))
    assert np.ptp(np.unwrap(steps)) < 1e-6


@settings(max_examples=20)
@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=5, unique=True))
def test_a_direction_belongs_to_its_object_alone(names):
    item = thing(discs(0)[0])
    alone = {name: shifted(Subject(64, 64, [("s", named(item, name))])) for name in names}
    together = shifted(Subject(64, 64, [("s", named(item, name)) for name in names]))
    assert together == {key: box for one in alone.values() for key, box in one.items()}
    first_level = [together[name, 1] for name in names]
    assert len(set(first_level)) == len(names)


def named(item, name):
    return ObjectRow(name, item.label, item.box, item.mask)


def thing(mask):
    return ObjectRow("1", "disc", box_of(mask), encode_mask(mask))


def shifted(subject):
    asked = jittered_prompts(subject, "discs", [SHIFT], LEVELS)
    return {(prompt.object_id, prompt.level): prompt.box for prompt in asked}


def test_data_set_sample_and_prompt_change_the_direction():
    item = thing(discs(0)[0])
    other = SHIFT.model_copy(update={"name": "another"})
    told = {
        jittered_prompts(Subject(64, 64, [(sample, item)]), dataset, [jitter], [3])[0].box
        for sample, dataset, jitter in (("s", "d", SHIFT), ("t", "d", SHIFT), ("s", "e", SHIFT), ("s", "d", other))
    }
    assert len(told) == 4


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("study"), ["gaussian_noise"], count=4)


@pytest.fixture
def spec():
    return predict_spec().model_copy(update={"prompts": [GROW, SHRINK, SHIFT], "levels": [1, 2, 3, 4, 5]})


def test_moved_prompts_cost_no_second_look_at_an_image(records, tmp_path, spec):
    plain, moved = Oracle(), Oracle()
    before, _ = predict(records, tmp_path / "plain", plain)
    after, _ = predict(records, tmp_path / "moved", moved, spec=spec)
    assert moved.asked == plain.asked == 4 + 4 * 5
    rows = read_rows(after, PredictionRow)
    others = [row for row in rows if row.perturbation.startswith("box_")]
    assert len(others) == 3 * 5 * 4 * 2
    # What is asked besides changes nothing else, and comes right after the clean answers of its image.
    assert [row for row in rows if row not in others] == read_rows(before, PredictionRow)
    first = [row.perturbation for row in rows if row.sample_id == "i0"][: 2 + 3 * 5 * 2]
    assert list(dict.fromkeys(first)) == ["clean", "box_grow", "box_shrink", "box_shift"]


def test_the_box_itself_scores_what_its_area_says(records, tmp_path, spec):
    """Box fill of a grown box: the disc is inside, so IoU is the disc's area over that of the box."""
    output, _ = predict(records, tmp_path, BoxFillSegmenter(), spec=spec)
    scoring = ScoreSpec(
        run="box_fill",
        dataset="discs",
        split="test",
        scoring=Scoring(metrics=["iou"]),
        unmoved=["box_grow", "box_shrink", "box_shift"],
    )
    score_predictions(scoring, records.images, records.samples, records.perturbed, output, tmp_path / "scores.parquet")
    scores = {
        (row.perturbation, row.level): row.value
        for row in read_rows(tmp_path / "scores.parquet", ScoreRow)
        if (row.sample_id, row.object_id) == ("i0", "0")
    }
    mask = discs(0)[0]
    for level, share in zip(LEVELS, GROW.shares, strict=True):
        x0, y0, x1, y1 = box_of(mask)
        arms = (x1 - x0) * share / 2, (y1 - y0) * share / 2
        across = math.ceil(x1 + arms[0]) - math.floor(x0 - arms[0])
        down = math.ceil(y1 + arms[1]) - math.floor(y0 - arms[1])
        assert scores["box_grow", level] == pytest.approx(mask.sum() / (across * down))
    assert scores["box_shift", 5] < scores["box_shift", 1] <= scores["clean", 0] + 0.05


def test_a_changed_prompt_asks_about_clean_images_alone(records, tmp_path, spec):
    _, first = predict(records, tmp_path, Oracle(), spec=spec)
    wider = spec.model_copy(update={"prompts": [GROW.model_copy(update={"shares": (0.1, 0.2, 0.3, 0.4, 1.0)})]})
    segmenter = Oracle()
    _, journal = predict(records, tmp_path, segmenter, spec=wider)
    assert (segmenter.asked, journal.computed, journal.reused) == (4, 1, first.computed - 1)


def test_masks_beyond_memory_are_asked_in_parts_that_cut_no_image(records, tmp_path, spec, monkeypatch):
    whole, _ = predict(records, tmp_path / "whole", Oracle(), spec=spec)

    class Watched(Oracle):
        most = 0

        def predict(self, images, boxes):
            self.most = max(self.most, sum(map(len, boxes)))
            return super().predict(images, boxes)

    segmenter = Watched()
    monkeypatch.setattr(predicting, "_MASK_PIXELS", 64 * 64 * 40)
    parts, _ = predict(records, tmp_path / "parts", segmenter, spec=spec)
    # 32 masks of a clean image, two of a noisy one.
    assert (segmenter.most, segmenter.asked) == (40, 4 + 4 * 5)
    assert parts.read_bytes() == whole.read_bytes()


def test_what_goes_wrong_while_reading_ahead_is_said(records, tmp_path):
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(records.perturbed[0].read_bytes()[:-100])
    with pytest.raises(Exception, match=r"broken\.parquet: truncated"):
        predict(records, tmp_path, Oracle(), perturbed=[records.perturbed[0], broken])
    assert not (tmp_path / "predictions.parquet").exists()
