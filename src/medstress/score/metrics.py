"""What metrics are called, how they are shown, and which way they point."""

import math
from dataclasses import dataclass

from medstress.names import Task
from medstress.specs import TableSpec


@dataclass(frozen=True)
class Metric:
    """A metric: its title, decimals when shown, unit, direction, the values that it can have, and what it is of."""

    title: str
    digits: int = 3
    unit: str = ""
    smaller_is_better: bool = False
    largest: float = 1.0
    smallest: float = 0.0
    task: Task = "segmentation"


METRICS: dict[str, Metric] = {
    "iou": Metric("IoU"),
    "dice": Metric("Dice"),
    "hd95": Metric("HD95", digits=1, unit="pixels", smaller_is_better=True, largest=math.inf),
    "nsd": Metric("NSD"),
    "accuracy": Metric("Accuracy", task="classification"),
    "balanced_accuracy": Metric("Balanced accuracy", task="classification"),
    "auroc": Metric("AUROC", task="classification"),
    "ece": Metric("ECE", smaller_is_better=True, task="classification"),
    "qwk": Metric("QWK", smallest=-1.0, task="classification"),
}

SMALLER_IS_BETTER = frozenset(name for name, metric in METRICS.items() if metric.smaller_is_better)
"""Metrics whose drop is perturbed minus clean, so that a positive drop is always a loss."""

_PRIMARY = ("iou", "accuracy")


def primary_metric(spec: TableSpec) -> str:
    """The metric that runs are compared by: IoU or accuracy, where it is scored."""
    return next((name for name in _PRIMARY if name in spec.metrics), spec.metrics[0])
