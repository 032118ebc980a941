"""A folder of images and a folder of masks, matched by name."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from medstress.cards.segmentation import FolderSource, Labels, places
from medstress.datasets.boxes import read_boxes, with_boxes
from medstress.datasets.candidate import BadSampleError, Candidate, Found, Reject, no_such
from medstress.datasets.formats import is_picture, stem_of
from medstress.datasets.groups import compiled_pattern, group_of
from medstress.datasets.volumes import found_of
from medstress.errors import MedstressError

Files = Mapping[str, Sequence[Path]]
"""Files by their path below a folder without the extension; an id that two files share is told apart later."""


def find_in_folder(source: FolderSource, labels: Labels, root: Path) -> Found:
    """Every image with its masks. A mask lies at the same place below its folder as the image below its own.

    The id of an image is its path below the images folder without the extension and `image_suffix`, after the split
    where each split has folders of its own. Raises MedstressError where a folder is missing, or nothing in it can be
    used.
    """
    pattern = compiled_pattern(source.group_pattern)
    boxes = read_boxes(root / source.boxes.file, source.boxes.side) if source.boxes else None
    pairs = places(source.images, source.masks)
    folders = {prefix: {"images": root / images, "masks": root / masks} for prefix, (images, masks) in pairs.items()}
    if problems := _missing(source, folders, root):
        raise MedstressError("\n".join(problems))
    candidates: list[Candidate] = []
    rejects: list[Reject] = []
    for prefix, pair in folders.items():
        images, masks = _files(source, labels, pair)
        found, refused = _matched(source, labels, pair["masks"], images, masks)
        rejects += refused
        for image_id, path, files in found:
            group = group_of(image_id, pattern)
            if group is None:
                rejects.append(Reject(str(path), f"`group_pattern` {source.group_pattern!r} finds no group in it."))
                continue
            candidate = Candidate(f"{prefix}{image_id}", str(path), path, files, group if pattern else prefix + group)
            try:
                candidates.append(with_boxes(candidate, boxes, source.boxes) if source.boxes else candidate)
            except BadSampleError as error:
                rejects.append(error.reject)
    return found_of(candidates, rejects, grouped=pattern is not None)


def _missing(source: FolderSource, folders: Mapping[str, Mapping[str, Path]], root: Path) -> list[str]:
    return [
        no_such("folder", folder, f"source.{key}{f'.{prefix[:-1]}' if prefix else ''}", root)
        for prefix, pair in folders.items()
        for key, folder in pair.items()
        if not folder.is_dir()
    ]


def _matched(
    source: FolderSource, labels: Labels, folder: Path, images: Files, masks: Files
) -> tuple[list[tuple[str, Path, tuple[Path, ...]]], list[Reject]]:
    """Id, image and masks of every image that can be used, and the files that can not."""
    rejects: list[Reject] = []
    masks_of: dict[str, list[Path]] = {}
    for mask_id, paths in masks.items():
        image_id = _image_of(mask_id, images, source.mask_suffix, labels)
        if image_id is None:
            rejects.extend(Reject(str(path), "a mask without an image.") for path in paths)
        else:
            masks_of.setdefault(image_id, []).extend(paths)
    if not masks_of:
        raise MedstressError(
            f"{folder}: no mask fits an image. An image is {next(iter(images))!r}, a mask is "
            f"{next(iter(masks))!r}. Check `mask_suffix` in the card (now {source.mask_suffix!r})."
        )
    found = []
    for image_id, paths in images.items():
        files = masks_of.get(image_id, [])
        for path in paths:
            if not files:
                wanted = f"{image_id}{source.mask_suffix}{'*' if labels.kind == 'per_object' else ''}"
                rejects.append(Reject(str(path), f"an image without a mask; expected {folder / wanted}.*"))
            elif len(files) > 1 and labels.kind != "per_object":
                names = ", ".join(mask.name for mask in files)
                rejects.append(Reject(str(path), f"has several masks: {names}. Keep one, or set kind: per_object."))
            else:
                found.append((image_id, path, tuple(files)))
    return found, rejects


def _files(source: FolderSource, labels: Labels, folders: Mapping[str, Path]) -> tuple[Files, Files]:
    """Images and masks by id, sorted. Raises MedstressError where there are none."""
    problems = []
    images, masks = (pictures_below(folder) for folder in folders.values())
    if folders["images"].resolve() == folders["masks"].resolve():
        if not source.mask_suffix:
            raise MedstressError(
                f"{folders['images']}: images and masks share a folder. Set `mask_suffix` in the card."
            )
        masks = {key: paths for key, paths in masks.items() if _named_as_mask(key, source.mask_suffix, labels)}
        images = {key: paths for key, paths in images.items() if key not in masks}
    else:
        images = _without(images, folders["images"], folders["masks"])
        masks = _without(masks, folders["masks"], folders["images"])
    if source.image_suffix:
        suffix = source.image_suffix
        images = {key.removesuffix(suffix): paths for key, paths in images.items() if key.endswith(suffix)}
    for key, files in (("images", images), ("masks", masks)):
        if not files:
            named = f" whose names end with {source.image_suffix!r}" if key == "images" and source.image_suffix else ""
            problems.append(
                f"{folders[key]}: no {key} found{named}. PNG, JPEG, TIFF, NPY, DICOM and NIfTI files can be read."
            )
    if problems:
        raise MedstressError("\n".join(problems))
    return images, masks


def pictures_below(folder: Path) -> Files:
    """Every image file below a folder, sorted by id; hidden files and folders are left out."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        below = path.relative_to(folder)
        if is_picture(path) and not any(part.startswith(".") for part in below.parts):
            found.setdefault((below.parent / stem_of(path)).as_posix(), []).append(path)
    return dict(sorted(found.items()))


def _without(files: Files, folder: Path, other: Path) -> Files:
    """The files of `folder`, less those of the `other` folder where that lies inside it."""
    if not other.resolve().is_relative_to(folder.resolve()):
        return files
    inside = f"{other.resolve().relative_to(folder.resolve()).as_posix()}/"
    return {key: paths for key, paths in files.items() if not key.startswith(inside)}


def _named_as_mask(key: str, suffix: str, labels: Labels) -> bool:
    name = key.rpartition("/")[2]
    return suffix in name[1:] if labels.kind == "per_object" else name.endswith(suffix) and name != suffix


def _image_of(mask_id: str, images: Files, suffix: str, labels: Labels) -> str | None:
    """The image that a mask belongs to; with per_object masks the one with the longest name that fits."""
    if labels.kind != "per_object":
        image_id = mask_id.removesuffix(suffix)
        return image_id if mask_id.endswith(suffix) and image_id in images else None
    for end in range(len(mask_id), 0, -1):
        if mask_id[:end] in images and mask_id.startswith(suffix, end):
            return mask_id[:end]
    return None
