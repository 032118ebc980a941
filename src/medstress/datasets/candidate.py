"""What readers hand on before any pixel is read, and what is said about files that cannot be used."""

from dataclasses import dataclass
from pathlib import Path

from medstress.pixels import Box


class BadSampleError(Exception):
    """A sample that cannot be used: the file to look at, and why."""

    def __init__(self, file: Path | str, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.reject = Reject(str(file), reason)


@dataclass(frozen=True)
class Reject:
    """A sample that was left out, as people read it."""

    file: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}"


@dataclass(frozen=True)
class RawFile:
    """Intensities kept beside an 8-bit image: value = stored * slope + intercept."""

    path: Path
    slope: float
    intercept: float
    unit: str | None


@dataclass(frozen=True)
class Candidate:
    """An image with its masks or labels, found but not yet read.

    `where` names its file, and its row in a sheet, in messages. `layer` is the slice of a volume or the place in a
    stack, None for a picture; `layers` is the number of slices of the volume. `split` is what the sheet says.
    `boxes` has one for each mask file, or nothing; in pixels of the stored image, or of a square of `box_side`.
    `channels` are those of a stack's masks that are read, with their labels. `array` is the array of an .npz file that
    holds the image at its `layer`. `labels` are the numbers of the classes, of classification; `modality` is what a
    sheet of several modalities says.
    """

    image_id: str
    where: str
    image: Path
    masks: tuple[Path, ...]
    group: str
    layer: int | None = None
    layers: int = 1
    split: str | None = None
    boxes: tuple[Box, ...] = ()
    box_side: int | None = None
    channels: tuple[tuple[int, str], ...] = ()
    raw: RawFile | None = None
    attributes: tuple[tuple[str, str], ...] = ()
    array: str = ""
    labels: tuple[int, ...] = ()
    modality: str = ""


@dataclass(frozen=True)
class Found:
    """Everything that a reader found: candidates sorted by image id, and what is wrong already.

    grouped: whether the source says which images belong together; without it each image is its own group.
    """

    candidates: tuple[Candidate, ...]
    rejects: tuple[Reject, ...]
    grouped: bool


def no_such(kind: str, path: Path, key: str, root: Path) -> str:
    """What to say where the file or folder that a key of the card names is not there."""
    where = f"paths in a card are relative to the folder that the command runs in, {root.resolve()}"
    return f"{path}: no such {kind}. Check `{key}` in the card; {where}."
