"""From records to scores of answers in words: values, statuses, flips, moved boxes, and subsets of shifts."""

import dataclasses
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from medstress.errors import MedstressError
from medstress.perturb.warp import affine
from medstress.pixels import encode_mask
from medstress.records import (
    ImageRow,
    JudgedRow,
    ObjectRow,
    PerturbedRow,
    PredictionRow,
    SampleRow,
    ScoreRow,
    TextRow,
    WarpRow,
    read_rows,
    write_rows,
)
from medstress.score import captioning, grounding, vqa
from medstress.score.captions import bleu, cider_d, cider_idf, cider_vector, rouge_l
from medstress.specs import ScoreSpec

SIDE = 40
LEVELS = (1, 2)
CELLS = [("clean", 0), *(("jpeg", level) for level in LEVELS)]
SHIFT = {"name": "xray", "field": "organ", "ood": ["chest"], "constant_in": "image", "lend_from": ["train"]}
ORGANS = ("MRI", "CT", "X-ray")


def image_of(name: str, split: str = "test") -> ImageRow:
    return ImageRow(name, f"p-{name}", split, "ct", b"png", SIDE, SIDE)


def shown_as(image: str, level: int, warp: WarpRow | None = None, status: str = "in_band") -> PerturbedRow:
    return PerturbedRow(image, "jpeg", level, b"png", None, warp, 1.0, 0.9, None, None, 1, status)


def question(image: str, number: int, answer: str, options: tuple[str, ...] = (), kind: str = "") -> SampleRow:
    closed = bool(options) or kind == "closed"
    organ = (("organ", "chest" if image in ("i2", "lent") else "head"),)
    kinds: Any = "closed" if closed else "open"
    return SampleRow(
        f"{image}#{number}",
        image,
        "vqa",
        attributes=organ,
        question="What?",
        options=options,
        answer=answer,
        answer_type=kinds,
    )


class Study:
    """Records on disk, and answers about them: `said` are texts, or boxes, by sample and cell; others are as given."""

    def __init__(self, folder: Path, module: ModuleType, images: list[ImageRow], samples: list[SampleRow]) -> None:
        self.folder, self.module = folder, module
        self.images, self.samples = images, samples
        self.shown = [shown_as(image.image_id, level) for image in images if image.split == "test" for level in LEVELS]

    def answers(self, said: Any) -> list[PredictionRow]:
        split = {image.image_id: image.split for image in self.images}
        return [
            answer_of(sample.sample_id, cell, said(sample, *cell))
            for sample in self.samples
            if split[sample.image_id] == "test"
            for cell in CELLS
        ]

    def score(
        self,
        answers: list[PredictionRow],
        judged: list[JudgedRow] | None = None,
        embedded: list[TextRow] | None = None,
        **spec: Any,
    ) -> pd.DataFrame:
        given = {"run": "model", "dataset": "toy", "split": "test", "scoring": {}}
        name = self.module.__name__.rsplit(".", 1)[1]
        names = ("images", "samples", "jpeg", "answers", "scores")
        images, samples, jpeg, said, scores = (self.folder / f"{name}.parquet" for name in names)
        write_rows(images, ImageRow, self.images)
        write_rows(samples, SampleRow, self.samples)
        write_rows(jpeg, PerturbedRow, self.shown)
        write_rows(said, PredictionRow, answers)
        spec_of = ScoreSpec.model_validate(given | {"task": name} | spec)
        more = {}
        if judged is not None:
            more["judged"] = [self.folder / "judged.parquet"]
            write_rows(more["judged"][0], JudgedRow, judged)
        if embedded is not None:
            more["embedded"] = [self.folder / "captions.parquet"]
            write_rows(more["embedded"][0], TextRow, embedded)
        self.module.score_predictions(spec_of, images, samples, [jpeg], said, scores, **more)
        return pd.DataFrame([dataclasses.asdict(row) for row in read_rows(scores, ScoreRow)])


def answer_of(sample: str, cell: tuple[str, int], said: Any) -> PredictionRow:
    status = "ok" if said is not None else "error"
    text, box = (said, None) if isinstance(said, str) else (None, said)
    return PredictionRow(sample, "", *cell, None, status, text=text, box=box)


def value(frame: pd.DataFrame, sample: str, level: int, metric: str) -> tuple[float | None, str]:
    """The value and status of one score of the split."""
    keys = (frame.sample_id == sample) & (frame.level == level) & (frame.metric == metric) & (frame.subset == "")
    (row,) = frame[keys].itertuples()
    return (None if pd.isna(row.value) else row.value), row.status


