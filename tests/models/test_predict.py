"""Predictions: every cell, in order, once, and the prompt goes where the object went."""

import numpy as np
import pytest

from medstress.config import Scoring
from medstress.errors import MedstressError
from medstress.journal import Journal
from medstress.models.predict import predict_dataset
from medstress.models.prompts import prompt_box
from medstress.models.registry import load_segmenter
from medstress.perturb.build import perturb_dataset
from medstress.perturb.registry import PERTURBATIONS
from medstress.pixels import box_of, encode_mask
from medstress.records import ObjectRow, PredictionRow, ScoreRow, WarpRow, read_rows
from medstress.score.segmentation import score_predictions
from medstress.specs import ScoreSpec
from tests.models.study import discs, perturb_spec, predict_spec, write_study

TYPES = ["gaussian_noise", "rotation", "scaling", "translation"]


class Oracle:
    """Answers with the connected pixels that it sees in the box; in these pictures, the truth."""

    def __init__(self):
        self.asked = 0

    def predict(self, images, boxes):
        self.asked += len(images)
        return [[self._inside(image, box) for box in group] for image, group in zip(images, boxes, strict=True)]

    @staticmethod
    def _inside(image, box):
        x0, y0, x1, y1 = (round(value) for value in box)
        mask = np.zeros(image.shape, bool)
        mask[y0:y1, x0:x1] = image[y0:y1, x0:x1] > 127
        return mask


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("study"), TYPES, count=10)


def test_the_pace_counts_what_the_model_was_asked(records, tmp_path):
    asked = [
        predict_dataset(
            Oracle(),
            predict_spec(),
            records.images,
            records.samples,
            records.perturbed,
            tmp_path / "p.parquet",
            journal=Journal(tmp_path / "journal"),
            code="code",
        )
        for _ in range(2)
    ]
    assert [pace.images for pace in asked] == [10 + 4 * 50, 0]
    assert asked[0].images_per_second > 0
    assert asked[1].images_per_second is None


def predict(records, folder, segmenter, *, spec=None, perturbed=None, code="code", weights=""):
    journal = Journal(folder / "journal")
    output = folder / "predictions.parquet"
    predict_dataset(
        segmenter,
        spec or predict_spec(),
        records.images,
        records.samples,
        records.perturbed if perturbed is None else perturbed,
        output,
        journal=journal,
        code=code,
        weights=weights,
    )
    return output, journal


def test_every_cell_in_order(records, tmp_path):
    output, _ = predict(records, tmp_path, Oracle())
    rows = read_rows(output, PredictionRow)
    cells = list(dict.fromkeys((row.perturbation, row.sample_id, row.level) for row in rows))
    expected = [("clean", f"i{i}", 0) for i in range(10)]
    expected += [(name, f"i{i}", level) for name in TYPES for i in range(10) for level in range(1, 6)]
    assert cells == expected
    assert len(rows) == 2 * len(expected)


def test_an_oracle_scores_one_under_every_type_that_moves_pixels(records, tmp_path):
    output, _ = predict(records, tmp_path, Oracle())
    spec = ScoreSpec(run="oracle", dataset="discs", split="test", scoring=Scoring())
    score_predictions(spec, records.images, records.samples, records.perturbed, output, tmp_path / "scores.parquet")
    moved = [
        row
        for row in read_rows(tmp_path / "scores.parquet", ScoreRow)
        if row.metric == "iou" and row.perturbation in ("clean", "rotation", "scaling", "translation")
    ]
    assert len(moved) == 10 * 2 * 16
    assert {row.value for row in moved if row.status == "ok"} == {1.0}
    assert {row.status for row in moved} <= {"ok", "object_lost"}


def test_a_finished_unit_is_not_done_again(records, tmp_path):
    first = Oracle()
    output, journal = predict(records, tmp_path, first)
    bytes_before = output.read_bytes()
    assert (journal.reused, first.asked) == (0, 10 + 4 * 50)
    second = Oracle()
    output, again = predict(records, tmp_path, second)
    assert (again.reused, again.computed, second.asked) == (journal.computed, 0, 0)
    assert output.read_bytes() == bytes_before


def test_a_study_that_grew_computes_what_is_new(records, tmp_path):
    predict(records, tmp_path, Oracle(), perturbed=records.perturbed[:3])
    segmenter = Oracle()
    grown, _ = predict(records, tmp_path, segmenter)
    assert segmenter.asked == 50
    whole, _ = predict(records, tmp_path / "afresh", Oracle())
    assert grown.read_bytes() == whole.read_bytes()


