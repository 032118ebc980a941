"""Spans of a line that are drawn once and only grow: shadows side by side, runs of lost lines."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Spans = Callable[[float], npt.NDArray[np.float64]]
"""From the share of 0..1 that is covered, 0..1, to the spans that cover it: [count, 2], begin and end."""


def growing_spans(lengths: npt.NDArray[np.float64], delay: float, rng: np.random.Generator) -> Spans:
    """Spans side by side that cover a given share of 0..1 between them. None overlap, and all only grow.

    lengths: [count], how long each is when all is covered; they sum to 1. delay: how far the others have come, 0..1,
    when the last span appears. They appear one after another in an order that is drawn, all at once for 0.
    """
    count = len(lengths)
    begins = np.cumsum(lengths) - lengths
    anchors = begins + rng.uniform(0.2, 0.8, count) * lengths
    onsets = delay * rng.permutation(count) / max(count - 1, 1)

    def grown(time: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.clip((time[..., None] - onsets) / (1 - onsets), 0, 1)

    # Between onsets the covered share grows evenly with time.
    times = np.append(np.unique(onsets), 1.0)
    covered = (grown(times) * lengths).sum(axis=1)

    def spans(share: float) -> npt.NDArray[np.float64]:
        size = grown(np.interp(share, covered, times))
        low = anchors - size * (anchors - begins)
        return np.stack([low, low + size * lengths], axis=1)

    return spans
