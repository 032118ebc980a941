"""Metrics of classifiers as one value a sample whose mean is the metric.

A metric of a set of answers is written as the metric plus each sample's influence on it: its derivative by the weight
of the sample, times the number of samples. Influences sum to 0, so the mean of the values is the metric, and to first
order the mean over a resample is the metric of the resample. Paired differences and a bootstrap of groups then work as
they do for scores of single objects; for AUROC this is what DeLong et al., "Comparing the areas under two or more
correlated receiver operating characteristic curves", Biometrics 1988, and for clusters Obuchowski, "Nonparametric
analysis of clustered ROC curve data", Biometrics 1997, build on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp
from scipy.stats import rankdata

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Linearised:
    """A metric of n samples, and one value a sample, float64 [n], whose mean is the metric."""

    metric: float
    values: Floats


def _mean_of(parts: Sequence[Linearised]) -> Linearised | None:
    if not parts:
        return None
    metric = float(np.mean([part.metric for part in parts]))
    return Linearised(metric, np.mean([part.values for part in parts], axis=0))


def accuracy(correct: Bools) -> Linearised:
    """Share of right answers. `correct`: [n], or [n, labels], where a sample's value is the mean over its labels."""
    values = correct.reshape(len(correct), -1).mean(axis=1)
    return Linearised(float(values.mean()), values)


def balanced_accuracy(truth: Ints, predicted: Ints) -> Linearised | None:
    """Mean recall of the classes that are there. `truth`, `predicted`: numbers of classes, [n]. None without samples.

    Brodersen et al., "The balanced accuracy and its posterior distribution", ICPR 2010.
    """
    return _mean_of([_recall(truth == one, predicted == one) for one in np.unique(truth)])


def _recall(inside: Bools, named: Bools) -> Linearised:
    recall = float(named[inside].mean())
    influence = np.where(inside, (named - recall) * (len(inside) / inside.sum()), 0.0)
    return Linearised(recall, recall + influence)


def balanced_accuracy_of_labels(truth: Bools, predicted: Bools) -> Linearised | None:
    """Mean over labels of the balanced accuracy of being there. `truth`, `predicted`: [n, labels]."""
    whole = truth.astype(np.int64), predicted.astype(np.int64)
    parts = [balanced_accuracy(one, answer) for one, answer in zip(whole[0].T, whole[1].T, strict=True)]
    return _mean_of([part for part in parts if part is not None])


def auroc(truth: Bools, scores: Floats) -> Linearised | None:
    """Mean over columns of the area under the ROC curve. `truth`, `scores`: [n, columns]; ties count half.

    Columns where all samples are on one side are left out; None where that is all of them.
    """
    parts = [_area(one, score) for one, score in zip(truth.T, scores.T, strict=True) if one.any() and not one.all()]
    return _mean_of(parts)


def _area(positive: Bools, scores: Floats) -> Linearised:
    """Each positive's value is the share of negatives below it, each negative's the share of positives above it."""
    count, rest = int(positive.sum()), int((~positive).sum())
    ranks = rankdata(scores)
    above = (ranks[positive] - rankdata(scores[positive])) / rest
    below = 1 - (ranks[~positive] - rankdata(scores[~positive])) / count
    area = float(above.mean())
    influence = np.empty(len(scores))
    influence[positive] = (above - area) * (len(scores) / count)
    influence[~positive] = (below - area) * (len(scores) / rest)
    return Linearised(area, area + influence)


def log_odds(logits: Floats) -> Floats:
    """Of each class against the others, [n, classes]: ranks samples as the softmax does, without its saturation.

    Samples tie whose logits are the same in another order or differ by a constant: sums run over sorted numbers, the
    largest of which is 0.
    """
    shifted = logits - logits.max(axis=1, keepdims=True)
    odds: Floats = np.empty(logits.shape)
    for one in range(shifted.shape[1]):
        others = np.sort(np.delete(shifted, one, axis=1), axis=1)
        odds[:, one] = shifted[:, one] - logsumexp(others, axis=1)
    return odds


def calibration_error(confidence: Floats, correct: Bools, bins: int) -> Linearised:
    """Expected calibration error with `bins` bins of equal width, open below and closed above.

    `confidence`: [n], in 0..1; `correct`: [n]. A sample's value is its confidence less 1 or 0, with the sign that the
    sum over its bin has. Guo et al., "On calibration of modern neural networks", ICML 2017.
    """
    edges = np.linspace(0, 1, bins + 1)
    places = np.maximum(np.searchsorted(edges, confidence, side="left") - 1, 0)
    gaps = confidence - correct
    signs = np.sign(np.bincount(places, weights=gaps, minlength=bins))
    values = signs[places] * gaps
    return Linearised(float(values.mean()), values)


def calibration_error_of_labels(probability: Floats, truth: Bools, bins: int) -> Linearised | None:
    """Mean over labels of the calibration error of the probability that it is there. Both: [n, labels]."""
    columns = zip(probability.T, truth.T, strict=True)
    return _mean_of([calibration_error(given, there, bins) for given, there in columns])


def weighted_kappa(truth: Ints, predicted: Ints) -> Linearised | None:
    """Kappa with quadratic weights: 1 less the mean squared difference over that of independent pairs.

    `truth`, `predicted`: grades, [n]. None where chance cannot disagree. Cohen, "Weighted kappa", Psychological
    Bulletin 1968.
    """
    given, answered = truth.astype(np.float64), predicted.astype(np.float64)
    squared = (given - answered) ** 2
    # Mean squared difference to the other side's grades, from their mean and variance.
    to_answers = (given - answered.mean()) ** 2 + answered.var()
    to_truths = (answered - given.mean()) ** 2 + given.var()
    observed, expected = float(squared.mean()), float(to_answers.mean())
    if expected == 0:
        return None
    by_chance = to_answers + to_truths - 2 * expected
    influence = -((squared - observed) * expected - observed * by_chance) / expected**2
    kappa = 1 - observed / expected
    return Linearised(kappa, kappa + influence)
