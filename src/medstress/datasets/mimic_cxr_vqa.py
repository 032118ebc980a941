"""MIMIC-CXR-VQA: templated questions about chest X-rays, whose kind says what may be answered."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medstress.cards.generation import MimicCxrVqa
from medstress.datasets.candidate import BadSampleError, Reject, no_such
from medstress.datasets.entries import Entries, Entry, Item, attributes_of, read_items, required, split_files, text_of
from medstress.datasets.mimic_patients import Attributes, read_patients
from medstress.datasets.sheet_rows import id_of
from medstress.errors import MedstressError
from medstress.names import Split

_KEYS = ("idx", "subject_id", "image_path", "question", "semantic_type", "content_type", "template_arguments", "answer")
_NAMED = {"plane": ("AP", "PA"), "gender": ("male", "female")}
_GENDERS = {"f": "female", "m": "male"}


def find_in_mimic_cxr_vqa(source: MimicCxrVqa, root: Path) -> Entries:
    """Every question with the attributes of its patient, who is the group.

    Raises MedstressError with all files and folders that are missing.
    """
    problems: list[str] = []
    people: dict[str, Attributes] = {}
    files: dict[Split, Path] = {}
    if not (root / source.images).is_dir():
        problems.append(no_such("folder", root / source.images, "source.images", root))
    try:
        people = read_patients(root / source.patients, root / source.admissions, root)
    except MedstressError as error:
        problems.append(str(error))
    try:
        files = split_files(root / source.folder, root)
    except MedstressError as error:
        problems.append(str(error))
    if problems:
        raise MedstressError("\n".join(problems))
    entries: list[Entry] = []
    rejects: list[Reject] = []
    strangers = set()
    for split, path in files.items():
        for item in read_items(path):
            try:
                required(item, _KEYS)
                subject = text_of(item[1]["subject_id"])
                if subject not in people:
                    strangers.add(subject)
                entries.append(_entry(root / source.images, split, item, people.get(subject, ())))
            except BadSampleError as error:
                rejects.append(error.reject)
    notes = (f"patients that MIMIC-IV's tables do not have: {len(strangers)}",) if strangers else ()
    return Entries(tuple(entries), tuple(rejects), notes, grouped=True)


def _entry(images: Path, split: Split, item: Item, person: Attributes) -> Entry:
    where, cells = item
    kind, content = text_of(cells["semantic_type"]), text_of(cells["content_type"])
    image_id = id_of(text_of(cells["image_path"]))
    if not isinstance(cells["answer"], list):
        raise BadSampleError(where, "the answer is no list. Build the answers with the data set's own script first.")
    answers = [text_of(part) for part in cells["answer"]]
    options, answer = _options_and_answer(where, kind, content, choices(cells["template_arguments"]), answers)
    return Entry(
        where=where,
        image=images / text_of(cells["image_path"]),
        image_id=image_id,
        sample_id=f"{image_id}#{split}{text_of(cells['idx'])}",
        question=text_of(cells["question"]),
        options=options,
        answer=answer,
        answer_type="open" if kind == "query" else "closed",
        group=text_of(cells["subject_id"]),
        split=split,
        attributes=(*attributes_of(cells, ("semantic_type", "content_type", "template")), *person),
    )


def _options_and_answer(
    where: str, kind: str, content: str, between: tuple[str, ...], answers: list[str]
) -> tuple[tuple[str, ...], str]:
    """What may be answered, and what is right (SURE-VQA's derived fields)."""
    named = [_GENDERS.get(answer.lower(), answer) if content == "gender" else answer for answer in answers]
    match kind:
        case "verify":
            return ("yes", "no"), ", ".join(named)
        case "query":
            return (), ", ".join(named) or "none"
        # Before what slots name: nobody is both, and no view is.
        case "choose" if content in _NAMED:
            return _NAMED[content], ", ".join(named)
        case "choose" if between:
            return (*between, "none", "both"), "both" if len(named) == 2 else ", ".join(named) or "none"
        case "choose":
            raise BadSampleError(where, "template_arguments do not name the two things to choose from.")
    raise BadSampleError(where, f"semantic_type is {kind!r}; expected verify, choose or query.")


def choices(arguments: Any) -> tuple[str, ...]:
    """The two fillings of the template's slot that has two; () where none has. Slots may be JSON inside JSON."""
    slots = _loaded(arguments)
    for filled in map(_loaded, slots.values()):
        if len(filled) == 2:
            return tuple(text_of(filled[key]) for key in sorted(filled))
    return ()


def _loaded(value: Any) -> Mapping[str, Any]:
    try:
        content = json.loads(value) if isinstance(value, str) else value
    except json.JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}
