"""Which folders below downloads/ a card fills, and what must lie there in the end."""

from pathlib import PurePosixPath

from medstress.cards.dataset import DatasetCard, SheetSource
from medstress.cards.model import Learned, ModelCard

DATASETS = PurePosixPath("downloads/datasets")
MODELS = PurePosixPath("downloads/models")
STAMP = ".fetched.json"
"""The file that says that a folder below downloads/ is complete; the output of the rules that fetch."""


def dataset_paths(card: DatasetCard) -> list[str]:
    """The files and folders that a card's source names."""
    source = card.source
    if isinstance(source, SheetSource):
        return [source.sheet]
    places = [source.images, source.masks]
    return [path for place in places for path in ([place] if isinstance(place, str) else place.values())]


def dataset_folder(card: DatasetCard) -> str | None:
    """The folder that rule fetch_dataset fills; None where the card has no `download` or its files lie elsewhere."""
    folder = DATASETS / card.name
    below = [PurePosixPath(path).is_relative_to(folder) for path in dataset_paths(card)]
    return str(folder) if card.download and any(below) else None


def weights_folder(card: ModelCard) -> str | None:
    """The folder that rule fetch_weights fills: the first one of `weights` below downloads/models.

    None where the card has no `download`, or `weights` lie elsewhere: a copy of one's own is never touched.
    """
    if not isinstance(card, Learned) or card.download is None or not getattr(card, "weights", None):
        return None
    path = PurePosixPath(weights_path(card))
    if not path.is_relative_to(MODELS) or path == MODELS:
        return None
    return str(MODELS / path.relative_to(MODELS).parts[0])


def weights_path(card: Learned) -> str:
    """The file or folder of a model's weights."""
    return str(getattr(card, "weights", ""))


def weights_sums(card: Learned) -> dict[str, str]:
    """The sha256 that the card gives, by the file that it is of."""
    sha256, path = getattr(card, "sha256", None), PurePosixPath(weights_path(card))
    file = path if path.suffix else path / "model.safetensors"
    return {str(file): sha256} if sha256 else {}
