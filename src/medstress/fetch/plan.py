"""Which folders below downloads/ a card fills, and what must lie there in the end."""

from pathlib import PurePosixPath

from medstress.cards.classification import ClassFolders, ClassificationCard, CleanNpz, LabelSheet, MedImeta, MedMnist
from medstress.cards.classifier import OpenClip, RobustMedClip
from medstress.cards.dataset import DatasetCard
from medstress.cards.generation import MeCoVqa, MimicCxrVqa, OmniMedVqa, Ovqa, QuestionSheet, RocoV2, Slake
from medstress.cards.learned import Learned
from medstress.cards.local_vlm import LocalVlm
from medstress.cards.model import LearnedCard, ModelCard
from medstress.cards.segmentation import FolderSource, SheetSource, StackSource

DATASETS = PurePosixPath("downloads/datasets")
MODELS = PurePosixPath("downloads/models")
STAMP = ".fetched.json"
"""The file that says that a folder below downloads/ is complete; the output of the rules that fetch."""


def dataset_paths(card: DatasetCard) -> list[str]:
    """The files and folders that a card names. Corrupted images that may be missing are not among them."""
    paths: list[str]
    match card.source:
        case SheetSource() | LabelSheet() | QuestionSheet() as source:
            paths = [source.sheet]
        case FolderSource() | StackSource() as source:
            places = [source.images, source.masks]
            paths = [path for place in places for path in ([place] if isinstance(place, str) else place.values())]
        case MedMnist() as source:
            paths = [source.file]
        case ClassFolders() | MedImeta() | CleanNpz() | OmniMedVqa() | RocoV2() | Slake() | Ovqa() as source:
            paths = [source.folder]
        case MeCoVqa() as source:
            paths = [*source.files.values(), source.images]
        case MimicCxrVqa() as source:
            paths = [source.folder, source.images, source.patients, source.admissions]
    corrupted = card.corrupted if isinstance(card, ClassificationCard) else None
    if corrupted and corrupted.missing == "error":
        paths = [*paths, corrupted.folder]
    return list(dict.fromkeys(paths))


def dataset_folder(card: DatasetCard) -> str | None:
    """The folder that rule fetch_dataset fills; None where the card has no `download` or its files lie elsewhere."""
    folder = DATASETS / card.name
    below = [PurePosixPath(path).is_relative_to(folder) for path in dataset_paths(card)]
    return str(folder) if card.download and any(below) else None


def weights_folder(card: ModelCard) -> str | None:
    """The folder that rule fetch_weights fills: the first one of `weights` below downloads/models.

    None where the card has no `download`, or `weights` lie elsewhere: a copy of one's own is never touched.
    """
    if not isinstance(card, Learned) or not card.download or not getattr(card, "weights", None):
        return None
    path = PurePosixPath(weights_path(card))
    if not path.is_relative_to(MODELS) or path == MODELS:
        return None
    return str(MODELS / path.relative_to(MODELS).parts[0])


def weights_path(card: Learned) -> str:
    """The file or folder of a model's weights."""
    return str(getattr(card, "weights", ""))


def weights_wanted(card: LearnedCard) -> list[str]:
    """What rule fetch_weights must bring: the weights, and what the text encoder needs where that lies beside them."""
    text, folder = getattr(card, "text", None), weights_folder(card)
    beside = bool(text and folder and PurePosixPath(text).is_relative_to(folder))
    return [weights_path(card), *([str(text)] if beside else [])]


def weights_sums(card: Learned) -> dict[str, str]:
    """The sha256 that the card gives, by the file that it is of.

    None for folders of open_clip, which hold one of two files, and of vision-language models, which may hold several:
    their adapters check what they read.
    """
    sha256, path = getattr(card, "sha256", None), PurePosixPath(weights_path(card))
    if not sha256 or isinstance(card, OpenClip | LocalVlm):
        return {}
    if isinstance(card, RobustMedClip):
        return {str(path / "model.pth"): sha256}
    return {str(path if path.suffix else path / "model.safetensors"): sha256}
