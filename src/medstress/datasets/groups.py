"""Groups must be said by the source: where nothing says them, each image would count as a patient of its own."""

import re

from medstress.cards.classification import ClassFolders, CleanNpz, LabelSheet, MedImeta, MedMnist
from medstress.cards.generation import (
    MeCoVqa,
    MimicCxrVqa,
    OmniMedVqa,
    Ovqa,
    QuestionSheet,
    RocoV2,
    Slake,
)
from medstress.cards.images import SplitRule
from medstress.cards.segmentation import FolderSource, SheetSource, StackSource
from medstress.datasets.candidate import Found
from medstress.errors import MedstressError

Source = (
    FolderSource
    | StackSource
    | SheetSource
    | LabelSheet
    | ClassFolders
    | MedMnist
    | MedImeta
    | CleanNpz
    | QuestionSheet
    | OmniMedVqa
    | RocoV2
    | MeCoVqa
    | Slake
    | Ovqa
    | MimicCxrVqa
)

_PATTERN = (
    "Give `source.group_pattern` in the card: a regular expression whose first round brackets hold the {unit} in an "
    r"image's path without its extension, such as '^(p\d+)_' for p1_s3."
)
_WHERE = {
    "folder": _PATTERN,
    "class_folders": _PATTERN,
    "npy_stack": "A stack says nothing about its images: save them one a file, and name them in a sheet with a column "
    "`group` that holds the {unit} of each.",
    "sheet": "Give the sheet a column `group` with the {unit} of each image.",
    "medmnist": "The arrays say nothing about it.",
    "medimeta_c": "The arrays say nothing about it.",
    "medimeta": "annotations.csv has no column `patient_id`.",
    **dict.fromkeys(("omnimedvqa", "rocov2", "mecovqa", "slake", "ovqa"), "The files say nothing about it."),
}


def ask_for_groups(source: Source, rule: SplitRule) -> list[str]:
    """What to do where the source says no groups; nothing where the card says that every image is its own."""
    if rule.unit == "image":
        return []
    text = (
        f"`split.unit` is {rule.unit}, but nothing says which images belong to the same {rule.unit}. "
        f"{_WHERE[source.format].format(unit=rule.unit)} Where all images are independent, set `split.unit: image`."
    )
    if rule.unit == "patient" and isinstance(source, FolderSource | StackSource | SheetSource):
        text += " Only where all images are NIfTI volumes, each is taken for a patient."
    return [text]


def group_problems(found: Found, source: Source, rule: SplitRule) -> list[str]:
    """What to do if groups are needed and not said, or splits said and not used.

    A NIfTI file of several slices is a patient by itself.
    """
    problems = []
    if source.format == "sheet" and rule.by != "column" and any(candidate.split for candidate in found.candidates):
        problems.append(
            f"The sheet has a column `split`, which `split.by: {rule.by}` in the card would overrule. Write "
            "`split.by: column`, or take the column out."
        )
    volumes_only = all(candidate.layers > 1 for candidate in found.candidates)
    if found.grouped or (rule.unit == "patient" and volumes_only):
        return problems
    return [*problems, *ask_for_groups(source, rule)]


def compiled_pattern(pattern: str | None) -> re.Pattern[str] | None:
    """The card's `group_pattern`. Raises MedstressError where it is no regular expression or has no group."""
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise MedstressError(
            f"group_pattern {pattern!r} is no regular expression: {error}. Correct it in the card."
        ) from None
    if not compiled.groups:
        raise MedstressError(f"group_pattern {pattern!r} has no group. Put the patient's part in round brackets.")
    return compiled


def group_of(image_id: str, pattern: re.Pattern[str] | None) -> str | None:
    """The group that a pattern finds in an image's id, or None; without a pattern, the image itself."""
    if pattern is None:
        return image_id
    match = pattern.search(image_id)
    return match[1] if match else None
