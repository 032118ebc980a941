"""NPY files that hold all images and all masks of a data set."""

from pathlib import Path

import numpy as np

from medstress.cards.segmentation import StackSource, places
from medstress.datasets.candidate import Candidate, Found, no_such
from medstress.errors import MedstressError


def find_in_stack(source: StackSource, root: Path) -> Found:
    """Every image of every stack. The id of an image is its place, as 00017, after the split where there are several.

    Raises MedstressError where a file is missing, holds no stack, or images and masks differ in number.
    """
    candidates: list[Candidate] = []
    problems: list[str] = []
    for prefix, (images, masks) in places(source.images, source.masks).items():
        paths = {"images": root / images, "masks": root / masks}
        shapes = {}
        for key, path in paths.items():
            if not path.is_file():
                where = f"source.{key}{f'.{prefix[:-1]}' if prefix else ''}"
                problems.append(no_such("file", path, where, root))
                continue
            shape = _shape(path)
            if isinstance(shape, str):
                problems.append(f"{path}: {shape}")
                continue
            if len(shape) not in (3, 4) or not shape[0]:
                problems.append(f"{path}: has the shape {shape}. A stack is [N, H, W] or [N, H, W, C].")
            elif key == "masks" and bool(source.channels) != (len(shape) == 4):
                asked = "name them in `source.channels`" if len(shape) == 4 else "leave `source.channels` out"
                problems.append(f"{path}: has the shape {shape}, so {asked}.")
            shapes[key] = shape
        if len(shapes) == len(paths) and shapes["images"][0] != shapes["masks"][0]:
            problems.append(
                f"{paths['images']} holds {shapes['images'][0]} images, but {paths['masks']} holds "
                f"{shapes['masks'][0]} masks. They must belong together one by one."
            )
        candidates += [
            Candidate(
                image_id=f"{prefix}{place:05d}",
                where=f"{paths['images']} (place {place})",
                image=paths["images"],
                masks=(paths["masks"],),
                group=f"{prefix}{place:05d}",
                layer=place,
                channels=tuple(sorted(source.channels.items())),
            )
            for place in range(shapes.get("images", (0,))[0])
        ]
    if problems:
        raise MedstressError("\n".join(problems))
    return Found(tuple(sorted(candidates, key=lambda item: item.image_id)), (), grouped=False)


def _shape(path: Path) -> tuple[int, ...] | str:
    """The shape of the array in a file, or why there is none."""
    try:
        stack = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        return f"cannot be read as an NPY file ({str(error).splitlines()[0]}). Copy it again."
    if not isinstance(stack, np.ndarray) or stack.dtype.kind not in "buif":
        return "does not hold an array of real numbers."
    return tuple(stack.shape)
