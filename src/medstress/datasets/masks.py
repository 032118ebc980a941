"""Mask files into objects."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from medstress.cards.segmentation import Labels
from medstress.datasets.candidate import BadSampleError
from medstress.datasets.formats import read_picture, read_planes, stem_of
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
    """One object: its id, unique in its image, its label, its pixels [H, W], and which of the mask files has it."""

    object_id: str
    label: str
    mask: Mask
    file: int = 0


@dataclass(frozen=True)
class MaskContent:
    """The objects of an image, empty where nothing is marked, and the JPEG masks that had to be thresholded."""

    objects: tuple[MaskObject, ...]
    thresholded: tuple[Path, ...]


def read_masks(
    paths: Sequence[Path],
    layer: int | None,
    labels: Labels,
    shape: tuple[int, int],
    channels: Sequence[tuple[int, str]] = (),
) -> MaskContent:
    """The objects in the mask files of one image of `shape` (height, width).

    With `channels`, the only file is a stack whose places hold [H, W, C], and each channel has a label of its own.
    Raises BadSampleError naming the mask file, where it cannot be read, has another size or other values.
    """
    if channels:
        return MaskContent(tuple(_objects_of_channels(paths[0], layer or 0, labels, shape, channels)), ())
    objects: list[MaskObject] = []
    thresholded = []
    for file, path in enumerate(paths):
        picture = read_picture(path, layer)
        values = _grey(path, picture.values)
        _check_values(path, values, shape)
        if labels.kind == "label_map":
            if picture.fidelity != "exact":
                raise BadSampleError(path, _NOT_EXACT)
            objects.extend(replace(item, file=file) for item in objects_of_map(path, values, labels))
            continue
        if picture.fidelity == "lossy":
            thresholded.append(path)
            mask = values > JPEG_THRESHOLD
        else:
            mask = above_half(path, values)
        if mask.any():
            object_id = stem_of(path) if labels.kind == "per_object" else "1"
            objects.append(MaskObject(object_id, labels.names.get(1, labels.default), mask, file))
    ids = [item.object_id for item in objects]
    if twice := sorted({object_id for object_id in ids if ids.count(object_id) > 1}):
        raise BadSampleError(paths[0], f"several mask files give the object {', '.join(twice)}. Rename one.")
    return MaskContent(tuple(objects), tuple(thresholded))


def _check_values(path: Path, values: Values, shape: tuple[int, int]) -> None:
    if values.shape[:2] != shape:
        found, wanted = (f"{size[1]} x {size[0]}" for size in (values.shape, shape))
        raise BadSampleError(path, f"size mismatch: the mask is {found} pixels and its image {wanted}.")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise BadSampleError(path, "holds NaN or infinite values.")


def _objects_of_channels(
    path: Path, layer: int, labels: Labels, shape: tuple[int, int], channels: Sequence[tuple[int, str]]
) -> Iterator[MaskObject]:
    """The objects of each channel: `channel.value` of a label map, or `channel` where a channel is one object."""
    values = read_planes(path, layer)
    last = max(channel for channel, _ in channels)
    if values.ndim != 3 or values.shape[2] <= last:
        raise BadSampleError(path, f"`channels` goes up to {last}, but at {layer} the stack has shape {values.shape}.")
    _check_values(path, values, shape)
    for channel, label in channels:
        plane = values[..., channel]
        if labels.kind == "label_map":
            for item in objects_of_map(path, plane, labels):
                yield MaskObject(f"{channel}.{item.object_id}", label, item.mask)
        elif (mask := above_half(path, plane)).any():
            yield MaskObject(str(channel), label, mask)


def _grey(path: Path, values: Values) -> Values:
    if values.ndim == 2:
        return values
    if np.array_equal(values[..., 0], values[..., 1]) and np.array_equal(values[..., 0], values[..., 2]):
        return values[..., 0]
    raise BadSampleError(path, "is a colour mask (a palette counts as colour). " + _SAVE_GREY)


def objects_of_map(path: Path, values: Values, labels: Labels) -> list[MaskObject]:
    """Each value above 0 of a label map [H, W] as an object, in order."""
    present = np.unique(values)
    if np.any(present < 0) or np.any(present != np.rint(present)):
        raise BadSampleError(path, "a label map holds whole numbers from 0 up; this one has others.")
    numbers = [int(value) for value in present if value > 0]
    return [MaskObject(str(number), labels.names.get(number, labels.default), values == number) for number in numbers]


def above_half(path: Path, values: Values) -> Mask:
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
