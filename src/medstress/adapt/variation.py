"""How a training example is varied: perturbed where the card says so, mirrored, its boxes as a hand would draw them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from medstress.adapt.examples import Example, StoredExample
from medstress.cards.strategy import Augmentation, Strategy
from medstress.errors import MedstressError
from medstress.perturb.levels import make_levels
from medstress.perturb.registry import PERTURBATIONS
from medstress.perturb.warp import remaining_share, warp_mask
from medstress.pixels import Box, Mask, box_of
from medstress.specs import SeveritySpec

# Objects of one image in one step: memory and time of a step stay bounded on images with hundreds of objects.
_MOST_OBJECTS = 4
# A box's edges move by up to this share of its sides, as a user's hand would.
_JITTER = 0.1
# An object with less of its area in the frame is lost, in training as in scoring.
_SMALLEST_SHARE = 0.5


def varied(example: Example, rng: np.random.Generator, augmentation: Augmentation | None = None) -> Example:
    """A copy with at most four objects, perhaps perturbed, perhaps mirrored, and with jittered boxes."""
    if augmentation is not None:
        example = perturbed(example, rng, augmentation)
    chosen = np.sort(rng.permutation(len(example.masks))[:_MOST_OBJECTS])
    image, masks = example.image, [example.masks[index] for index in chosen]
    if rng.random() < 0.5:
        image, masks = image[:, ::-1], [mask[:, ::-1] for mask in masks]
    return replace(
        example,
        scene=replace(example.scene, image=np.ascontiguousarray(image), raw=None),
        boxes=tuple(_jittered(box_of(mask), mask, rng) for mask in masks),
        masks=tuple(np.ascontiguousarray(mask) for mask in masks),
    )


def perturbed(example: Example, rng: np.random.Generator, augmentation: Augmentation) -> Example:
    """The example under one of the perturbations that fit its modality, or as it is.

    The level's strength is solved for on this image, as in the study; a level out of reach gives the closest image.
    Masks move with the pixels; an object that mostly left the frame is dropped, and where none is left the example
    stays as it is.
    """
    if rng.random() >= augmentation.probability:
        return example
    modality = example.scene.modality
    kinds = [PERTURBATIONS[name] for name in augmentation.types]
    kinds = [kind for kind in kinds if modality is None or kind.fits(modality)]
    if not kinds:
        return example
    kind = kinds[int(rng.integers(len(kinds)))]
    level = augmentation.levels[int(rng.integers(len(augmentation.levels)))]
    [made] = make_levels(kind, example.scene, [level], int(rng.integers(2**63)), SeveritySpec())
    scene = replace(example.scene, image=made.cell.image, raw=None)
    if made.warp is None or not example.masks:
        return replace(example, scene=scene)
    moved = [
        warp_mask(mask, made.warp) for mask in example.masks if remaining_share(mask, made.warp) >= _SMALLEST_SHARE
    ]
    masks = tuple(mask for mask in moved if mask.any())
    return replace(example, scene=scene, boxes=tuple(map(box_of, masks)), masks=masks) if masks else example


def check_augmentation(strategy: Strategy, training: Sequence[StoredExample]) -> None:
    """Raise MedstressError where no perturbation of a strategy's augmentation is for the images of a modality."""
    if strategy.augmentation is None:
        return
    types = strategy.augmentation.types
    lacking = sorted(
        modality
        for modality in {stored.row.modality for stored in training}
        if not any(PERTURBATIONS[name].fits(modality) for name in types)  # type: ignore[arg-type]
    )
    if lacking:
        raise MedstressError(
            f"strategy {strategy.name}: none of its augmentation's types ({', '.join(types)}) is for "
            f"{', '.join(lacking)}. `medstress list` names those that are."
        )


def _jittered(box: Box, mask: Mask, rng: np.random.Generator) -> Box:
    height, width = mask.shape
    x0, y0, x1, y1 = box
    left, right = rng.uniform(-_JITTER, _JITTER, 2) * (x1 - x0)
    top, bottom = rng.uniform(-_JITTER, _JITTER, 2) * (y1 - y0)
    return max(x0 + left, 0.0), max(y0 + top, 0.0), min(x1 + right, float(width)), min(y1 + bottom, float(height))
