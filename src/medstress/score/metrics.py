"""What the metrics of an object are called, how they are shown, and which way they point."""

import math
from dataclasses import dataclass

from medstress.specs import TableSpec


@dataclass(frozen=True)
class Metric:
    """A metric: its title, decimals when shown, unit, direction, and the largest value; the smallest is 0."""

    title: str
    digits: int = 3
    unit: str = ""
    smaller_is_better: bool = False
    largest: float = 1.0


METRICS: dict[str, Metric] = {
    "iou": Metric("IoU"),
    "dice": Metric("Dice"),
    "hd95": Metric("HD95", digits=1, unit="pixels", smaller_is_better=True, largest=math.inf),
    "nsd": Metric("NSD"),
}

SMALLER_IS_BETTER = frozenset(name for name, metric in METRICS.items() if metric.smaller_is_better)
"""Metrics whose drop is perturbed minus clean, so that a positive drop is always a loss."""


def primary_metric(spec: TableSpec) -> str:
    """The metric that runs are compared by: IoU where it is scored."""
    return "iou" if "iou" in spec.metrics else spec.metrics[0]
