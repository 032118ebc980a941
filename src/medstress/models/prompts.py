"""What a model is asked about an image: the box of each object, as it is, moved with the image, or not quite right."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from medstress.cards.attack import PromptJitter
from medstress.perturb.warp import remaining_share, warp_box, warp_mask
from medstress.pixels import Box, decode_mask
from medstress.rows import ObjectRow, WarpRow
from medstress.seeds import generator, seed_of

# An object of which less than this share is left in the frame cannot be asked for.
_SMALLEST_SHARE = 0.5
# A box holds the centre of at least one pixel if it is as long as this.
_SHORTEST = 1.0


@dataclass(frozen=True)
class Subject:
    """An image's size and the objects that are asked for in it, each with the id of its sample."""

    height: int
    width: int
    objects: list[tuple[str, ObjectRow]]


@dataclass(frozen=True)
class Prompt:
    """One object to be asked for in one cell; `box` is None where the object has left the frame."""

    sample_id: str
    object_id: str
    perturbation: str
    level: int
    box: Box | None


def prompt_box(item: ObjectRow, warp: WarpRow | None, height: int, width: int, *, follow: bool) -> Box | None:
    """The prompt box of an object in a perturbed image of this size; None where less than half of it is in the frame.

    With `follow` the box moves with the object; otherwise it stays where it was in the clean image.
    """
    if warp is None:
        return item.box
    mask = decode_mask(item.mask, height, width)
    moved = warp_mask(mask, warp)
    if remaining_share(mask, warp) < _SMALLEST_SHARE or not moved.any():
        return None
    return warp_box(item.box, mask, moved, warp) if follow else item.box


def cell_prompts(
    subject: Subject, perturbation: str, level: int, warp: WarpRow | None, *, follow: bool
) -> list[Prompt]:
    """The objects of an image that is clean, or in one cell of one perturbation."""
    return [
        Prompt(
            sample_id,
            item.object_id,
            perturbation,
            level,
            prompt_box(item, warp, subject.height, subject.width, follow=follow),
        )
        for sample_id, item in subject.objects
    ]


def jittered_prompts(
    subject: Subject, dataset: str, jitters: Sequence[PromptJitter], levels: Sequence[int]
) -> list[Prompt]:
    """The objects of a clean image asked for with boxes that are not quite right: by jitter, level, and object."""
    return [
        Prompt(
            sample_id,
            item.object_id,
            jitter.name,
            level,
            jittered_box(
                item.box,
                jitter,
                level,
                (subject.height, subject.width),
                seed_of(dataset, sample_id, item.object_id, jitter.name),
            ),
        )
        for jitter in jitters
        for level in levels
        for sample_id, item in subject.objects
    ]


def jittered_box(box: Box, jitter: PromptJitter, level: int, size: tuple[int, int], seed: int) -> Box:
    """The box of one object, grown, shrunk or shifted by a share of its own sides, in an image of size (height, width).

    With a share s of the level, 1 to 5: grown and shrunk boxes keep their centre, and their sides become 1 + s and
    1 - s as long. A shifted box keeps its sides and moves by (s w cos t, s h sin t); the direction t is drawn from
    `seed` alone, so that levels differ by the distance. What leaves the image is cut off; a box keeps a pixel's length
    inside it.
    """
    share = jitter.shares[level - 1]
    height, width = size
    x0, y0, x1, y1 = box
    across, down, growth = 0.0, 0.0, 0.0
    if jitter.kind == "shift":
        direction = generator(seed).uniform(0, 2 * math.pi)
        across, down = share * (x1 - x0) * math.cos(direction), share * (y1 - y0) * math.sin(direction)
    else:
        growth = share if jitter.kind == "grow" else -share
    left, right = _inside(x0 + across, x1 + across, growth, width)
    top, bottom = _inside(y0 + down, y1 + down, growth, height)
    return left, top, right, bottom


def _inside(low: float, high: float, growth: float, length: int) -> tuple[float, float]:
    """An interval, 1 + growth as long, cut to 0..length; at least a pixel of it is kept."""
    arm = growth * (high - low) / 2
    first, last = max(low - arm, 0.0), min(high + arm, float(length))
    if last - first < _SHORTEST:
        half = _SHORTEST / 2
        centre = min(max((first + last) / 2, half), length - half)
        return centre - half, centre + half
    return first, last
