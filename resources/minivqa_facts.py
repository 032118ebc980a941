"""What the embedded images are known to show, and the questions, captions and boxes that follow from it.

Nothing is asked whose answer a mask, a source or a data set's card does not give: a tumour whose middle lies near the
middle of the image has no quadrant, a share of the area near a limit no size, and where bright spots are left out of a
tile's mask the nuclei are counted only if they cannot change the class.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from medstress.names import Modality
from medstress.pixels import Box, Mask

Array = npt.NDArray[Any]

MODALITIES: dict[Modality, str] = {
    "mri": "MRI",
    "ct": "CT",
    "ultrasound": "ultrasound",
    "xray": "X-ray",
    "pathology": "histopathology",
    "fundus": "fundus photograph",
    "microscopy": "fluorescence microscopy",
}
ORGANS = {
    "brain1": "head",
    "brain2": "head",
    "ch2": "head",
    "volunteer": "head",
    "head": "head",
    "lung1": "chest",
    "lung2": "chest",
    "chest": "chest",
    "liver": "abdomen",
    "abdomen": "abdomen",
    "shoulder": "shoulder",
    "pelvis": "pelvis",
    "heart": "heart",
    "lymph_node": "lymph node",
    "skin": "skin",
    "tibia": "lower leg",
    "retina": "eye",
    "microaneurysms": "eye",
}
"""The part of the body by source; slides of unknown tissue and the nuclei have none."""
OTHER_ORGANS = sorted(set(ORGANS.values()))
REGIONS = {
    7: "left middle frontal gyrus",
    8: "right middle frontal gyrus",
    67: "left precuneus",
    68: "right precuneus",
    73: "left putamen",
    74: "right putamen",
    77: "left thalamus",
    78: "right thalamus",
    85: "left middle temporal gyrus",
    86: "right middle temporal gyrus",
    91: "left crus I of the cerebellum",
    92: "right crus I of the cerebellum",
}
"""Labels of brain_anatomy; left and right are the patient's."""
SIZES = ("less than 2 percent", "2 to 5 percent", "more than 5 percent")
SIZE_LIMITS = (0.02, 0.05)
SIZE_NAMES = ("small", "medium", "large")
MANY_NUCLEI = 10
COUNTS = (f"fewer than {MANY_NUCLEI}", f"{MANY_NUCLEI} or more")
QUADRANTS = ("upper left", "upper right", "lower left", "lower right")
YES_NO = ("yes", "no")
OFF_MIDDLE = 0.04
"""Share of the side by which a tumour's middle must lie off the middle of the image to be left or right of it."""
NEAR_LIMIT = 0.1
"""Share of a limit within which an area is neither above nor below it."""
SPOT_PIXELS = 15
"""A bright spot of so many pixels outside the mask may be a nucleus."""

PHRASES = {
    "modality": ("Which imaging modality is this?", "How was this image made?", "What kind of image is this?"),
    "is_modality": ("Is the modality of this image {}?", "Is the imaging modality here {}?"),
    "organ": ("Which part of the body does this image show?", "What part of the body is this?"),
    "tumour": ("Is there a tumour in this image?", "Does this image show a tumour?"),
    "quadrant": ("In which quadrant of the image is the tumour?", "Which quarter of the image holds the tumour?"),
    "side": ("In which half of the image is the tumour?", "On which side of the image does the tumour lie?"),
    "height": ("Is the tumour in the upper or the lower half of the image?",),
    "size": ("How much of the image does the tumour cover?", "What share of the image is tumour?"),
    "count": ("How many nuclei does this image show?", "How many cell nuclei can be seen?"),
    "caption": ("Describe this medical image in detail.", "Describe this image.", "Write a caption for this image."),
    "where": ("Where is the {}?", "Give the box of the {}."),
}
"""Ways to ask; each question of the data set has one of them."""


@dataclass(frozen=True)
class Shown:
    """An image and what is known of it. `organ` is "" where unknown; `tumour`, `labels` and `nuclei` as they apply.

    `tumour` is a mask [H, W], empty where the image is known to show none and None where nothing is known; `labels` are
    atlas regions [H, W]; `nuclei` the fewest and the most that the tile may show. `whole` is false for parts cut to ask
    for a tumour and nothing else.
    """

    pixels: Array
    modality: Modality
    organ: str = ""
    axial: bool = False
    tumour: Mask | None = None
    labels: Array | None = None
    nuclei: tuple[int, int] | None = None
    whole: bool = True


@dataclass(frozen=True)
class Question:
    """A question with its true answer; no options where it is open. `content_type` groups questions for shifts."""

    text: str
    options: tuple[str, ...]
    answer: str
    content_type: str

    @property
    def answer_type(self) -> str:
        """As the records call it."""
        return "closed" if self.options else "open"


@dataclass(frozen=True)
class Target:
    """Something to be found: how a text calls it, its label's value in the mask, and its tight box in pixels."""

    name: str
    value: int
    box: Box


def halves(tumour: Mask) -> tuple[str, str]:
    """Whether a mask's centre of gravity is left or right, and upper or lower; "" where it is near the middle."""
    rows, columns = np.nonzero(tumour)
    height, width = tumour.shape
    across, down = (columns.mean() + 0.5) / width - 0.5, (rows.mean() + 0.5) / height - 0.5
    return _half(across, "left", "right"), _half(down, "upper", "lower")


