"""Groups must be said by the source: where nothing says them, each image would count as a patient of its own."""

from medstress.cards.dataset import FolderSource, SheetSource, SplitRule, StackSource
from medstress.datasets.candidate import Found

_WHERE = {
    "folder": "Give `source.group_pattern` in the card: a regular expression whose first round brackets hold the "
    r"{unit} in an image's path without its extension, such as '^(p\d+)_' for p1_s3.",
    "npy_stack": "A stack says nothing about its images: save them one a file, and name them in a sheet with a column "
    "`group` that holds the {unit} of each.",
    "sheet": "Give the sheet a column `group` with the {unit} of each image.",
}


def ask_for_groups(source: FolderSource | StackSource | SheetSource, rule: SplitRule) -> list[str]:
    """What to do where the source says no groups; nothing where the card says that every image is its own."""
    if rule.unit == "image":
        return []
    text = (
        f"`split.unit` is {rule.unit}, but nothing says which images belong to the same {rule.unit}. "
        f"{_WHERE[source.format].format(unit=rule.unit)} Where all images are independent, set `split.unit: image`."
    )
    if rule.unit == "patient":
        text += " Only where all images are NIfTI volumes, each is taken for a patient."
    return [text]


def group_problems(found: Found, source: FolderSource | StackSource | SheetSource, rule: SplitRule) -> list[str]:
    """What to do if groups are needed and not said. A NIfTI file of several slices is a patient by itself."""
    volumes_only = all(candidate.layers > 1 for candidate in found.candidates)
    if found.grouped or (rule.unit == "patient" and volumes_only):
        return []
    return ask_for_groups(source, rule)
