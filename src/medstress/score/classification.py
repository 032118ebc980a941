"""Scores every answer of one classifier on one data set.

A metric of a cell belongs to all its images together; it is stored as one value an image whose mean over the images
that count is the metric: see :mod:`medstress.score.class_metrics`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import expit, softmax

from medstress.cards.classification import Classes
from medstress.errors import MedstressError
from medstress.records import (
    ImageRow,
    PerturbedRow,
    PredictionRow,
    SampleRow,
    ScoreRow,
    read_rows,
    read_tables,
    write_columns,
)
from medstress.score import class_metrics as measure
from medstress.score.cells import UNMOVED, cells_of
from medstress.score.class_metrics import Bools, Floats, Linearised
from medstress.specs import ScoreSpec

_EXAMPLES = 5


@dataclass(frozen=True)
class _Samples:
    """What is asked: names of each sample, and its truth, bool [samples, classes]."""

    ids: list[str]
    images: list[str]
    groups: list[str]
    truth: Bools


@dataclass(frozen=True)
class _Answers:
    """The answers of one cell that count: truth, bool [n, classes], and logits, float64 [n, classes]."""

    classes: Classes
    bins: int
    truth: Bools
    logits: Floats

    @property
    def number(self) -> npt.NDArray[np.int64]:
        """The true class, [n]."""
        return np.asarray(self.truth.argmax(axis=1), dtype=np.int64)

    @property
    def named(self) -> npt.NDArray[np.int64]:
        """The class with the largest logit, [n]."""
        return np.asarray(self.logits.argmax(axis=1), dtype=np.int64)

    @property
    def labels(self) -> Bools:
        """The labels that the model sees, [n, labels]."""
        return expit(self.logits) >= np.array(self.classes.thresholds or [0.5])


def _auroc(answers: _Answers) -> Linearised | None:
    # Of two classes one curve is the other's mirror image.
    first = 1 if answers.truth.shape[1] == 2 else 0
    return measure.auroc(answers.truth[:, first:], measure.log_odds(answers.logits)[:, first:])


def _calibration(answers: _Answers) -> Linearised:
    confidence = softmax(answers.logits, axis=1).max(axis=1)
    return measure.calibration_error(confidence, answers.named == answers.number, answers.bins)


_Measure = Callable[[_Answers], Linearised | None]
_OF_ONE_CLASS: dict[str, _Measure] = {
    "accuracy": lambda answers: measure.accuracy(answers.named == answers.number),
    "balanced_accuracy": lambda answers: measure.balanced_accuracy(answers.number, answers.named),
    "auroc": _auroc,
    "ece": _calibration,
}
_OF_LABELS: dict[str, _Measure] = {
    "accuracy": lambda answers: measure.accuracy(answers.labels == answers.truth),
    "balanced_accuracy": lambda answers: measure.balanced_accuracy_of_labels(answers.truth, answers.labels),
    "auroc": lambda answers: measure.auroc(answers.truth, answers.logits),
    "ece": lambda answers: measure.calibration_error_of_labels(expit(answers.logits), answers.truth, answers.bins),
}
_MEASURES: dict[str, dict[str, _Measure]] = {
    "multi_class": _OF_ONE_CLASS,
    "multi_label": _OF_LABELS,
    "ordinal": _OF_ONE_CLASS | {"qwk": lambda answers: measure.weighted_kappa(answers.number, answers.named)},
}


def _samples_of(spec: ScoreSpec, classes: Classes, images: Path, samples: Path) -> _Samples:
    inside = {row.image_id: row for row in read_rows(images, ImageRow, pixels=False) if row.split == spec.split}
    found = [row for row in read_rows(samples, SampleRow) if row.image_id in inside]
    if not found:
        raise MedstressError(
            f"{samples}: the {spec.split} split has no image to score. Check the card's split and limit."
        )
    count = len(classes.names)
    several = classes.kind == "multi_label"
    wrong = [
        row.sample_id
        for row in found
        if (len(row.labels) != 1 and not several) or not all(0 <= label < count for label in row.labels)
    ]
    if wrong:
        shown = ", ".join(wrong[:_EXAMPLES])
        asked = f"labels from 0 to {count - 1}" if several else f"one label from 0 to {count - 1}"
        raise MedstressError(
            f"{samples}: {len(wrong)} samples have not {asked}, such as {shown}. "
            "Delete the prepared data set and run the same command again."
        )
    truth = np.zeros((len(found), count), bool)
    for index, row in enumerate(found):
        truth[index, list(row.labels)] = True
    return _Samples(
        [row.sample_id for row in found],
        [row.image_id for row in found],
        [inside[row.image_id].group_id for row in found],
        truth,
    )


def _logits_of(answers: pa.Table, count: int, where: Path) -> tuple[npt.NDArray[np.object_], Floats]:
    """Status of every answer, and its logits, float64 [answers, classes], NaN where there is no answer.

    Raises MedstressError where an answer has not one finite logit a class.
    """
    status = answers["status"].to_numpy()
    lengths = pc.fill_null(pc.list_value_length(answers["logits"]), 0).to_numpy()
    answered = status == "ok"
    logits = np.full((len(status), count), np.nan)
    whole = answered & (lengths == count)
    given = answers["logits"].filter(pa.array(whole)).combine_chunks()
    logits[whole] = np.asarray(given.flatten()).reshape(-1, count)
    problems = {
        f"answers have not {count} logits": answered & ~whole,
        "answers have logits that are not finite": whole & ~np.isfinite(logits).all(axis=1),
    }
    texts = []
    for text, found in problems.items():
        if found.any():
            keys = answers.select(["sample_id", "perturbation", "level"]).filter(pa.array(found)).slice(0, _EXAMPLES)
            shown = ", ".join("/".join(map(str, row.values())) for row in keys.to_pylist())
            texts.append(f"{found.sum()} {text}, such as {shown}")
    if texts:
        raise MedstressError(f"{where}: {'; '.join(texts)}. Delete this record and run the same command again.")
    return status, logits


def _measured(
    spec: ScoreSpec,
    classes: Classes,
    samples: _Samples,
    cells: pd.DataFrame,
    status: npt.NDArray[np.object_],
    logits: Floats,
) -> dict[str, tuple[Floats, npt.NDArray[np.object_]]]:
    """Values and statuses of every row of `cells` by metric; values are NaN where there are none."""
    known = _MEASURES[classes.kind]
    measures = {name: known[name] for name in map(str, spec.classification.metrics) if name in known}
    scored: dict[str, tuple[Floats, npt.NDArray[np.object_]]] = {
        name: (np.full(len(cells), np.nan), status.copy()) for name in measures
    }
    places = cells["object"].to_numpy()
    for rows in cells.groupby(["perturbation", "level"]).indices.values():
        counted, beside = rows[status[rows] == "ok"], rows[status[rows] == "unreachable"]
        for name, one in measures.items():
            values, statuses = scored[name]
            for part in (counted, beside) if name == "accuracy" else (counted,):
                if not len(part):
                    continue
                truth = samples.truth[places[part]]
                result = one(_Answers(classes, spec.classification.ece_bins, truth, logits[part]))
                if result is None:
                    statuses[part] = "undefined"
                else:
                    values[part] = result.values
    return scored


def _write(
    spec: ScoreSpec,
    classes: Classes,
    samples: _Samples,
    cells: pd.DataFrame,
    scored: dict[str, tuple[Floats, npt.NDArray[np.object_]]],
    output: Path,
) -> None:
    count, each = len(cells), len(scored)
    places = cells["object"].to_numpy()
    several = classes.kind == "multi_label"
    truths = ["" if several else classes.names[int(row.argmax())] for row in samples.truth]
    values = np.stack([part for part, _ in scored.values()], axis=1).ravel()
    statuses = np.stack([part for _, part in scored.values()], axis=1).ravel()

    def by_sample(names: list[str]) -> pa.Array:
        return pa.array(names).take(pa.array(np.repeat(places, each)))

    def same(value: object, kind: pa.DataType) -> pa.Array:
        return pa.repeat(pa.scalar(value, kind), count * each)

    columns = {
        "task": same("classification", pa.string()),
        "run": same(spec.run, pa.string()),
        "seed": same(spec.seed, pa.int64()),
        "dataset": same(spec.dataset, pa.string()),
        "subset": same("iid", pa.string()),
        "sample_id": by_sample(samples.ids),
        "group_id": by_sample(samples.groups),
        "object_id": by_sample(truths),
        "perturbation": pa.array(np.repeat(cells["perturbation"].to_numpy(), each), pa.string()),
        "level": pa.array(np.repeat(cells["level"].to_numpy(), each), pa.int64()),
        "metric": pa.array(np.tile(np.array(list(scored), dtype=object), count), pa.string()),
        "value": pa.array(values, mask=np.isnan(values)),
        "status": pa.array(statuses, pa.string()),
    }
    write_columns(output, ScoreRow, columns)


def score_predictions(
    spec: ScoreSpec,
    images: Path,
    samples: Path,
    perturbed: Sequence[Path],
    predictions: Path,
    output: Path,
    attacked: Sequence[Path] = (),
) -> None:
    """Write one score an image, cell and metric of a run on one data set; `object_id` is the true class's name.

    With several labels an image, `object_id` is empty. `attacked` are the run's answers to its own adversarial images,
    which have no perturbed record. A perturbed record without rows leaves a hole: the type has no scores.

    Status of a score: ok; unreachable (the image is not in its SSIM band: the metric is that of the other images, and
    its own accuracy alone is stored); undefined (the metric does not exist in this cell, such as AUROC where all
    images are of one class; no value); any other status of the answer is carried over without a value.
    Raises MedstressError where answers or perturbed images are missing, doubled or foreign, where an answer has not
    one finite logit a class, and where labels do not fit the classes.
    """
    assert spec.classes is not None
    asked = _samples_of(spec, spec.classes, images, samples)
    shown = read_tables(perturbed, PerturbedRow, ["image_id", "perturbation", "level", "status"])
    columns = ["sample_id", "object_id", "perturbation", "level", "status", "logits"]
    answers = read_tables([predictions, *attacked], PredictionRow, columns)
    names = [(sample, "", image) for sample, image in zip(asked.ids, asked.images, strict=True)]
    cells = cells_of(spec, names, shown, answers, predictions)
    answered, logits = _logits_of(answers, len(spec.classes.names), predictions)
    chosen, seen = cells["answer"].to_numpy(), cells["perturbed"].to_numpy()
    beyond = (shown["status"].to_numpy() == "unreachable")[seen] if len(shown) else np.zeros(len(seen), bool)
    status = np.where((answered[chosen] == "ok") & (seen != UNMOVED) & beyond, "unreachable", answered[chosen])
    scored = _measured(spec, spec.classes, asked, cells, status, logits[chosen])
    _write(spec, spec.classes, asked, cells, scored, output)
