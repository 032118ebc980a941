"""The training loss of a mask: cross-entropy near the box, and Dice."""

from torch import Tensor
from torch.nn import functional

# The cross-entropy is taken in the box grown on every side by this share of its sides: most pixels of an image are
# easy, and their mean would drown the border of a small object.
_MARGIN = 0.25


def near_box(boxes: Tensor, height: int, width: int) -> Tensor:
    """1 in each box grown by a quarter of its sides and 0 elsewhere, [n, height, width]; boxes [n, 4] in its pixels."""
    x0, y0, x1, y1 = (edge[:, None] for edge in boxes.unbind(1))
    dx, dy = _MARGIN * (x1 - x0) + 1, _MARGIN * (y1 - y0) + 1
    columns = boxes.new_tensor(range(width))[None] + 0.5
    rows = boxes.new_tensor(range(height))[None] + 0.5
    across = (columns > x0 - dx) & (columns < x1 + dx)
    down = (rows > y0 - dy) & (rows < y1 + dy)
    return (down[:, :, None] & across[:, None, :]).to(boxes.dtype)


def mask_loss(logits: Tensor, targets: Tensor, boxes: Tensor) -> Tensor:
    """Mean over objects of cross-entropy near the box plus 1 - Dice, a scalar.

    `logits` [n, H, W]; `targets` [n, H, W], 0 or 1; `boxes` [n, 4], half-open, in their pixels. Dice: Milletari et al.,
    "V-Net", 3DV 2016, on the whole image.
    """
    near = near_box(boxes, *logits.shape[-2:])
    entropy = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    entropy = (entropy * near).sum((1, 2)) / near.sum((1, 2))
    share = logits.sigmoid()
    dice = (2 * (share * targets).sum((1, 2)) + 1) / (share.sum((1, 2)) + targets.sum((1, 2)) + 1)
    return (entropy + 1 - dice).mean()