@pytest.fixture
def asked(tmp_path: Path) -> Study:
    """Two images with a question of each kind, one of another organ, and one in train that may be lent."""
    samples = [
        question("i0", 0, "CT", ORGANS),
        question("i0", 1, "no", (), "closed"),
        question("i1", 0, "left lung"),
        question("i1", 1, "CT", (), "closed"),
        question("i2", 0, "yes", ("yes", "no")),
        question("lent", 0, "no", ("yes", "no")),
        question("seen", 0, "no", ("yes", "no")),
    ]
    images = [image_of("i0"), image_of("i1"), image_of("i2"), image_of("lent", "train"), image_of("seen", "train")]
    return Study(tmp_path, vqa, images, samples)


RIGHT = {"i0#0": "The answer is B.", "i0#1": "No.", "i1#0": "left lung", "i1#1": "It is a CT image.", "i2#0": "Yes"}


def right_but(said: dict[tuple[str, int], str | None]) -> Any:
    """The right answer to every question, but for what is said at a level."""
    return lambda sample, _, level: said.get((sample.sample_id, level), RIGHT[sample.sample_id])


def test_closed_and_open_answers(asked: Study) -> None:
    said = {
        ("i0#0", 1): "MRI",
        ("i0#0", 2): "CT or X-ray",
        ("i0#1", 1): "I cannot answer this question.",
        ("i0#1", 2): "",
        ("i1#0", 1): "the lung",
        ("i1#0", 2): "Left lung!",
        ("i1#1", 1): "not a CT",
    }
    frame = asked.score(asked.answers(right_but(said)))
    assert set(frame.task) == {"vqa"}
    assert set(frame.subset) == {""}
    assert value(frame, "i0#0", 0, "closed_accuracy") == (1.0, "ok")
    assert value(frame, "i0#0", 1, "closed_accuracy") == (0.0, "ok")
    # Two options named are none, which is wrong and counted apart.
    assert value(frame, "i0#0", 2, "closed_accuracy") == (0.0, "unparsable")
    assert value(frame, "i0#1", 1, "closed_accuracy") == (0.0, "refused")
    assert value(frame, "i0#1", 2, "closed_accuracy") == (0.0, "empty")
    # Options that are not known: the truth must be named, and not denied.
    assert value(frame, "i1#1", 0, "closed_accuracy") == (1.0, "ok")
    assert value(frame, "i1#1", 1, "closed_accuracy") == (0.0, "ok")
    assert [value(frame, "i1#0", 1, f"open_{name}")[0] for name in ("exact_match", "precision", "recall")] == [
        0,
        1,
        0.5,
    ]
    assert value(frame, "i1#0", 1, "open_f1") == (pytest.approx(2 / 3), "ok")
    assert value(frame, "i1#0", 2, "open_exact_match") == (1.0, "ok")
    # What a guess scores: one of three options, yes or no, and nothing known.
    chances = frame[frame.metric == "closed_chance"]
    assert chances.set_index("sample_id").value.to_dict() == pytest.approx(
        {"i0#0": 1 / 3, "i0#1": 0.5, "i1#1": 0.0, "i2#0": 0.5}
    )
    assert set(chances.level) == {0}


def test_an_answer_flips_where_it_says_something_else(asked: Study) -> None:
    said = {
        ("i0#0", 1): "b) CT",  # the same option in other words
        ("i0#0", 2): "A",
        ("i0#1", 1): "perhaps",
        ("i1#0", 1): "the Left lung.",
        ("i1#0", 2): "right lung",
    }
    frame = asked.score(asked.answers(right_but(said)))
    assert [value(frame, "i0#0", level, "closed_flip")[0] for level in (0, 1, 2)] == [0, 0, 1]
    assert value(frame, "i0#1", 1, "closed_flip") == (1.0, "unparsable")
    assert [value(frame, "i1#0", level, "open_flip")[0] for level in (0, 1, 2)] == [0, 0, 1]


def test_failures_and_images_beyond_their_band(asked: Study) -> None:
    asked.shown = [
        dataclasses.replace(row, status="unreachable") if (row.image_id, row.level) == ("i0", 2) else row
        for row in asked.shown
    ]
    frame = asked.score(asked.answers(right_but({("i0#0", 0): None, ("i1#0", 1): None})))
    assert value(frame, "i0#0", 0, "closed_accuracy") == (None, "error")
    # Nothing to be compared with.
    assert value(frame, "i0#0", 1, "closed_flip") == (None, "ok")
    assert value(frame, "i1#0", 1, "open_f1") == (None, "error")
    assert value(frame, "i0#1", 2, "closed_accuracy") == (1.0, "unreachable")


