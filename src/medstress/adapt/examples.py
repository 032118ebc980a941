"""Training examples: images with boxes and masks of one split, and how they are varied."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from medstress.errors import MedstressError
from medstress.pixels import Box, Image, Mask, box_of, decode_mask, decode_png
from medstress.records import ImageRow, SampleRow, read_groups, read_rows
from medstress.seeds import seed_of

# Objects of one image in one step: memory and time of a step stay bounded on images with hundreds of objects.
_MOST_OBJECTS = 4
# A box's edges move by up to this share of its sides, as a user's hand would.
_JITTER = 0.1


@dataclass(frozen=True)
class Example:
    """One image, uint8 [H, W] or [H, W, 3], with the boxes and masks [H, W] of its objects."""

    sample_id: str
    group_id: str
    image: Image
    boxes: tuple[Box, ...]
    masks: tuple[Mask, ...]


def read_examples(images: Path, samples: Path, split: str) -> list[Example]:
    """The examples of one split in the records' order. Raises MedstressError where the split has none."""
    by_image: dict[str, list[SampleRow]] = {}
    for sample in read_rows(samples, SampleRow):
        by_image.setdefault(sample.image_id, []).append(sample)
    examples = []
    for group in read_groups(images, ImageRow):
        for row in group:
            if row.split != split:
                continue
            image = np.asarray(decode_png(row.png, where=f"image {row.image_id} of {images}"), dtype=np.uint8)
            for sample in by_image.get(row.image_id, []):
                boxes = tuple(item.box for item in sample.objects)
                masks = tuple(decode_mask(item.mask, row.height, row.width) for item in sample.objects)
                examples.append(Example(sample.sample_id, row.group_id, image, boxes, masks))
    if not examples:
        raise MedstressError(
            f"{images}: the {split} split has no image to train with. Check the card's split and limit."
        )
    return examples


def share_of(examples: Sequence[Example], share: float, seed: int) -> list[Example]:
    """The examples of a share of the groups, at least one group; which ones depends on their names and the seed."""
    groups = sorted({example.group_id for example in examples}, key=lambda name: seed_of("share", str(seed), name))
    kept = set(groups[: max(1, round(share * len(groups)))])
    return [example for example in examples if example.group_id in kept]


def varied(example: Example, rng: np.random.Generator) -> Example:
    """A copy with at most four objects, perhaps mirrored, and with jittered boxes."""
    chosen = np.sort(rng.permutation(len(example.boxes))[:_MOST_OBJECTS])
    image, masks = example.image, [example.masks[index] for index in chosen]
    if rng.random() < 0.5:
        image, masks = image[:, ::-1], [mask[:, ::-1] for mask in masks]
    boxes = [_jittered(box_of(mask), mask, rng) for mask in masks]
    return replace(
        example,
        image=np.ascontiguousarray(image),
        boxes=tuple(boxes),
        masks=tuple(np.ascontiguousarray(mask) for mask in masks),
    )


def _jittered(box: Box, mask: Mask, rng: np.random.Generator) -> Box:
    height, width = mask.shape
    x0, y0, x1, y1 = box
    left, right = rng.uniform(-_JITTER, _JITTER, 2) * (x1 - x0)
    top, bottom = rng.uniform(-_JITTER, _JITTER, 2) * (y1 - y0)
    return max(x0 + left, 0.0), max(y0 + top, 0.0), min(x1 + right, float(width)), min(y1 + bottom, float(height))
