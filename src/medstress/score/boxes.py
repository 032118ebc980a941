"""How well a box that a model wrote fits the true one."""

from medstress.pixels import Box


def iou(found: Box, truth: Box) -> float:
    """Intersection over union of two half-open boxes, 0..1, larger is better; 0 where nothing is in either."""
    across = max(0.0, min(found[2], truth[2]) - max(found[0], truth[0]))
    down = max(0.0, min(found[3], truth[3]) - max(found[1], truth[1]))
    both = across * down
    total = _area(found) + _area(truth) - both
    return both / total if total > 0 else 0.0


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def accurate_at(overlap: float, threshold: float) -> float:
    """Acc@threshold of one answer: 1 where its IoU is at least the threshold, else 0."""
    return float(overlap >= threshold)