def test_sides_of_a_shift(asked: Study) -> None:
    lent = answer_of("lent#0", ("clean", 0), "yes")
    answers = asked.answers(right_but({}))
    frame = asked.score([*answers, lent], shifts=[SHIFT])
    accuracy = frame[frame.metric == "closed_accuracy"]
    whole, iid, ood = (accuracy[accuracy.subset == name] for name in ("", "xray/iid", "xray/ood"))
    assert set(whole.sample_id) == {"i0#0", "i0#1", "i1#1", "i2#0"}
    assert set(iid.sample_id) == {"i0#0", "i0#1", "i1#1"}
    # What train lends is out of distribution only, and asked about the clean image alone.
    assert ood.set_index("sample_id").value.to_dict() == {"i2#0": 1.0, "lent#0": 0.0}
    assert set(iid.level) == set(ood.level) == {0}
    assert set(frame[frame.metric == "closed_chance"].subset) == {"", "xray/iid", "xray/ood"}
    with pytest.raises(MedstressError, match=r"1 answers are missing: lent#0/clean/0"):
        asked.score(answers, shifts=[SHIFT])
    with pytest.raises(MedstressError, match=r"1 answers belong to no object or cell of the study: lent#0/clean/0"):
        asked.score([*answers, lent])


def test_a_judge_beside_the_words(asked: Study) -> None:
    answers = asked.answers(right_but({("i1#0", 1): "lung", ("i1#0", 2): None}))
    judged = [
        JudgedRow(row.sample_id, row.perturbation, row.level, 3.0 if "i1#0" in row.sample_id else 1.0, "ok", "3")
        for row in answers
        if row.status == "ok"
    ]
    judged += [JudgedRow("i1#0", "jpeg", 2, None, "unanswered", None)]
    judged[0] = dataclasses.replace(judged[0], score=None, status="unparsable", text="It is right.")
    frame = asked.score(answers, judged)
    assert value(frame, "i1#0", 1, "judge_open") == (3.0, "ok")
    assert value(frame, "i1#0", 2, "judge_open") == (None, "error")
    # What the judge did not say is missing from its metric alone.
    assert value(frame, "i0#0", 0, "judge_closed") == (None, "judge_unparsable")
    assert value(frame, "i0#0", 0, "closed_accuracy") == (1.0, "ok")


def test_answers_that_cannot_be_scored(asked: Study) -> None:
    answers = asked.answers(right_but({}))
    with pytest.raises(MedstressError, match=r"1 answers with status ok have no text, such as i0#0/clean/0"):
        asked.score([dataclasses.replace(answers[0], text=None), *answers[1:]])
    with pytest.raises(MedstressError, match=r"the val split has no sample to score"):
        asked.score(answers, split="val")
    asked.samples[0] = dataclasses.replace(asked.samples[0], answer_type="")
    with pytest.raises(MedstressError, match=r"1 questions are neither open nor closed, such as i0#0"):
        asked.score(answers)


TRUTHS = ("chest x ray shows a left effusion", "brain mri with a mass", "normal liver ct")
GIVEN = ("chest x ray shows a left effusion", "brain ct with mass", "liver")


@pytest.fixture
def described(tmp_path: Path) -> Study:
    samples = [SampleRow(f"i{place}", f"i{place}", "captioning", caption=truth) for place, truth in enumerate(TRUTHS)]
    return Study(tmp_path, captioning, [image_of(sample.image_id) for sample in samples], samples)


def test_captions(described: Study) -> None:
    said = {("i0", 1): "", ("i1", 1): "I cannot assess this image.", ("i2", 1): None, ("i2", 2): TRUTHS[2]}
    frame = described.score(
        described.answers(lambda sample, _, level: said.get((sample.sample_id, level), GIVEN[int(sample.sample_id[1])]))
    )
    idf = cider_idf(TRUTHS)
    for place, expected in enumerate((10.0, 1.818, 1.365)):
        given, truth = GIVEN[place], TRUTHS[place]
        vectors = cider_vector(given, idf), cider_vector(truth, idf)
        assert value(frame, f"i{place}", 0, "cider_d") == (pytest.approx(cider_d(*vectors)), "ok")
        assert cider_d(*vectors) == pytest.approx(expected, abs=5e-4)
        assert value(frame, f"i{place}", 0, "rouge_l")[0] == pytest.approx(rouge_l(given, truth))
        assert [value(frame, f"i{place}", 0, f"bleu_{order}")[0] for order in (1, 2, 3, 4)] == list(bleu(given, truth))
    assert value(frame, "i0", 1, "cider_d") == (0.0, "empty")
    assert value(frame, "i1", 1, "bleu_1") == (0.0, "refused")
    assert value(frame, "i2", 1, "cider_d") == (None, "error")
    # Perturbed answers are weighed as clean ones are: three words of the truth have 7.5.
    assert value(frame, "i2", 2, "cider_d") == (pytest.approx(7.5), "ok")