def test_other_code_and_other_weights_are_other_units(records, tmp_path):
    predict(records, tmp_path, Oracle())
    assert predict(records, tmp_path, Oracle(), code="new")[1].reused == 0
    assert predict(records, tmp_path, Oracle(), weights="other")[1].reused == 0


def test_a_changed_prompt_asks_again_only_where_it_differs(records, tmp_path):
    _, first = predict(records, tmp_path, Oracle())
    _, journal = predict(records, tmp_path, Oracle(), spec=predict_spec("clean"))
    # Clean images in one unit, noise in two: nothing moved there, so the box is the same.
    assert journal.reused == 3
    assert journal.computed == first.computed - 3


def test_a_new_title_costs_nothing(records, tmp_path):
    predict(records, tmp_path, Oracle())
    spec = predict_spec()
    renamed = spec.model_copy(update={"model": spec.model.model_copy(update={"title": "Another name"})})
    assert predict(records, tmp_path, Oracle(), spec=renamed)[1].computed == 0


class Broken:
    """Answers that are not what the protocol says."""

    def __init__(self, spoil):
        self.spoil = spoil

    def predict(self, images, boxes):
        return self.spoil(Oracle().predict(images, boxes))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda answers: answers[:-1], "lists of masks for"),
        (lambda answers: [masks[:-1] for masks in answers], "1 masks for 2 boxes"),
        (lambda answers: [[mask[:10, :10] for mask in masks] for masks in answers], r"bool \(10, 10\), expected"),
        (lambda answers: [[mask * 0.9 for mask in masks] for masks in answers], "float64"),
    ],
    ids=["an image too few", "a mask too few", "another size", "probabilities"],
)
def test_a_model_that_breaks_its_protocol_is_not_scored(records, tmp_path, spoil, said):
    with pytest.raises(MedstressError, match=said):
        predict(records, tmp_path, Broken(spoil))
    assert not (tmp_path / "predictions.parquet").exists()


def test_a_damaged_unit_is_named_and_done_again(records, tmp_path):
    output, _ = predict(records, tmp_path, Oracle())
    before = output.read_bytes()
    victim = sorted((tmp_path / "journal").glob("*.parquet"))[0]
    victim.write_bytes(victim.read_bytes()[:-20])
    output, journal = predict(records, tmp_path, Oracle())
    assert (journal.computed, output.read_bytes() == before) == (1, True)
    assert victim.name in journal.damaged[0]


def test_empty_answers_are_counted_as_empty(records, tmp_path):
    class Silent:
        def predict(self, images, boxes):
            return [[np.zeros(image.shape, bool) for _ in group] for image, group in zip(images, boxes, strict=True)]

    output, _ = predict(records, tmp_path, Silent())
    assert {row.status for row in read_rows(output, PredictionRow)} <= {"empty", "object_lost"}


def test_nothing_to_ask_is_an_error(records, tmp_path):
    spec = predict_spec().model_copy(update={"split": "val"})
    with pytest.raises(MedstressError, match="no sample of the split 'val'"):
        predict(records, tmp_path, Oracle(), spec=spec, perturbed=[])
    assert not (tmp_path / "predictions.parquet").exists()


def thing(mask):
    return ObjectRow("1", "disc", box_of(mask), encode_mask(mask))


def test_an_object_that_mostly_left_is_not_asked_for():
    mask = discs(0)[0]
    x0, _, x1, _ = box_of(mask)
    for shift, there in ((-x0, True), (-(x0 + x1) / 2 + 2, True), (-(x0 + x1) / 2 - 2, False), (-64, False)):
        warp = WarpRow("affine", (1.0, 0.0, float(shift), 0.0, 1.0, 0.0))
        assert (prompt_box(thing(mask), warp, 64, 64, follow=True) is not None) == there


def test_the_prompt_can_stay_behind():
    mask = discs(0)[0]
    warp = WarpRow("affine", (1.0, 0.0, 5.0, 0.0, 1.0, 0.0))
    x0, y0, x1, y1 = box_of(mask)
    assert prompt_box(thing(mask), warp, 64, 64, follow=False) == (x0, y0, x1, y1)
    assert prompt_box(thing(mask), warp, 64, 64, follow=True) == (x0 + 5, y0, x1 + 5, y1)


def test_perturbed_bytes_do_not_depend_on_workers_or_order(records, tmp_path):
    for name in ("gaussian_noise", "translation"):
        written = next(path for path in records.perturbed if path.stem == name).read_bytes()
        perturb_dataset(PERTURBATIONS[name], perturb_spec(name), records.images, tmp_path / "four.parquet", workers=4)
        assert (tmp_path / "four.parquet").read_bytes() == written


def test_the_registry_loads_every_adapter_by_its_card():
    assert type(load_segmenter(predict_spec().model)).__name__ == "BoxFillSegmenter"
