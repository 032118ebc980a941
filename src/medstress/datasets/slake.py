"""SLAKE: imgs/{img_name} and one JSON file a split, of which English questions alone are read."""

from pathlib import Path

from medstress.cards.generation import Slake
from medstress.datasets.candidate import BadSampleError, Reject
from medstress.datasets.entries import Entries, Entry, Item, attributes_of, read_items, required, split_files, text_of
from medstress.datasets.question_form import closed_options
from medstress.datasets.sheet_rows import id_of
from medstress.names import Modality, Split

_KEYS = ("qid", "img_name", "question", "answer", "q_lang", "answer_type")
_ATTRIBUTES = ("modality", "location", "content_type", "base_type")
_MODALITIES: dict[str, Modality] = {"x-ray": "xray", "mri": "mri", "ct": "ct"}


def find_in_slake(source: Slake, root: Path) -> Entries:
    """Every English question; an image is a group, since nothing says whose it is."""
    folder = root / source.folder
    entries: list[Entry] = []
    rejects: list[Reject] = []
    others = 0
    for split, path in split_files(folder, root).items():
        for item in read_items(path):
            if text_of(item[1].get("q_lang", "en")) != "en":
                others += 1
                continue
            try:
                entries.append(_entry(folder, split, item))
            except BadSampleError as error:
                rejects.append(error.reject)
    notes = (f"questions left out, in other languages than English: {others}",) if others else ()
    return Entries(tuple(entries), tuple(rejects), notes)


def _entry(folder: Path, split: Split, item: Item) -> Entry:
    required(item, _KEYS)
    where, cells = item
    image_id = id_of(text_of(cells["img_name"]))
    question, answer, kind = (text_of(cells[name]) for name in ("question", "answer", "answer_type"))
    options = closed_options(question, answer, kind)
    return Entry(
        where=where,
        image=folder / "imgs" / text_of(cells["img_name"]),
        image_id=image_id,
        sample_id=f"{image_id}#q{text_of(cells['qid'])}",
        question=question,
        options=options,
        answer=answer,
        answer_type=kind,
        split=split,
        modality=_MODALITIES.get(text_of(cells.get("modality")).lower(), ""),
        attributes=attributes_of(cells, _ATTRIBUTES),
    )
