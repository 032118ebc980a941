"""Metrics of classifiers against scikit-learn and torchmetrics; means of values against the metrics themselves."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as drawn
from scipy.special import softmax
from scipy.stats import norm
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import accuracy_score, balanced_accuracy_score, cohen_kappa_score, roc_auc_score
from torchmetrics.functional.classification import binary_calibration_error, multiclass_calibration_error

from medstress.config import Statistics
from medstress.score import class_metrics as measure
from medstress.score.bootstrap import estimate
from medstress.score.class_metrics import Linearised

EXACT = 1e-12


@st.composite
def answers(draw: Any, whole: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """True classes, of which some may be absent, and logits; whole numbers tie often."""
    classes, count = draw(st.integers(2, 5)), draw(st.integers(2, 30))
    truth = draw(drawn.arrays(np.int64, count, elements=st.integers(0, classes - 1)))
    values = st.integers(-3, 3) if whole else st.floats(-5, 5, width=32)
    logits = draw(drawn.arrays(np.float64, (count, classes), elements=values))
    return truth, logits


def one_hot(truth: np.ndarray, classes: int) -> np.ndarray:
    return truth[:, None] == np.arange(classes)


def assert_mean_is_metric(result: Linearised, expected: float) -> None:
    assert result.metric == pytest.approx(expected, abs=EXACT)
    assert result.values.mean() == pytest.approx(result.metric, abs=EXACT)


@settings(max_examples=40, deadline=None)
@given(answers())
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true", "ignore:A single label was found")
def test_against_scikit_learn(drawn_answers: tuple[np.ndarray, np.ndarray]) -> None:
    truth, logits = drawn_answers
    named = logits.argmax(axis=1)
    assert_mean_is_metric(measure.accuracy(named == truth), accuracy_score(truth, named))
    balanced = measure.balanced_accuracy(truth, named)
    assert balanced is not None
    assert_mean_is_metric(balanced, balanced_accuracy_score(truth, named))
    kappa = measure.weighted_kappa(truth, named)
    if kappa is None:
        assert len({*truth, *named}) == 1
    else:
        # Grades keep their distance where one between them is absent, which scikit-learn has to be told.
        labels = list(range(logits.shape[1]))
        assert_mean_is_metric(kappa, cohen_kappa_score(truth, named, labels=labels, weights="quadratic"))


@settings(max_examples=40, deadline=None)
@given(answers())
def test_areas_with_ties_and_absent_classes(drawn_answers: tuple[np.ndarray, np.ndarray]) -> None:
    truth, logits = drawn_answers
    there = one_hot(truth, logits.shape[1])
    # Rounded, so that equal probabilities whose sums ran in another order tie for scikit-learn too.
    probability = np.round(softmax(logits, axis=1), 12)
    present = [one for one in range(logits.shape[1]) if there[:, one].any() and not there[:, one].all()]
    area = measure.auroc(there, measure.log_odds(logits))
    if not present:
        assert area is None
        return
    assert area is not None
    assert_mean_is_metric(area, np.mean([roc_auc_score(there[:, one], probability[:, one]) for one in present]))
    if len(present) == logits.shape[1] > 2:
        assert area.metric == pytest.approx(roc_auc_score(truth, probability, multi_class="ovr"), abs=EXACT)
    if logits.shape[1] == 2:
        assert area.metric == pytest.approx(roc_auc_score(truth, probability[:, 1]), abs=EXACT)


def test_large_logits_do_not_tie() -> None:
    # A softmax in doubles is 1 for all of these, and every pair would count half.
    logits = np.array([[0.0, 50], [0, 60], [0, 70], [0, 80]])
    truth = np.array([[False], [False], [True], [True]])
    assert (softmax(logits, axis=1)[:, 1] == 1).all()
    area = measure.auroc(truth, measure.log_odds(logits)[:, 1:])
    assert area is not None
    assert area.metric == 1.0


def test_equal_probabilities_tie() -> None:
    odds = measure.log_odds(np.array([[1.0, -1, 1], [0, -2, 0], [0.3, 0.1, 0.2], [0.3, 0.2, 0.1]]))
    assert (odds[0] == odds[1]).all()
    assert odds[2, 0] == odds[3, 0]


@settings(max_examples=25, deadline=None)
@given(answers(whole=False), st.integers(2, 20))
def test_calibration_against_torchmetrics(drawn_answers: tuple[np.ndarray, np.ndarray], bins: int) -> None:
    truth, logits = drawn_answers
    # In single precision, as torchmetrics has it, and off the edges, where its bins are closed on the other side.
    probability = softmax(logits.astype(np.float32), axis=1)
    confidence = probability.max(axis=1).astype(np.float64)
    if np.abs(confidence[:, None] - np.linspace(0, 1, bins + 1)).min() < 1e-5:
        return
    result = measure.calibration_error(confidence, probability.argmax(axis=1) == truth, bins)
    expected = multiclass_calibration_error(
        torch.from_numpy(probability), torch.from_numpy(truth), logits.shape[1], n_bins=bins, norm="l1"
    )
    assert result.metric == pytest.approx(float(expected), abs=1e-6)
    assert result.values.mean() == pytest.approx(result.metric, abs=EXACT)


def test_calibration_by_hand() -> None:
    # Bins (0, .5] and (.5, 1]: .5 belongs to the lower one. Gaps: |.5 - 0| of one answer, |.8 - .5| of two.
    result = measure.calibration_error(np.array([0.5, 0.7, 0.9]), np.array([False, True, False]), 2)
    assert result.metric == pytest.approx((0.5 + 0.6) / 3)
    assert measure.calibration_error(np.array([1.0, 1.0]), np.array([True, True]), 15).metric == 0


@settings(max_examples=25, deadline=None)
@given(answers(whole=False), st.integers(1, 4))
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true", "ignore:A single label was found")
def test_labels(drawn_answers: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    logits = drawn_answers[1]
    truth = np.random.default_rng(seed).random(logits.shape) < 0.4
    named = logits >= 0
    assert_mean_is_metric(measure.accuracy(named == truth), (named == truth).mean())
    balanced = measure.balanced_accuracy_of_labels(truth, named)
    assert balanced is not None
    columns = list(zip(truth.T, named.T, strict=True))
    assert_mean_is_metric(balanced, np.mean([balanced_accuracy_score(*column) for column in columns]))
    probability = 1 / (1 + np.exp(-logits.astype(np.float32)))
    result = measure.calibration_error_of_labels(probability.astype(np.float64), truth, 10)
    assert result is not None
    if np.abs(probability[..., None] - np.linspace(0, 1, 11)).min() > 1e-5:
        parts = [
            binary_calibration_error(torch.from_numpy(given), torch.from_numpy(there).long(), 10, "l1")
            for given, there in zip(np.ascontiguousarray(probability.T), np.ascontiguousarray(truth.T), strict=True)
        ]
        assert result.metric == pytest.approx(float(np.mean(parts)), abs=1e-6)
    assert result.values.mean() == pytest.approx(result.metric, abs=EXACT)


def test_what_is_undefined() -> None:
    alone = np.zeros(4, np.int64)
    assert measure.weighted_kappa(alone, alone) is None
    assert measure.auroc(one_hot(alone, 3), np.zeros((4, 3))) is None
    with pytest.warns(UndefinedMetricWarning):
        assert math.isnan(roc_auc_score(alone, np.arange(4)))


@pytest.mark.parametrize("name", ["balanced_accuracy", "auroc", "qwk"])
def test_values_follow_the_metric_of_a_resample(name: str) -> None:
    """To first order: what is left is of the order of 1/n, far below the change itself."""
    random = np.random.default_rng(5)
    truth = random.integers(0, 3, 4000)
    logits = random.normal(size=(4000, 3)) + 1.2 * one_hot(truth, 3)

    def measured(rows: np.ndarray) -> Linearised:
        given, named = truth[rows], logits[rows].argmax(axis=1)
        result = {
            "balanced_accuracy": lambda: measure.balanced_accuracy(given, named),
            "auroc": lambda: measure.auroc(one_hot(given, 3), measure.log_odds(logits[rows])),
            "qwk": lambda: measure.weighted_kappa(given, named),
        }[name]()
        assert result is not None
        return result

    whole = measured(np.arange(4000))
    drawn_rows = [random.integers(0, 4000, 4000) for _ in range(20)]
    moves = [measured(rows).metric - whole.metric for rows in drawn_rows]
    predicted = [whole.values[rows].mean() - whole.metric for rows in drawn_rows]
    assert np.std(np.subtract(moves, predicted)) < 0.05 * np.std(moves)


def test_the_interval_of_an_area_is_that_of_delong() -> None:
    """DeLong's variance from the components' own variances, as the paper has it, and not from our sums."""
    random = np.random.default_rng(3)
    truth = random.random(600) < 0.3
    scores = random.normal(size=600) + 1.1 * truth
    positive, negative = scores[truth], scores[~truth]
    beats = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    variance = beats.mean(axis=1).var(ddof=1) / len(positive) + beats.mean(axis=0).var(ddof=1) / len(negative)
    half = norm.ppf(0.975) * math.sqrt(variance)
    result = measure.auroc(truth[:, None], scores[:, None])
    assert result is not None
    names = [f"p{place}" for place in range(600)]
    found = estimate(result.values, names, "toy", Statistics(resamples=4000))
    assert found.mean == pytest.approx(beats.mean(), abs=EXACT)
    assert found.low is not None
    assert found.high is not None
    assert found.low == pytest.approx(beats.mean() - half, abs=0.06 * half)
    assert found.high == pytest.approx(beats.mean() + half, abs=0.06 * half)
