"""Whether the parts of a study go together: what is asked, of whom, about which images."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from medstress.cards.classification import ClassificationCard
from medstress.cards.classifier import ImageText
from medstress.cards.dataset import DatasetCard
from medstress.cards.model import ModelCard
from medstress.cards.strategy import Strategy
from medstress.config import Study
from medstress.names import Task
from medstress.problems import Key, Problem, line_of
from medstress.runs import family_of, named_parts

ALEXNET = "alexnet"
"""The normaliser that stands for published errors."""
_TASK_OF_TABLE = {"segmentation": ("segmentation_", "published_"), "classification": ("classification_",)}


def task_problems(
    source: Path,
    study: Study,
    datasets: Mapping[str, DatasetCard],
    models: Mapping[str, ModelCard],
    strategies: Mapping[str, Strategy],
) -> Iterator[Problem]:
    """What does not go together; cards that could not be read are left out."""

    def problem(key: Key, found: object, expected: str) -> Problem:
        return Problem(str(source), ".".join(map(str, key)), str(found), expected, line=line_of(source, key))

    asked = {model.task for model in models.values()}
    about = {card.task for card in datasets.values()}
    if set(datasets) == set(study.datasets):
        for index, name in enumerate(study.datasets):
            if models and datasets[name].task not in asked:
                yield problem(
                    ("datasets", index), repr(name), f"a run of a model for {datasets[name].task}: the study has none"
                )
        for index, run in enumerate(study.runs):
            model = models.get(named_parts(run)["model"] or "")
            if model is not None and model.task not in about:
                yield problem(
                    ("runs", index),
                    repr(run),
                    f"a data set for {model.task}, which {model.name} is for: none is listed",
                )
        for index, table in enumerate(study.tables):
            task = next((task for task, starts in _TASK_OF_TABLE.items() if table.startswith(starts)), None)
            if task is not None and task not in about:
                yield problem(("tables", index), repr(table), f"a study with a data set for {task}")
        if "segmentation" not in about:
            for index, figure in enumerate(study.figures):
                yield problem(("figures", index), repr(figure), "a study with a data set for segmentation")
        yield from (problem(*said) for said in _training(study, datasets, strategies))
    yield from (problem(*said) for said in _corrupted(study, datasets))
    yield from (problem(*said) for said in _asking(study, about, models))


_Said = tuple[Key, object, str]


def _training(study: Study, datasets: Mapping[str, DatasetCard], strategies: Mapping[str, Strategy]) -> Iterator[_Said]:
    for strategy in strategies.values():
        tasks = {datasets[name].task for name in strategy.train_on if name in datasets}
        if len(tasks) > 1:
            yield ("runs",), strategy.name, "a strategy whose `train_on` names data sets of one task"


def _corrupted(study: Study, datasets: Mapping[str, DatasetCard]) -> Iterator[_Said]:
    for name, card in datasets.items():
        if not isinstance(card, ClassificationCard) or card.corrupted is None:
            continue
        if study.perturbations.scale == "ssim":
            expected = f"a published scale, such as {card.corrupted.format}: {name} reads images that are there already"
            yield ("perturbations", "scale"), "ssim", expected
        if card.corrupted.format == "medmnist_c" and study.split != "test":
            yield ("split",), study.split, f"test: MedMNIST-C, which {name} reads, has no other"


def _asking(study: Study, about: set[Task], models: Mapping[str, ModelCard]) -> Iterator[_Said]:
    """Prompt sets, the normaliser and attacks."""
    texts = [model for model in models.values() if isinstance(model, ImageText)]
    if models and len(study.prompt_sets) > 1 and not texts:
        yield ("prompt_sets",), "several", "a run of an image-text model: nobody else is asked with texts"
    normaliser = study.classification.normaliser
    families = [family_of(run) for run in study.runs]
    several = len(study.prompt_sets) > 1
    plain = [name for name in families if "+" not in name and "~" not in name]
    own = [f"{name}~{one.name}" for name in plain for one in study.prompt_sets] if several else []
    if normaliser not in (None, ALEXNET, *families, *own):
        known = ", ".join(dict.fromkeys([ALEXNET, *own, *families]))
        yield ("classification", "normaliser"), repr(normaliser), f"a run of the study or published errors: {known}"
    scoring = study.classification
    wanted = "balanced_accuracy" if normaliser == ALEXNET else scoring.error
    if "classification" in about and wanted not in scoring.metrics:
        yield ("classification", "metrics"), ", ".join(scoring.metrics), f"{wanted} among them: errors are made of it"
    if "classification" in about:
        for index, attack in enumerate(study.attacks):
            if attack.region != "image" and "segmentation" not in about:
                yield ("attacks", index, "region"), attack.region, "image: classification has no boxes"
