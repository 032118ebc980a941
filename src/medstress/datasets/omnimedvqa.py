"""OmniMedVQA: QA_information/{part}/*.json and the images that they name."""

from pathlib import Path

from medstress.cards.generation import OmniMedVqa
from medstress.datasets.candidate import BadSampleError, Reject, no_such
from medstress.datasets.entries import Entries, Entry, Item, attributes_of, read_items, required, text_of
from medstress.datasets.sheet_rows import id_of
from medstress.errors import MedstressError
from medstress.names import Modality

_MODALITIES: dict[str, Modality] = {
    "ct(computed tomography)": "ct",
    "mr (mag-netic resonance imaging)": "mri",
    "x-ray": "xray",
    "ultrasound": "ultrasound",
    "dermoscopy": "dermoscopy",
    "endoscopy": "endoscopy",
    "fundus photography": "fundus",
    "oct (optical coherence tomography": "oct",  # with one bracket, as in the files
    "microscopy images": "microscopy",
}
_OPTIONS = ("option_A", "option_B", "option_C", "option_D")


def find_in_omnimedvqa(source: OmniMedVqa, root: Path) -> Entries:
    """Every question of one part, with its options; the image is the group, since nothing says whose it is."""
    folder = root / source.folder
    questions = folder / "QA_information" / source.part
    if not questions.is_dir():
        raise MedstressError(no_such("folder", questions, "source.folder", root))
    files = sorted(questions.glob("*.json"))
    if not files:
        raise MedstressError(f"{questions}: no JSON files. Unpack the archive of OmniMedVQA again.")
    entries: list[Entry] = []
    rejects: list[Reject] = []
    for path in files:
        for item in read_items(path):
            try:
                entries.append(_entry(folder, item))
            except BadSampleError as error:
                rejects.append(error.reject)
    return Entries(tuple(entries), tuple(rejects))


def _entry(folder: Path, item: Item) -> Entry:
    required(item, ("question_id", "question", "gt_answer", "image_path"))
    where, cells = item
    name = text_of(cells["image_path"]).removeprefix("${dataset_root_path}/")
    kind = text_of(cells.get("modality_type", cells.get("modality")))  # one entry calls it modality
    options = tuple(text for key in _OPTIONS if (text := text_of(cells.get(key))))
    if not options:
        raise BadSampleError(where, "has none of option_A to option_D.")
    image_id = id_of(name)
    return Entry(
        where=where,
        image=folder / name,
        image_id=image_id,
        sample_id=f"{image_id}#{text_of(cells['question_id'])}",
        question=text_of(cells["question"]),
        options=options,
        answer=text_of(cells["gt_answer"]),
        answer_type="closed",
        modality=_MODALITIES.get(kind.lower(), ""),
        attributes=(*attributes_of(cells, ("dataset", "question_type")), *((("modality_type", kind),) if kind else ())),
    )
