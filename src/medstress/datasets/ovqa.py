"""OVQA: img/{image_name} and one JSON file a split."""

from pathlib import Path

from medstress.cards.generation import Ovqa
from medstress.datasets.candidate import BadSampleError, Reject
from medstress.datasets.entries import Entries, Entry, Item, attributes_of, read_items, required, split_files, text_of
from medstress.datasets.question_form import closed_options
from medstress.datasets.sheet_rows import id_of
from medstress.names import Split

_KEYS = ("qid", "image_name", "question", "answer", "answer_type")


def find_in_ovqa(source: Ovqa, root: Path) -> Entries:
    """Every question that passes the cleaning of SURE-VQA; an image is a group, since nothing says whose it is.

    Closed questions whose answer is not yes or no are left out, but for those that name two modalities to choose from.
    """
    folder = root / source.folder
    entries: list[Entry] = []
    rejects: list[Reject] = []
    left_out = 0
    for split, path in split_files(folder, root).items():
        for item in read_items(path):
            try:
                entry = _entry(folder, split, item)
            except BadSampleError as error:
                rejects.append(error.reject)
                continue
            unclear = entry.answer_type.lower() == "closed" and not entry.options
            if unclear and entry.answer and entry.answer.lower() not in ("yes", "no"):
                left_out += 1
            else:
                entries.append(entry)
    notes = (f"closed questions left out, whose answer is neither yes nor no: {left_out}",) if left_out else ()
    return Entries(tuple(entries), tuple(rejects), notes)


def _entry(folder: Path, split: Split, item: Item) -> Entry:
    required(item, _KEYS)
    where, cells = item
    image_id = id_of(text_of(cells["image_name"]))
    question, answer, kind = (text_of(cells[name]) for name in ("question", "answer", "answer_type"))
    return Entry(
        where=where,
        image=folder / "img" / text_of(cells["image_name"]),
        image_id=image_id,
        sample_id=f"{image_id}#q{text_of(cells['qid'])}",
        question=question,
        options=closed_options(question, answer, kind),
        answer=answer,
        answer_type=kind,
        split=split,
        attributes=attributes_of(cells, ("image_organ", "question_type")),
    )
