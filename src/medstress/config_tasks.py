"""Whether the parts of a study go together: what is asked, of whom, about which images."""

from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import get_args

from medstress.cards.classification import ClassificationCard
from medstress.cards.classifier import ImageText
from medstress.cards.dataset import DatasetCard
from medstress.cards.generation import GenerationCard
from medstress.cards.generator import GeminiApi, MajorityAnswer, OpenAiApi
from medstress.cards.model import Generator, ModelCard, tasks_of
from medstress.cards.strategy import Strategy
from medstress.config import Study
from medstress.names import FigureName, Modality, TableName, Task
from medstress.perturb.registry import PERTURBATIONS
from medstress.problems import Key, Problem, line_of
from medstress.runs import family_of, named_parts

ALEXNET = "alexnet"
"""The normaliser that stands for published errors."""
_TASK_OF_TABLE = {
    "segmentation": ("segmentation_", "published_summary", "published_by_level"),
    "classification": ("classification_",),
    "vqa": ("vqa_",),
    "captioning": ("captioning_",),
    "grounding": ("grounding_",),
}

_USUAL_TABLES: dict[Task, tuple[TableName, ...]] = {
    "segmentation": ("segmentation_main", "segmentation_perturbations", "segmentation_levels"),
    "classification": ("classification_main", "classification_corruptions"),
    "vqa": ("vqa_main", "vqa_levels", "vqa_shifts"),
    "captioning": ("captioning_main", "captioning_levels"),
    "grounding": ("grounding_main", "grounding_levels"),
}
_TURNING: tuple[Task, ...] = ("classification", "vqa", "grounding")
"""Tasks whose answers are right or wrong."""
_FEWEST_SPOKES = 3


def with_usual_outputs(study: Study, datasets: Mapping[str, DatasetCard]) -> Study:
    """A study with the tables and figures that it gets where it does not say which."""
    about = {card.task for card in datasets.values()}
    tables = [table for task, usual in _USUAL_TABLES.items() if task in about for table in usual]
    usual = {
        "tables": [*tables, "calibration"],
        "figures": [name for name in get_args(FigureName) if _lacks(study, datasets, name) is None],
    }
    return study.model_copy(update={key: names for key, names in usual.items() if key not in study.model_fields_set})


def _lacks(study: Study, datasets: Mapping[str, DatasetCard], figure: FigureName) -> str | None:
    """What a study would have to be for a figure to have anything to show; None where it is."""
    about = {card.task for card in datasets.values()}
    types = study.perturbations.types
    banded = study.perturbations.scale == "ssim" and any(
        name in PERTURBATIONS and PERTURBATIONS[name].table is None for name in types
    )
    turning = about.intersection(_TURNING)
    if "accuracy" not in study.classification.metrics:
        turning.discard("classification")
    needed: dict[FigureName, tuple[bool, str]] = {
        "image_grid": ("segmentation" in about, "a study with a data set for segmentation"),
        "strategy_ranking": (
            any(named_parts(run)["strategy"] for run in study.runs),
            "a study with a strategy among its runs, such as tiny_sam+lora",
        ),
        "radar": (
            max((_modalities(datasets, task) for task in about), default=0) >= _FEWEST_SPOKES,
            f"a study with images of {_FEWEST_SPOKES} modalities in one task",
        ),
        "calibration_quality": (banded, "a study with `scale: ssim` and a type that has bands: nothing else has one"),
        "adversarial_curves": (bool(study.attacks), "a study with `attacks`, which the figure tells of"),
        "flip_matrix": (
            bool(turning),
            "a study with answers that are right or wrong: closed or open questions, boxes, or classes with the "
            "metric accuracy",
        ),
    }
    there, expected = needed.get(figure, (True, ""))
    return None if there else expected


