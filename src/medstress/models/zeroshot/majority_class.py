"""majority_class: how often each class is there in the train split, as the answer to every image."""

import math
from collections.abc import Iterable

from medstress.records import SampleRow
from medstress.specs import ClassTexts


def log_shares(samples: Iterable[SampleRow], task: ClassTexts) -> tuple[float, ...]:
    """Logits [K] whose probabilities are the share of each class; classes that are not there count half an image.

    With multi_label, a label's logit is its log odds. Without samples, all classes are alike.
    """
    counts, total = [0] * len(task.classes), 0
    for sample in samples:
        total += 1
        for label in sample.labels:
            counts[label] += 1
    there = [max(count, 0.5) for count in counts] if total else [1.0] * len(counts)
    if task.kind == "multi_label":
        return tuple(math.log(count / max(total - count, 0.5)) if total else 0.0 for count in there)
    whole = sum(there)
    return tuple(math.log(count / whole) for count in there)
