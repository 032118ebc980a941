"""The metrics of one object.

Empty masks have values too. Both empty: the answer is right, so IoU = Dice = NSD = 1 and HD95 = 0. One empty:
IoU = Dice = NSD = 0, and HD95 is the longest distance in the image, between the centres of opposite corner pixels.

Distances are those of the clean image. Where the perturbed image shows the scene smaller, an error of one size covers
fewer pixels, and would count less the stronger the perturbation; so distances are divided by the scale of the map.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medstress.names import MetricName
from medstress.pixels import Mask
from medstress.score.surface import Outline, distances_between, hausdorff95, outline_of, surface_dice


@dataclass(frozen=True)
class Truth:
    """A true mask [H, W] with its outline, which many predictions are compared with."""

    mask: Mask
    outline: Outline | None


def truth_of(mask: Mask) -> Truth:
    """A true mask, ready for comparison."""
    return Truth(mask, outline_of(mask))


def compare(
    truth: Truth, prediction: Mask, metrics: Sequence[MetricName], tolerance: float, scale: float = 1.0
) -> dict[MetricName, float]:
    """The asked metrics of a predicted mask, bool [H, W] as the truth.

    IoU, Dice and NSD are 0..1, larger is better; HD95 is in pixels, smaller is better. `tolerance` is that of NSD, in
    pixels. Both count pixels of the clean image, one of which is `scale` pixels wide in these masks; the longest
    distance is the clean image's whatever the scale. Raises ValueError where shapes differ.
    """
    if truth.mask.shape != prediction.shape:
        raise ValueError(f"the truth is {truth.mask.shape} and the prediction {prediction.shape}")
    both = np.count_nonzero(truth.mask & prediction)
    total = np.count_nonzero(truth.mask) + np.count_nonzero(prediction)
    height, width = prediction.shape
    values: dict[MetricName, float] = {
        "iou": both / (total - both) if total else 1.0,
        "dice": 2 * both / total if total else 1.0,
    }
    if "hd95" in metrics or "nsd" in metrics:
        outline = outline_of(prediction)
        if truth.outline is None or outline is None:
            right = truth.outline is outline
            values |= {"hd95": 0.0, "nsd": 1.0} if right else {"hd95": math.hypot(height - 1, width - 1), "nsd": 0.0}
        else:
            forward, backward = distances_between(outline, truth.outline)
            values |= {
                "hd95": hausdorff95(forward, backward) / scale,
                "nsd": surface_dice(forward, backward, tolerance * scale),
            }
    return {metric: values[metric] for metric in metrics}
