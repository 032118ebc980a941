"""MeCoVQA's grounding: conversations about images of SA-Med2D-20M, answered by a box or the path of a mask."""

import re
from pathlib import Path

from medstress.cards.generation import MeCoVqa
from medstress.datasets.candidate import BadSampleError, Reject, no_such
from medstress.datasets.entries import Entries, Entry, Item, read_items, required, text_of
from medstress.datasets.sheet_rows import id_of
from medstress.errors import MedstressError
from medstress.names import Modality, Split

_MASK = re.compile(r"<mask>\s*(.*?)\s*</mask>", re.DOTALL)
_NUMBER = r"[-+]?\d*\.?\d+"
_BOX = re.compile(rf"{_NUMBER}(?:\s*[,;\s]\s*{_NUMBER}){{3}}")
# How names of files in SA-Med2D-20M begin, as in mr_t1--BraTS--case_7--x_0100.png.
_MODALITIES: dict[str, Modality] = {
    "ct": "ct",
    "mr": "mri",
    "x": "xray",
    "us": "ultrasound",
    "ultrasound": "ultrasound",
    "dermoscopy": "dermoscopy",
    "endoscopy": "endoscopy",
    "fundus": "fundus",
    "histopathology": "pathology",
    "microscopy": "microscopy",
}


def find_in_mecovqa(source: MeCoVqa, root: Path) -> Entries:
    """Every conversation as a question; the image is the group, since nothing says whose it is.

    A split without a file is not there: none is cut out of another.
    """
    images = root / source.images
    if not images.is_dir():
        raise MedstressError(no_such("folder", images, "source.images", root))
    entries: list[Entry] = []
    rejects: list[Reject] = []
    for split, file in source.files.items():
        for item in read_items(root / file):
            try:
                entries.append(_entry(images, split, item))
            except BadSampleError as error:
                rejects.append(error.reject)
    return Entries(tuple(entries), tuple(rejects))


def _entry(images: Path, split: Split, item: Item) -> Entry:
    required(item, ("image", "conversations"))
    where, cells = item
    turns = cells["conversations"] if isinstance(cells["conversations"], list) else []
    said = {text_of(turn.get("from")): text_of(turn.get("value")) for turn in reversed(turns) if isinstance(turn, dict)}
    if not {"human", "gpt"} <= set(said):
        raise BadSampleError(where, "conversations need a turn of human and one of gpt.")
    mask, box = _MASK.search(said["gpt"]), _BOX.search(said["gpt"])
    if mask is None and box is None:
        raise BadSampleError(
            where, f"the answer {said['gpt'][:60]!r} holds neither four numbers nor <mask>path</mask>."
        )
    name = text_of(cells["image"])
    parts = Path(name).name.split("--")
    named = parts[0].lower().partition("_")[0] if len(parts) > 1 else ""
    attributes = (("modality", parts[0]), ("dataset", parts[1])) if named else ()
    return Entry(
        where=where,
        image=_file(images, name),
        image_id=id_of(name),
        question=" ".join(said["human"].replace("<image>", " ").split()),
        box=box[0] if box and mask is None else "",
        mask=_file(images, mask[1]) if mask else None,
        split=split,
        modality=_MODALITIES.get(named, ""),
        attributes=attributes,
    )


def _file(folder: Path, name: str) -> Path:
    """The file of that name, which the JSON writes with or without its extension."""
    path = folder / name
    return path if path.suffix or path.is_file() else path.with_name(f"{path.name}.png")
