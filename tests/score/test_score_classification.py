"""From records to scores of classifiers: statuses, holes, labels, order, and complaints about what is wrong."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score, roc_auc_score

from medstress.errors import MedstressError
from medstress.records import (
    ImageRow,
    PerturbedRow,
    PredictionRow,
    SampleRow,
    ScoreRow,
    read_rows,
    write_columns,
    write_rows,
)
from medstress.score.classification import score_predictions
from medstress.specs import ScoreSpec

NAMES = ["cell", "debris", "stain"]
LEVELS = (1, 2)
TRUTH = [0, 1, 2, 0, 1, 2, 0, 0, 1, 2]
CELLS = [("clean", 0), *(("jpeg", level) for level in LEVELS)]


def spec_of(kind: str = "ordinal", **changes: object) -> ScoreSpec:
    classes = {"names": NAMES, "kind": kind}
    values = {"run": "model", "dataset": "toy", "split": "test", "scoring": {}, "classes": classes}
    return ScoreSpec.model_validate(values | changes)


class Study:
    """Ten test images of three classes and one train image; one type at two levels, one of them out of its band."""

    def __init__(self, folder: Path, labels: list[tuple[int, ...]] | None = None) -> None:
        self.folder = folder
        given = labels or [(label,) for label in TRUTH]
        self.names = [f"i{place}" for place in range(len(given))]
        images = [ImageRow(name, f"p-{name}", "test", "ct", b"png", 8, 8) for name in self.names]
        write_rows(
            folder / "images.parquet", ImageRow, [*images, ImageRow("i-train", "p", "train", "ct", b"png", 8, 8)]
        )
        samples = [
            SampleRow(f"s-{name}", name, "classification", labels=label)
            for name, label in zip([*self.names, "i-train"], [*given, (0,)], strict=True)
        ]
        write_rows(folder / "samples.parquet", SampleRow, samples)
        rows = [self.image_at(name, level) for name in self.names for level in LEVELS]
        write_rows(folder / "jpeg.parquet", PerturbedRow, rows)
        self.logits = np.random.default_rng(2).normal(size=(len(CELLS), len(given), 3)).astype(np.float32)

    def image_at(self, name: str, level: int) -> PerturbedRow:
        status = "unreachable" if (name, level) == ("i3", 2) else "in_band"
        return PerturbedRow(name, "jpeg", level, b"png", None, None, 1.0, 0.9, None, None, 1, status)

    def answers(self) -> list[PredictionRow]:
        return [
            PredictionRow(f"s-{name}", "", *cell, None, "ok", None, tuple(map(float, self.logits[index, place])))
            for place, name in enumerate(self.names)
            for index, cell in enumerate(CELLS)
        ]

    def score(
        self, answers: list[PredictionRow], spec: ScoreSpec | None = None, attacked: list[PredictionRow] | None = None
    ) -> pd.DataFrame:
        write_rows(self.folder / "predictions.parquet", PredictionRow, answers)
        others = []
        if attacked is not None:
            others = [self.folder / "attacked.parquet"]
            write_rows(others[0], PredictionRow, attacked)
        output = self.folder / "scores.parquet"
        records = [self.folder / name for name in ("images.parquet", "samples.parquet")]
        perturbed = [self.folder / "jpeg.parquet"]
        score_predictions(
            spec or spec_of(), *records, perturbed, self.folder / "predictions.parquet", output, attacked=others
        )
        return pd.DataFrame([dataclasses.asdict(row) for row in read_rows(output, ScoreRow)])


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path)


def changed(answers: list[PredictionRow], sample: str, cell: tuple[str, int], **new: object) -> list[PredictionRow]:
    found = [(row.sample_id, row.perturbation, row.level) == (sample, *cell) for row in answers]
    assert sum(found) == 1
    return [
        dataclasses.replace(row, **new) if hit else row  # type: ignore[arg-type]
        for row, hit in zip(answers, found, strict=True)
    ]


def cell_of(frame: pd.DataFrame, cell: tuple[str, int], metric: str) -> pd.DataFrame:
    return frame[(frame.perturbation == cell[0]) & (frame.level == cell[1]) & (frame.metric == metric)]


def test_the_mean_of_a_cell_is_its_metric(study: Study) -> None:
    frame = study.score(study.answers())
    assert len(frame) == 10 * len(CELLS) * 5
    assert set(frame.task) == {"classification"}
    assert frame.object_id[:: len(CELLS) * 5].tolist() == [NAMES[label] for label in TRUTH]
    assert frame.sample_id[0] == "s-i0"
    assert frame.group_id[0] == "p-i0"
    truth = np.array(TRUTH)
    for index, cell in enumerate(CELLS):
        # The image that is not in its band does not count in any metric of its cell.
        kept = np.array([(name, cell[1]) != ("i3", 2) for name in study.names])
        logits, real = study.logits[index][kept].astype(np.float64), truth[kept]
        named = logits.argmax(axis=1)
        probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        expected = {
            "accuracy": (named == real).mean(),
            "balanced_accuracy": balanced_accuracy_score(real, named),
            "auroc": roc_auc_score(real, probability, multi_class="ovr"),
            "qwk": cohen_kappa_score(real, named, weights="quadratic"),
        }
        for metric, value in expected.items():
            rows = cell_of(frame, cell, metric)
            counted = rows[rows.status == "ok"]
            assert len(counted) == kept.sum()
            assert counted.value.mean() == pytest.approx(value, abs=1e-12)
    # Accuracy of each image is 1 or 0, so the mean over a class is its recall.
    assert set(cell_of(frame, ("clean", 0), "accuracy").value) <= {0.0, 1.0}


def test_statuses(study: Study) -> None:
    answers = changed(study.answers(), "s-i1", ("jpeg", 1), status="error", error="out of memory", logits=None)
    answers = changed(answers, "s-i2", ("jpeg", 2), status="refused", logits=None)
    frame = study.score(answers)
    failed = frame[frame.status.isin(["error", "refused"])]
    assert set(zip(failed.sample_id, failed.level, failed.status, strict=True)) == {
        ("s-i1", 1, "error"),
        ("s-i2", 2, "refused"),
    }
    assert failed.value.isna().all()
    beyond = frame[frame.status == "unreachable"].set_index("metric").value
    named = study.logits[2, 3].argmax()
    assert beyond["accuracy"] == float(named == TRUTH[3])
    assert beyond.drop("accuracy").isna().all()


def test_without_a_second_class_some_metrics_are_undefined(tmp_path: Path) -> None:
    study = Study(tmp_path, [(1,)] * 10)
    frame = study.score(study.answers())
    areas = frame[frame.metric == "auroc"]
    assert areas.value.isna().all()
    assert areas.groupby("status").size().to_dict() == {"undefined": 29, "unreachable": 1}
    # Classes that are absent are left out of means over classes.
    for metric in ("accuracy", "balanced_accuracy"):
        clean = cell_of(frame, ("clean", 0), metric)
        assert clean.value.mean() == pytest.approx((study.logits[0].argmax(axis=1) == 1).mean())


def test_two_classes_are_one_curve(tmp_path: Path) -> None:
    study = Study(tmp_path, [(place % 2,) for place in range(10)])
    answers = [dataclasses.replace(row, logits=row.logits[:2]) for row in study.answers() if row.logits]
    frame = study.score(answers, spec_of(classes={"names": NAMES[:2]}))
    area = cell_of(frame, ("clean", 0), "auroc").value.mean()
    odds = study.logits[0, :, 1] - study.logits[0, :, 0]
    assert area == pytest.approx(roc_auc_score([place % 2 for place in range(10)], odds), abs=1e-12)
    assert "qwk" not in set(frame.metric)


def test_several_labels(tmp_path: Path) -> None:
    labels: list[tuple[int, ...]] = [(), (0,), (0, 1), (1, 2), (2,), (0, 2), (), (1,), (0, 1, 2), (2,)]
    study = Study(tmp_path, labels)
    thresholds = [0.3, 0.5, 0.7]
    classes = {"names": NAMES, "kind": "multi_label", "thresholds": thresholds}
    frame = study.score(study.answers(), spec_of(classes=classes))
    truth = np.array([[one in own for one in range(3)] for own in labels])
    logits = study.logits[0].astype(np.float64)
    named = 1 / (1 + np.exp(-logits)) >= thresholds
    expected = {
        "accuracy": (named == truth).mean(),
        "balanced_accuracy": np.mean([balanced_accuracy_score(truth[:, one], named[:, one]) for one in range(3)]),
        "auroc": roc_auc_score(truth, logits),
    }
    for metric, value in expected.items():
        assert cell_of(frame, ("clean", 0), metric).value.mean() == pytest.approx(value, abs=1e-12)
    assert set(frame.object_id) == {""}
    assert set(frame.metric) == {*expected, "ece"}
    first = cell_of(frame, ("clean", 0), "accuracy").value.iloc[0]
    assert first == (named[0] == truth[0]).mean()


def test_attacks_have_no_perturbed_record(study: Study) -> None:
    spec = spec_of(unmoved=["pgd"])
    attacked = [dataclasses.replace(row, perturbation="pgd") for row in study.answers() if row.level == 1]
    frame = study.score(study.answers(), spec, attacked)
    assert len(cell_of(frame, ("pgd", 1), "accuracy")) == 10
    with pytest.raises(MedstressError, match="model on toy: no answers for pgd"):
        study.score(study.answers(), spec)


def test_a_record_without_rows_leaves_a_hole(study: Study) -> None:
    write_rows(study.folder / "jpeg.parquet", PerturbedRow, [])
    clean = [row for row in study.answers() if row.level == 0]
    assert set(study.score(clean).perturbation) == {"clean"}
    with pytest.raises(MedstressError, match="20 answers belong to no object or cell of the study: s-i0/jpeg/1"):
        study.score(study.answers())


def test_the_order_of_answers_does_not_change_a_byte(study: Study) -> None:
    study.score(study.answers())
    first = (study.folder / "scores.parquet").read_bytes()
    frame = study.score(study.answers()[::-1])
    assert (study.folder / "scores.parquet").read_bytes() == first
    assert frame.metric[:5].tolist() == ["accuracy", "balanced_accuracy", "auroc", "ece", "qwk"]
    assert frame.level[:15:5].tolist() == [0, 1, 2]


def test_columns_and_rows_write_the_same_bytes(tmp_path: Path, study: Study) -> None:
    frame = study.score(study.answers())
    rows = read_rows(study.folder / "scores.parquet", ScoreRow)
    write_rows(tmp_path / "rows.parquet", ScoreRow, rows)
    values = frame.value.astype(object).where(frame.value.notna(), None)
    write_columns(
        tmp_path / "columns.parquet", ScoreRow, {name: list(frame[name]) for name in frame} | {"value": list(values)}
    )
    assert (tmp_path / "columns.parquet").read_bytes() == (tmp_path / "rows.parquet").read_bytes()
    assert (study.folder / "scores.parquet").read_bytes() == (tmp_path / "rows.parquet").read_bytes()


def test_missing_doubled_and_foreign_answers_are_all_named(study: Study) -> None:
    answers = [row for row in study.answers() if (row.sample_id, row.level) != ("s-i1", 2)]
    answers += [answers[0], dataclasses.replace(answers[0], perturbation="speckle", level=1)]
    with pytest.raises(MedstressError) as caught:
        study.score(answers)
    text = str(caught.value)
    assert "1 answers are missing: s-i1/jpeg/2" in text
    assert "1 answers belong to no object or cell of the study: s-i0/speckle/1" in text
    assert "1 answers are there more than once: s-i0/clean/0" in text


def test_a_missing_perturbed_image_is_named(study: Study) -> None:
    rows = read_rows(study.folder / "jpeg.parquet", PerturbedRow)
    write_rows(study.folder / "jpeg.parquet", PerturbedRow, rows[:-1])
    with pytest.raises(MedstressError, match="1 perturbed images of toy are missing: i9/jpeg/2"):
        study.score(study.answers())


def test_bad_logits_are_all_named(study: Study) -> None:
    answers = changed(study.answers(), "s-i0", ("clean", 0), logits=(1.0, 2.0))
    answers = changed(answers, "s-i1", ("jpeg", 1), logits=None)
    answers = changed(answers, "s-i2", ("jpeg", 2), logits=(1.0, float("nan"), 2.0))
    with pytest.raises(MedstressError) as caught:
        study.score(answers)
    assert "2 answers have not 3 logits, such as s-i0/clean/0, s-i1/jpeg/1" in str(caught.value)
    assert "1 answers have logits that are not finite, such as s-i2/jpeg/2" in str(caught.value)


def test_bad_labels_and_empty_splits(tmp_path: Path) -> None:
    study = Study(tmp_path, [(0,), (3,), (), (0, 1)])
    with pytest.raises(MedstressError, match="3 samples have not one label from 0 to 2, such as s-i1, s-i2, s-i3"):
        study.score(study.answers())
    write_rows(tmp_path / "samples.parquet", SampleRow, [])
    with pytest.raises(MedstressError, match="the test split has no image to score"):
        study.score(study.answers())
