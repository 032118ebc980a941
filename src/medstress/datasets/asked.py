"""Questions about images: found in every kind of source, checked, and gathered by image."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from medstress.cards.generation import (
    BoxNumbers,
    GenerationCard,
    MeCoVqa,
    MimicCxrVqa,
    OmniMedVqa,
    Ovqa,
    QuestionSheet,
    RocoV2,
    Slake,
)
from medstress.datasets.box_numbers import scale_problems
from medstress.datasets.candidate import BadSampleError, Candidate, Found, Reject
from medstress.datasets.entries import Entries, Entry
from medstress.datasets.mecovqa import find_in_mecovqa
from medstress.datasets.mimic_cxr_vqa import find_in_mimic_cxr_vqa
from medstress.datasets.omnimedvqa import find_in_omnimedvqa
from medstress.datasets.ovqa import find_in_ovqa
from medstress.datasets.question import Question, checked
from medstress.datasets.question_sheet import find_in_question_sheet
from medstress.datasets.rocov2 import find_in_rocov2
from medstress.datasets.slake import find_in_slake
from medstress.datasets.volumes import found_of
from medstress.names import Modality

_FINDERS: dict[type, Callable[[Any, Path], Entries]] = {
    OmniMedVqa: find_in_omnimedvqa,
    RocoV2: find_in_rocov2,
    MeCoVqa: find_in_mecovqa,
    Slake: find_in_slake,
    Ovqa: find_in_ovqa,
    MimicCxrVqa: find_in_mimic_cxr_vqa,
}


@dataclass(frozen=True)
class Asked:
    """Images, each with the questions about it in the order of the source, and what is wrong or was left out."""

    found: Found
    questions: Mapping[str, tuple[Question, ...]]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def find_asked(card: GenerationCard, root: Path) -> Asked:
    """Every question of a data set, no image read yet; paths in the card are relative to `root`.

    Raises MedstressError with all that is wrong with the source as a whole.
    """
    read = _read(card, root)
    boxes = boxes_of(card)
    rejects = list(read.rejects)
    entries: dict[str, list[Entry]] = {}
    for entry in read.entries:
        entries.setdefault(entry.image_id, []).append(entry)
    twice = {name for name, count in Counter(item.sample_id for item in read.entries).items() if name and count > 1}
    candidates: list[Candidate] = []
    questions: dict[str, tuple[Question, ...]] = {}
    for image_id, members in entries.items():
        try:
            candidate = _candidate(members, card)
        except BadSampleError as error:
            rejects.append(error.reject)
            continue
        kept: list[Question] = []
        for number, entry in enumerate(members):
            sample_id = entry.sample_id or f"{image_id}#q{number:03d}"
            try:
                if entry.sample_id in twice:
                    raise BadSampleError(entry.where, f"the id {sample_id!r} is also that of another question.")
                kept.append(checked(entry, sample_id, card.task, boxes))
            except BadSampleError as error:
                rejects.append(error.reject)
        if kept:
            candidates.append(candidate)
            questions[image_id] = tuple(kept)
    found = found_of(candidates, rejects, grouped=read.grouped)
    volumes = {item.image for item in found.candidates if item.layers > 1}
    rejects = [Reject(str(path), "is a volume. Save one image a file.") for path in sorted(volumes)]
    pictures = tuple(item for item in found.candidates if item.layers == 1)
    marked = (item.box for members in questions.values() for item in members if item.box)
    return Asked(
        replace(found, candidates=pictures, rejects=(*found.rejects, *rejects)),
        questions,
        tuple(scale_problems(marked, boxes)),
        read.notes,
    )


def boxes_of(card: GenerationCard) -> BoxNumbers:
    """What numbers of boxes mean in the card's source."""
    return card.source.boxes if isinstance(card.source, QuestionSheet | MeCoVqa) else BoxNumbers()


def _read(card: GenerationCard, root: Path) -> Entries:
    source = card.source
    if isinstance(source, QuestionSheet):
        return find_in_question_sheet(source, card, root)
    return _FINDERS[type(source)](source, root)


def _candidate(entries: list[Entry], card: GenerationCard) -> Candidate:
    """The image that some entries are about. Raises BadSampleError where it is missing or they do not agree on it."""
    first = entries[0]
    if not first.image.is_file():
        raise BadSampleError(first.image, f"no such file, though {first.where} asks about it.")
    for entry in entries[1:]:
        if (entry.image, entry.row) != (first.image, first.row):
            other = f"{entry.image} ({entry.where})"
            raise BadSampleError(first.where, f"the image id {first.image_id!r} is also that of {other}. Rename one.")
        differing = [name for name in ("group", "split", "modality") if getattr(entry, name) != getattr(first, name)]
        if card.split.by != "column" and "split" in differing:
            differing.remove("split")
        if differing:
            said = ", ".join(f"{name} {getattr(first, name)!r} and {getattr(entry, name)!r}" for name in differing)
            raise BadSampleError(
                first.image, f"{first.where} and {entry.where} say different things of it: {said}. Say one."
            )
    known = get_args(Modality)
    if isinstance(card.source, QuestionSheet) and card.modality == "mixed" and first.modality not in known:
        raise BadSampleError(first.where, f"modality is {first.modality!r}; expected one of {', '.join(known)}.")
    return Candidate(
        image_id=first.image_id,
        where=first.where if first.column else f"{first.image} ({first.where.rpartition(', ')[2]})",
        image=first.image,
        masks=(),
        group=first.group or first.image_id,
        layer=first.row,
        split=first.split,
        array=first.column,
        modality=first.modality if card.modality == "mixed" else "",
    )
