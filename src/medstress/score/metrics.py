"""What metrics are called, how they are shown, and which way they point."""

import math
from dataclasses import dataclass

from medstress.names import Task
from medstress.table_spec import TableSpec


@dataclass(frozen=True)
class Metric:
    """A metric: its title, decimals when shown, unit, direction, the values that it can have, and what it is of.

    A score that tells nothing is `smallest`, or where `chance` names a metric what that says of each sample.
    `of_pair`: it compares an answer with the one about the clean image, so that it is 0 there and ranks nobody.
    """

    title: str
    digits: int = 3
    unit: str = ""
    smaller_is_better: bool = False
    largest: float = 1.0
    smallest: float = 0.0
    task: Task = "segmentation"
    chance: str = ""
    of_pair: bool = False


CLOSED_CHANCE = "closed_chance"
"""One over the number of options: what a guess scores. In scores beside the metrics, of clean images alone."""

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
    "closed_accuracy": Metric("Closed accuracy", task="vqa", chance=CLOSED_CHANCE),
    "closed_flip": Metric("Closed answer flips", smaller_is_better=True, task="vqa", of_pair=True),
    "open_exact_match": Metric("Open exact match", task="vqa"),
    "open_precision": Metric("Open precision", task="vqa"),
    "open_recall": Metric("Open recall", task="vqa"),
    "open_f1": Metric("Open F1", task="vqa"),
    "open_flip": Metric("Open answer flips", smaller_is_better=True, task="vqa", of_pair=True),
    "judge_open": Metric("Judge of open answers", digits=2, largest=5.0, smallest=1.0, task="vqa"),
    "judge_closed": Metric("Judge of closed answers", task="vqa"),
    "bleu_1": Metric("BLEU-1", task="captioning"),
    "bleu_2": Metric("BLEU-2", task="captioning"),
    "bleu_3": Metric("BLEU-3", task="captioning"),
    "bleu_4": Metric("BLEU-4", task="captioning"),
    "rouge_l": Metric("ROUGE-L", task="captioning"),
    "cider_d": Metric("CIDEr-D", largest=10.0, task="captioning"),
    "caption_similarity": Metric("MiniLM similarity", task="captioning"),
    "box_iou": Metric("IoU of boxes", task="grounding"),
    "accuracy_50": Metric("Acc@0.5", task="grounding"),
    "accuracy_75": Metric("Acc@0.75", task="grounding"),
}

SMALLER_IS_BETTER = frozenset(name for name, metric in METRICS.items() if metric.smaller_is_better)
"""Metrics whose drop is perturbed minus clean, so that a positive drop is always a loss."""

_PRIMARY = ("iou", "accuracy", "closed_accuracy", "cider_d", "box_iou")


def primary_metric(spec: TableSpec) -> str:
    """The metric that runs are compared by: IoU, accuracy or CIDEr-D, where it is scored."""
    return next((name for name in _PRIMARY if name in spec.metrics), spec.metrics[0])