def _modalities(datasets: Mapping[str, DatasetCard], task: Task) -> int:
    """How many modalities the images of a task may have; a card that does not say which may have all."""
    found: set[str] = set()
    for card in datasets.values():
        if card.task == task:
            mixed = getattr(card, "modalities", ()) or get_args(Modality)
            found.update(mixed if card.modality == "mixed" else (card.modality,))
    return len(found)


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

    asked = {task for model in models.values() for task in tasks_of(model)}
    about = {card.task for card in datasets.values()}
    if set(datasets) == set(study.datasets):
        for index, name in enumerate(study.datasets):
            if models and datasets[name].task not in asked:
                yield problem(
                    ("datasets", index), repr(name), f"a run of a model for {datasets[name].task}: the study has none"
                )
        for index, run in enumerate(study.runs):
            model = models.get(named_parts(run)["model"] or "")
            if model is not None and not tasks_of(model) & about:
                tasks = " or ".join(sorted(tasks_of(model)))
                yield problem(
                    ("runs", index), repr(run), f"a data set for {tasks}, which {model.name} is for: none is listed"
                )
        for index, table in enumerate(study.tables):
            task = next((task for task, starts in _TASK_OF_TABLE.items() if table.startswith(starts)), None)
            if task is not None and task not in about:
                yield problem(("tables", index), repr(table), f"a study with a data set for {task}")
            if table == "classification_fewshot" and not _adapts_classifiers(study, models):
                expected = "a study with an adapted classifier among its runs, such as tiny_clip+fewshot_10"
                yield problem(("tables", index), repr(table), expected)
        for index, figure in enumerate(study.figures):
            if expected_of_study := _lacks(study, datasets, figure):
                yield problem(("figures", index), repr(figure), expected_of_study)
        yield from (problem(*said) for said in _training(study, datasets, strategies))
    yield from (problem(*said) for said in _corrupted(study, datasets))
    yield from (problem(*said) for said in _asking(study, datasets, models))
    if study.caption_encoder is not None:
        yield from (problem(("caption_encoder",), *said) for said in _comparing(study.caption_encoder, about))
    yield from (problem(*said) for said in _answering(study, datasets, models))


_Said = tuple[Key, object, str]


def _adapts_classifiers(study: Study, models: Mapping[str, ModelCard]) -> bool:
    """Whether a run is a classifier with a strategy; so it is where a card could not be read."""
    named = [parts["model"] or "" for run in study.runs if (parts := named_parts(run))["strategy"]]
    return any(model not in models or "classification" in tasks_of(models[model]) for model in named)


def _training(study: Study, datasets: Mapping[str, DatasetCard], strategies: Mapping[str, Strategy]) -> Iterator[_Said]:
    for strategy in strategies.values():
        cards = [datasets[name] for name in strategy.train_on if name in datasets]
        if len({card.task for card in cards}) > 1:
            yield ("runs",), strategy.name, "a strategy whose `train_on` names data sets of one task"
        if strategy.pooled and strategy.augmentation and any(_scene(card) != _scene(cards[0]) for card in cards):
            expected = "data sets with one `background` and one `window`: a pooled strategy perturbs them alike"
            yield ("runs",), strategy.name, expected


def _scene(card: DatasetCard) -> object:
    """What perturbations need to know of the images of a card."""
    return card.background, card.window


def _comparing(folder: str, about: Set[Task]) -> Iterator[tuple[object, str]]:
    """An encoder of sentences that is not there, or that has nothing to compare."""
    if not (Path(folder) / "config.json").is_file():
        yield repr(folder), "a folder with config.json, model.safetensors and the tokenizer: docs/models.md"
    if "captioning" not in about:
        yield repr(folder), "a study with a data set for captioning, whose captions it compares"


def _corrupted(study: Study, datasets: Mapping[str, DatasetCard]) -> Iterator[_Said]:
    for name, card in datasets.items():
        if not isinstance(card, ClassificationCard) or card.corrupted is None:
            continue
        if study.perturbations.scale == "ssim":
            expected = f"a published scale, such as {card.corrupted.format}: {name} reads images that are there already"
            yield ("perturbations", "scale"), "ssim", expected
        if card.corrupted.format == "medmnist_c" and study.split != "test":
            yield ("split",), study.split, f"test: MedMNIST-C, which {name} reads, has no other"