def test_captions_are_compared_by_their_embeddings_too(described: Study) -> None:
    said = {("i0", 1): "", ("i1", 1): "I cannot assess this image.", ("i2", 1): None}
    answers = described.answers(
        lambda sample, _, level: said.get((sample.sample_id, level), GIVEN[int(sample.sample_id[1])])
    )
    unit = {text: np.array([np.cos(place), np.sin(place)], "<f4") for place, text in enumerate({*TRUTHS, *GIVEN})}
    rows = [TextRow(text, row.tobytes(), 1.0) for text, row in unit.items()]
    frame = described.score(answers, embedded=rows)
    for place, (given, truth) in enumerate(zip(GIVEN, TRUTHS, strict=True)):
        expected = pytest.approx(float(unit[given] @ unit[truth]), abs=1e-6)
        assert value(frame, f"i{place}", 0, "caption_similarity") == (expected, "ok")
    assert value(frame, "i0", 0, "caption_similarity")[0] == pytest.approx(1)
    assert value(frame, "i0", 1, "caption_similarity") == (0.0, "empty")
    assert value(frame, "i1", 1, "caption_similarity") == (0.0, "refused")
    assert value(frame, "i2", 1, "caption_similarity") == (None, "error")
    assert "caption_similarity" not in set(described.score(answers).metric)
    with pytest.raises(MedstressError, match=r"1 captions have no embedding, such as 'liver'.*Delete this record"):
        described.score(answers, embedded=[row for row in rows if row.text != "liver"])


BOX = (10.0, 10.0, 20.0, 20.0)


@pytest.fixture
def marked(tmp_path: Path) -> Study:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[10:20, 10:20] = True
    samples = [
        SampleRow(f"i{place}", f"i{place}", "grounding", (ObjectRow("1", "disc", BOX, encode_mask(mask)),))
        for place in range(2)
    ]
    return Study(tmp_path, grounding, [image_of(sample.image_id) for sample in samples], samples)


def test_boxes_are_held_against_the_moved_truth(marked: Study) -> None:
    right = affine(np.array([[1.0, 0, 8], [0, 1, 0]]))
    away = affine(np.asarray(cv2.getRotationMatrix2D((0, 0), 90, 1.0), np.float64))
    marked.shown = [
        shown_as(image.image_id, level, right if level == 1 else away) for image in marked.images for level in LEVELS
    ]
    moved = (18.0, 10.0, 28.0, 20.0)
    frame = marked.score(
        marked.answers(lambda sample, _, level: moved if level == 1 and sample.sample_id == "i0" else BOX)
    )
    assert value(frame, "i0", 0, "box_iou") == (1.0, "ok")
    assert value(frame, "i0", 1, "box_iou") == (1.0, "ok")
    # 2 of 10 columns are shared with a box that stayed.
    assert value(frame, "i1", 1, "box_iou") == (pytest.approx(20 / 180), "ok")
    assert value(frame, "i0", 2, "box_iou") == (None, "object_lost")


def test_thresholds_and_answers_without_a_box(marked: Study) -> None:
    half, most = (10.0, 10.0, 20.0, 15.0), (10.0, 10.0, 20.0, 18.0)
    answers = marked.answers(lambda *cell: half if cell[2] == 1 else most)
    lacking = [
        dataclasses.replace(row, box=None, status="unparsable") if (row.sample_id, row.level) == ("i1", 0) else row
        for row in answers
    ]
    frame = marked.score(lacking)
    assert [value(frame, "i0", 1, name)[0] for name in ("box_iou", "accuracy_50", "accuracy_75")] == [0.5, 1, 0]
    assert [value(frame, "i0", 2, name)[0] for name in ("box_iou", "accuracy_50", "accuracy_75")] == [0.8, 1, 1]
    assert value(frame, "i1", 0, "box_iou") == (0.0, "unparsable")
    with pytest.raises(MedstressError, match="have no box"):
        marked.score([dataclasses.replace(answers[0], box=None), *answers[1:]])


def test_a_type_that_is_made_for_some_images_is_scored_on_these(tmp_path: Path) -> None:
    study = Study(tmp_path, vqa, [image_of("i0"), image_of("i1")], [question("i0", 0, "CT"), question("i1", 0, "CT")])
    study.shown = [row for row in study.shown if row.image_id == "i0"]
    said = [row for row in study.answers(lambda *_: "CT") if row.level == 0 or row.sample_id == "i0#0"]
    with pytest.raises(MedstressError, match="2 perturbed images of toy are missing: i1/jpeg/1, i1/jpeg/2"):
        study.score(said)
    frame = study.score(said, partial=["jpeg"])
    assert set(frame.loc[frame.level > 0, "sample_id"]) == {"i0#0"}
    assert set(frame.loc[frame.level == 0, "sample_id"]) == {"i0#0", "i1#0"}
    study.shown = []
    frame = study.score([row for row in said if row.level == 0], partial=["jpeg"])
    assert set(frame.level) == {0}
