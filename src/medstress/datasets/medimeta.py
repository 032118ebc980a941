"""A data set of MedIMeta: info.yaml, images/*.tiff, task_labels/{task}.npy, splits/*.txt and annotations.csv.

Its images.hdf5 holds the same images once more and is not read, so that no HDF5 library is needed.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from medstress.arrays import read_whole
from medstress.cards.classification import ClassificationCard, MedImeta
from medstress.datasets.array_labels import Labels, labels_in
from medstress.datasets.candidate import Candidate, Found, Reject, no_such
from medstress.datasets.sheet_rows import read_sheet
from medstress.datasets.splits import SPLITS
from medstress.datasets.volumes import found_of
from medstress.errors import MedstressError


def find_in_medimeta(source: MedImeta, card: ClassificationCard, root: Path) -> Found:
    """Every image that splits/*.txt name; its id is its split and its path without the extension.

    A group is the patient of annotations.csv, or the image where the card's unit is image. Raises MedstressError where
    files are missing, or the task has other labels than the card, or the same in another order.
    """
    folder = root / source.folder
    if not folder.is_dir():
        raise MedstressError(no_such("folder", folder, "source.folder", root))
    problems = _file_problems(folder)
    labels: list[Labels] = []
    if (folder / "info.yaml").is_file():
        problems += _task_problems(folder / "info.yaml", source.labels, card)
    file = folder / "task_labels" / f"{source.labels}.npy"
    if file.is_file():
        multi_label = card.classes.kind == "multi_label"
        labels, wrong = labels_in(read_whole(file), len(card.classes.names), multi_label=multi_label)
        problems += [f"{file}: {problem}" for problem in wrong]
    else:
        known = ", ".join(sorted(path.stem for path in file.parent.glob("*.npy"))) or "nothing"
        problems.append(f"{file}: no such file. Check `source.labels` in the card; task_labels/ holds {known}.")
    if problems:
        raise MedstressError("\n".join(problems))
    patients = _patients(folder) if card.split.unit != "image" else None
    candidates: list[Candidate] = []
    rejects: list[Reject] = []
    for split in SPLITS:
        for line in _lines(folder / "splits" / f"{split}.txt"):
            image, number = folder / line, Path(line).stem
            if not number.isdecimal() or int(number) >= len(labels):
                rejects.append(Reject(str(image), f"{file} has no label for it; it holds {len(labels)}."))
            elif not image.is_file():
                rejects.append(Reject(str(image), f"no such file, though splits/{split}.txt names it."))
            elif patients is not None and line not in patients:
                rejects.append(Reject(str(image), f"annotations.csv has no row for {line}, so its patient is unknown."))
            else:
                # Without the split, so that an image that two splits name is found on both sides.
                name = Path(line).with_suffix("").as_posix()
                group = (patients or {}).get(line) or name
                found = Candidate(f"{split}/{name}", str(image), image, (), group, labels=labels[int(number)])
                candidates.append(found)
    return found_of(candidates, rejects, grouped=patients is not None)


def _file_problems(folder: Path) -> list[str]:
    problems = []
    if not (folder / "info.yaml").is_file():
        problems.append(f"{folder / 'info.yaml'}: no such file. A MedIMeta data set has one.")
    if not any((folder / "splits" / f"{split}.txt").is_file() for split in SPLITS):
        problems.append(f"{folder / 'splits'}: none of {', '.join(f'{split}.txt' for split in SPLITS)} is there.")
    if not (folder / "images").is_dir():
        text = f"{folder / 'images'}: no such folder."
        if (folder / "images.hdf5").is_file():
            text += " images.hdf5 is not read: get the images folder of the same data set, which holds the TIFF files."
        problems.append(text)
    return problems


def _task_problems(path: Path, task: str, card: ClassificationCard) -> list[str]:
    """What info.yaml says otherwise than the card."""
    try:
        info: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        tasks = {str(item["task_name"]): item for item in info["tasks"]}
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError):
        return [f"{path}: cannot be read as the info.yaml of a MedIMeta data set. Copy it again."]
    if task not in tasks:
        return [f"{path}: has no task {task!r}; it has {', '.join(tasks)}. Correct `source.labels` in the card."]
    written = tasks[task].get("labels") or {}
    numbered = sorted(written.items()) if isinstance(written, dict) else list(enumerate(written))
    names = [str(name) for _, name in numbered]
    problems = []
    if names != card.classes.names:
        how = "another order" if sorted(names) == sorted(card.classes.names) else "other labels"
        problems.append(
            f"{path}: the task {task!r} has {how} than `classes.names` in the card.\n"
            f"    info.yaml: {', '.join(names)}\n    card:      {', '.join(card.classes.names)}"
        )
    target, multi_label = str(tasks[task].get("task_target", "")), card.classes.kind == "multi_label"
    if target and target.upper().startswith("MULTILABEL") != multi_label:
        problems.append(
            f"{path}: the task {task!r} is {target}, but `classes.kind` in the card is {card.classes.kind}."
        )
    return problems


def _lines(path: Path) -> list[str]:
    return (
        [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        if path.is_file()
        else []
    )


def _patients(folder: Path) -> Mapping[str, str] | None:
    """The patient of each image by its path, None where the data set does not say."""
    path = folder / "annotations.csv"
    if not path.is_file():
        return None
    columns, rows = read_sheet(path)
    if not {"filepath", "patient_id"} <= set(columns):
        return None
    return {row.cells["filepath"]: row.cells["patient_id"] for row in rows}
