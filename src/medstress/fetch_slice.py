"""What rules that fetch need to know of a study."""

from pathlib import PurePosixPath

from medstress.cards.learned import Learned
from medstress.fetch.plan import dataset_folder, dataset_paths, weights_folder, weights_sums, weights_wanted
from medstress.project import Project
from medstress.specs import FetchSpec


def fetched_datasets(project: Project) -> dict[str, str]:
    """The data sets whose files rule fetch_dataset brings, and the folder of each."""
    folders = {name: dataset_folder(card) for name, card in project.datasets.items()}
    return {name: folder for name, folder in folders.items() if folder is not None}


def fetched_weights(project: Project) -> dict[str, str]:
    """The models whose weights rule fetch_weights brings, and the folder of each."""
    folders = {name: weights_folder(card) for name, card in project.models.items()}
    return {name: folder for name, folder in folders.items() if folder is not None}


def fetch_dataset_spec(project: Project, dataset: str) -> FetchSpec:
    """The part of the configuration that fetch_dataset depends on."""
    card, folder = project.datasets[dataset], fetched_datasets(project)[dataset]
    return FetchSpec(name=dataset, downloads=card.download, folder=folder, wanted=dataset_paths(card))


def fetch_weights_spec(project: Project, folder: str) -> FetchSpec:
    """The part of the configuration that fetch_weights depends on; models may share a folder of weights."""
    name = next(name for name, place in fetched_weights(project).items() if place == folder)
    card = project.models[name]
    assert isinstance(card, Learned)
    return FetchSpec(
        name=PurePosixPath(folder).name,
        downloads=card.download,
        folder=folder,
        wanted=weights_wanted(card),
        sha256=weights_sums(card),
    )
