"""Mask files into objects."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medstress.cards.dataset import Labels
from medstress.datasets.candidate import BadSampleError
from medstress.datasets.formats import read_picture, stem_of
from medstress.datasets.picture import Values
from medstress.pixels import Mask

JPEG_THRESHOLD = 127
"""JPEG masks are not two-valued any more; pixels above this are the object."""

_SAVE_GREY = (
    "Save it in grey with 8 or 16 bits and one value for each label, and set `labels.kind: label_map` in the card."
)
_NOT_EXACT = f"a label map needs exact values: no JPEG, no palette, 8 bits or more. {_SAVE_GREY}"


@dataclass(frozen=True)
class MaskObject:
    """One object: its id, unique in its image, its label, and its pixels [H, W]."""

    object_id: str
    label: str
    mask: Mask


@dataclass(frozen=True)
class MaskContent:
    """The objects of an image, empty where nothing is marked, and the JPEG masks that had to be thresholded."""

    objects: tuple[MaskObject, ...]
    thresholded: tuple[Path, ...]


def read_masks(paths: Sequence[Path], layer: int | None, labels: Labels, shape: tuple[int, int]) -> MaskContent:
    """The objects in the mask files of one image of `shape` (height, width).

    Raises BadSampleError naming the mask file, where it cannot be read, has another size or other values.
    """
    objects: list[MaskObject] = []
    thresholded = []
    for path in paths:
        picture = read_picture(path, layer)
        values = _grey(path, picture.values)
        if values.shape != shape:
            found, wanted = (f"{size[1]} x {size[0]}" for size in (values.shape, shape))
            raise BadSampleError(path, f"size mismatch: the mask is {found} pixels and its image {wanted}.")
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise BadSampleError(path, "holds NaN or infinite values.")
        if labels.kind == "label_map":
            if picture.fidelity != "exact":
                raise BadSampleError(path, _NOT_EXACT)
            objects.extend(_objects_of_map(path, values, labels))
            continue
        if picture.fidelity == "lossy":
            thresholded.append(path)
            mask = values > JPEG_THRESHOLD
        else:
            mask = _binary(path, values)
        if mask.any():
            object_id = stem_of(path) if labels.kind == "per_object" else "1"
            objects.append(MaskObject(object_id, labels.names.get(1, labels.default), mask))
    ids = [item.object_id for item in objects]
    if twice := sorted({object_id for object_id in ids if ids.count(object_id) > 1}):
        raise BadSampleError(paths[0], f"several mask files give the object {', '.join(twice)}. Rename one.")
    return MaskContent(tuple(objects), tuple(thresholded))


def _grey(path: Path, values: Values) -> Values:
    if values.ndim == 2:
        return values
    if np.array_equal(values[..., 0], values[..., 1]) and np.array_equal(values[..., 0], values[..., 2]):
        return values[..., 0]
    raise BadSampleError(path, "is a colour mask (a palette counts as colour). " + _SAVE_GREY)


def _objects_of_map(path: Path, values: Values, labels: Labels) -> list[MaskObject]:
    present = np.unique(values)
    if np.any(present < 0) or np.any(present != np.rint(present)):
        raise BadSampleError(path, "a label map holds whole numbers from 0 up; this one has others.")
    numbers = [int(value) for value in present if value > 0]
    return [MaskObject(str(number), labels.names.get(number, labels.default), values == number) for number in numbers]


def _binary(path: Path, values: Values) -> Mask:
    """Pixels above half of the range, which is the smallest of 1, 255 and 65535 that holds the largest value.

    So {0, 1} and {0, 255} mean the same.
    """
    largest = float(values.max())
    if float(values.min()) < 0 or largest > 65535:
        raise BadSampleError(
            path, f"a binary mask holds values from 0 to 65535; this one has {values.min()} to {largest:g}."
        )
    full = next(limit for limit in (1, 255, 65535) if largest <= limit)
    mask: Mask = values > full / 2
    if largest > 0 and not mask.any():
        reason = f"no pixel is above half of 0..{full}; the largest is {largest:g}."
        raise BadSampleError(path, f"{reason} If the values are labels, set `labels.kind: label_map` in the card.")
    return mask