def _classifying(study: Study, models: Mapping[str, ModelCard]) -> list[str]:
    """The runs of classifiers, as tables call them."""
    found: list[str] = []
    for run in study.runs:
        parts = named_parts(run)
        model = models.get(parts["model"] or "")
        if model is None or "classification" not in tasks_of(model):
            continue
        several = isinstance(model, ImageText) and len(study.prompt_sets) > 1
        each = several and not parts["strategy"] and not parts["variant"]
        found += [f"{run}~{one.name}" for one in study.prompt_sets] if each else [family_of(run)]
    return list(dict.fromkeys(found))


def _asking(study: Study, datasets: Mapping[str, DatasetCard], models: Mapping[str, ModelCard]) -> Iterator[_Said]:
    """Prompt sets, the normaliser and attacks."""
    about = {card.task for card in datasets.values()}
    texts = [model for model in models.values() if isinstance(model, ImageText)]
    if models and len(study.prompt_sets) > 1 and not texts:
        yield ("prompt_sets",), "several", "a run of an image-text model: nobody else is asked with texts"
    normaliser = study.classification.normaliser
    known = [ALEXNET, *_classifying(study, models)]
    if normaliser not in (None, *known) and all(named_parts(run)["model"] in models for run in study.runs):
        expected = f"a classifier's run or published errors: {', '.join(known)}"
        yield ("classification", "normaliser"), repr(normaliser), expected
    if normaliser == ALEXNET and study.perturbations.scale != "medmnist_c":
        expected = "a classifier's run: the published errors are those under the corruptions of scale: medmnist_c"
        yield ("classification", "normaliser"), normaliser, expected
    scoring = study.classification
    wanted = "balanced_accuracy" if normaliser == ALEXNET else scoring.error
    if "classification" in about and wanted not in scoring.metrics:
        yield ("classification", "metrics"), ", ".join(scoring.metrics), f"{wanted} among them: errors are made of it"
    attacked = {datasets[name].task for name in study.attacked_datasets or study.datasets if name in datasets}
    if "classification" in attacked:
        for index, attack in enumerate(study.attacks):
            if attack.region != "image":
                expected = "image: classification, which is attacked too, has no boxes"
                yield ("attacks", index, "region"), attack.region, expected


def _answering(study: Study, datasets: Mapping[str, DatasetCard], models: Mapping[str, ModelCard]) -> Iterator[_Said]:
    """Models that answer in words: what may be sent to whom, and whether there is anything to learn from."""
    for index, run in enumerate(study.runs):
        parts = named_parts(run)
        model, only = models.get(parts["model"] or ""), None if parts["strategy"] else parts["trainset"]
        if isinstance(model, Generator) and only is not None and only in datasets:
            if not isinstance(datasets[only], GenerationCard):
                yield ("runs", index), repr(run), f"@ followed by a data set that {model.name} can be asked about"
            elif run.replace(f"@{only}", "") in study.runs:
                yield ("runs", index), repr(run), f"only one of {run} and the run without @{only}, which asks all"
        asked = [card for card in datasets.values() if isinstance(card, GenerationCard) and only in (None, card.name)]
        forbidden = [card.name for card in asked if card.third_party_api == "forbidden"]
        untrained = [one.name for one in asked if one.split.by == "fraction" and one.split.val + one.split.test >= 1]
        if isinstance(model, OpenAiApi | GeminiApi) and model.third_party and forbidden:
            cards = ", ".join(forbidden)
            expected = (
                f"a model on a server of your own: {model.name} runs on somebody else's, and {cards} must not be sent "
                "there. Where the terms of the data permit it, write `third_party_api: allowed` in the data set's card"
            )
            expected += "" if only else f"; {model.name}@ followed by a data set asks about that one alone"
            yield ("runs", index), repr(run), expected
        if isinstance(model, MajorityAnswer) and untrained:
            expected = f"data sets with a train split, which {model.name} learns from; none in: {', '.join(untrained)}"
            yield ("runs", index), repr(run), expected