def _half(offset: float, before: str, after: str) -> str:
    return "" if abs(offset) < OFF_MIDDLE else before if offset < 0 else after


def size_class(tumour: Mask) -> int | None:
    """Index into SIZES and SIZE_NAMES of a mask's share of the image; None near a limit."""
    share = float(tumour.mean())
    if any(abs(share / limit - 1) < NEAR_LIMIT for limit in SIZE_LIMITS):
        return None
    return int(np.searchsorted(SIZE_LIMITS, share))


def nuclei_between(pixels: Array, labels: Array) -> tuple[int, int]:
    """The fewest and the most nuclei of a tile: those of its mask, and with them each bright spot outside it."""
    known = len(np.unique(labels)) - int(bool((labels == 0).any()))
    threshold, _ = cv2.threshold(pixels, 0, 255, cv2.THRESH_OTSU)
    near = cv2.dilate((labels > 0).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    count, _, stats, _ = cv2.connectedComponentsWithStats(((pixels > threshold) & ~near).astype(np.uint8))
    return known, known + sum(int(stats[index, cv2.CC_STAT_AREA] >= SPOT_PIXELS) for index in range(1, count))


def choices(answer: str, others: Sequence[str], rng: np.random.Generator, count: int = 4) -> tuple[str, ...]:
    """The answer among others, in a drawn order."""
    rest = [other for other in others if other != answer]
    picked = [rest[index] for index in rng.permutation(len(rest))[: count - 1]]
    options = [answer, *picked]
    return tuple(options[index] for index in rng.permutation(len(options)))


def questions(shown: Shown, rng: np.random.Generator) -> Iterator[Question]:
    """Everything that may be asked about an image; phrasing and the order of options are drawn.

    Whether there is a tumour is asked about parts alone: every whole slice shows one.
    """

    def ask(kind: str, options: Sequence[str], answer: str, content_type: str, name: str = "") -> Question:
        phrases = PHRASES[kind]
        return Question(phrases[rng.integers(len(phrases))].format(name), tuple(options), answer, content_type)

    if shown.tumour is not None and not shown.whole:
        yield ask("tumour", YES_NO, "yes" if shown.tumour.any() else "no", "Abnormality")
    if not shown.whole:
        return
    name, names = MODALITIES[shown.modality], list(MODALITIES.values())
    yield ask("modality", choices(name, names, rng), name, "Modality")
    yield ask("modality", (), name, "Modality")
    asked = name if rng.random() < 0.5 else str(rng.choice([other for other in names if other != name]))
    yield ask("is_modality", YES_NO, "yes" if asked == name else "no", "Modality", asked)
    if shown.organ:
        yield ask("organ", choices(shown.organ, OTHER_ORGANS, rng), shown.organ, "Organ")
        yield ask("organ", (), shown.organ, "Organ")
    if shown.tumour is not None and shown.tumour.any():
        side, height = halves(shown.tumour)
        if side and height:
            yield ask("quadrant", QUADRANTS, f"{height} {side}", "Position")
        if side:
            yield ask("side", ("left", "right"), side, "Position")
        if height:
            yield ask("height", ("upper", "lower"), height, "Position")
        size = size_class(shown.tumour)
        if size is not None:
            yield ask("size", SIZES, SIZES[size], "Size")
    if shown.nuclei and (many := many_nuclei(shown.nuclei)):
        yield ask("count", COUNTS, many, "Quantity")


def many_nuclei(nuclei: tuple[int, int]) -> str:
    """The class of COUNTS that the fewest and the most share; "" where they differ."""
    classes = {COUNTS[int(number >= MANY_NUCLEI)] for number in nuclei}
    return classes.pop() if len(classes) == 1 else ""


def caption(shown: Shown) -> str:
    """One sentence of true facts."""
    name = MODALITIES[shown.modality]
    kind = {"histopathology": "histopathology slide", "fluorescence microscopy": "fluorescence microscopy image"}.get(
        name, name if name == "fundus photograph" else f"{name} image"
    )
    kind = f"axial {kind}" if shown.axial else kind
    text = f"{'An' if kind[0] in 'aeiouMX' else 'A'} {kind}"
    if shown.nuclei:
        many = many_nuclei(shown.nuclei)
        text += f" of {many} cell nuclei" if many else " of cell nuclei"
    elif shown.organ:
        text += f" of the {shown.organ}"
    if shown.tumour is not None and shown.tumour.any():
        size, place = size_class(shown.tumour), " ".join(filter(None, reversed(halves(shown.tumour))))
        text += f" with a {'' if size is None else SIZE_NAMES[size] + ' '}tumour"
        text += f" in the {place} part" if place else " near the middle"
    return text + "."


def targets(shown: Shown) -> Iterator[Target]:
    """What can be found in an image, each with its box."""
    if shown.tumour is not None and shown.tumour.any():
        yield Target("tumour", 255, _box(shown.tumour))
    if shown.labels is not None:
        for value, name in REGIONS.items():
            if (shown.labels == value).any():
                yield Target(name, value, _box(shown.labels == value))


def _box(mask: Array) -> Box:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
