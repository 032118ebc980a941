"""A validated study with its cards, and the slices of it that stages depend on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar, cast

from medstress.cards.claim import Claim
from medstress.cards.classification import ClassificationCard
from medstress.cards.classifier import ImageClassifier, ImageText
from medstress.cards.dataset import DatasetCard
from medstress.cards.generation import GenerationCard, Shift
from medstress.cards.learned import Learned
from medstress.cards.local_vlm import LocalVlm
from medstress.cards.model import ModelCard, has_gradients, tasks_of
from medstress.cards.strategy import Strategy, Vlm
from medstress.class_texts import class_texts
from medstress.config import BANDS, Scoring, Study
from medstress.names import Task, TypeName
from medstress.perturb.catalogue import types_of
from medstress.perturb.registry import PERTURBATIONS
from medstress.runs import POOLED, Run, expand
from medstress.severities import fits, severity_of
from medstress.specs import (
    AttackSpec,
    ClassTexts,
    CorruptedSpec,
    FinetuneSpec,
    PerturbSpec,
    PredictSpec,
    PrepareSpec,
    ScoreSpec,
    SeveritySpec,
)

Embedding = ImageText | ImageClassifier
L = TypeVar("L", bound=Learned)


def unnamed(model: L) -> L:
    """A model's card without what only names or schedules it: a new title must not cost a training."""
    # GPUs are what a vision-language model spreads its layers over.
    scheduled = {} if isinstance(model, LocalVlm) else {"gpu": 0}
    return model.model_copy(update={"title": "", "baseline": False, "stand_in": False, "download": [], **scheduled})


@dataclass(frozen=True)
class Project:
    """A validated study with the cards it names."""

    study: Study
    datasets: Mapping[str, DatasetCard]
    models: Mapping[str, ModelCard]
    strategies: Mapping[str, Strategy]
    claims: Mapping[str, Claim] = field(default_factory=dict)

    @cached_property
    def runs(self) -> dict[str, Run]:
        """The study's runs by name, one for each training set and seed of a strategy."""
        return {run.name: run for run in expand(self.study, self.models, self.strategies)}

    def model_of(self, run: str) -> ModelCard:
        """The model card of a run."""
        return self.models[self.runs[run].model]

    def tasks_of(self, run: str) -> frozenset[Task]:
        """What a run can be asked."""
        return tasks_of(self.model_of(run))

    def trained_on(self, run: str) -> list[str]:
        """The data sets that a run is trained on."""
        named = self.runs[run]
        if named.strategy is None or named.trainset is None:
            return []
        if named.trainset != POOLED:
            return [named.trainset]
        return [one for one in self.study.datasets if one in self.strategies[named.strategy].train_on]

    def scored_on(self, run: str) -> list[str]:
        """The data sets of its tasks that a run is scored on: what it is trained on or asked about alone, or all."""
        alike = [one for one in self.study.datasets if self.datasets[one].task in self.tasks_of(run)]
        only = self.runs[run].only
        chosen = [only] if only else self.trained_on(run)
        return [one for one in alike if not chosen or one in chosen]

    def prepare_spec(self, dataset: str) -> PrepareSpec:
        """The part of the configuration that prepare_dataset depends on."""
        # What only describes the data is left out: a corrected licence must not redo the study.
        unused = {"title": "", "licence": "", "reference": "", "stand_in": False, "download": []}
        card = self.datasets[dataset].model_copy(update=unused)
        if not isinstance(card, ClassificationCard):
            return PrepareSpec(card=card, limit=self.study.limit)
        if card.corrupted is None:
            return PrepareSpec(card=card, limit=self.study.limit, split=self.study.split)
        files = {name: self._original_name(dataset, name) for name in self.perturbations_on(dataset)}
        levels = sorted(self.study.perturbations.levels)
        return PrepareSpec(card=card, limit=self.study.limit, corrupted=files, levels=levels, split=self.study.split)

    def reads_corrupted(self, dataset: str) -> bool:
        """Whether a data set's perturbed images lie on disk already."""
        return getattr(self.datasets[dataset], "corrupted", None) is not None

    def _original_name(self, dataset: str, perturbation: str) -> str:
        """What the files of a publication call a type."""
        kind = types_of(severity_of(self.study.perturbations, dataset))[perturbation]
        return str(getattr(kind, "original", perturbation))

    def perturb_spec(self, dataset: str, perturbation: str) -> PerturbSpec:
        """The part of the configuration that perturb depends on."""
        card = self.datasets[dataset]
        return PerturbSpec(
            dataset=dataset,
            modality=None if card.modality == "mixed" else card.modality,
            perturbation=cast(TypeName, perturbation),
            levels=self.study.perturbations.levels,
            split=self.study.split,
            background=card.background,
            window=card.window,
            severity=self._severity_of(dataset, perturbation),
            corrupted=self._corrupted_spec(dataset, perturbation),
        )

    def _corrupted_spec(self, dataset: str, perturbation: str) -> CorruptedSpec | None:
        card = self.datasets[dataset]
        if not isinstance(card, ClassificationCard) or card.corrupted is None:
            return None
        original = self._original_name(dataset, perturbation)
        return CorruptedSpec(source=card.corrupted, original=original, size=card.size, classes=len(card.classes.names))

    def _severity_of(self, dataset: str, perturbation: str) -> SeveritySpec:
        """Without what the type does not depend on, so that changing it does not redo the type."""
        severity = severity_of(self.study.perturbations, dataset)
        unused = {"bands": BANDS} if self.is_fixed(perturbation) else {"multipliers": {}}
        return severity.model_copy(update=unused)

    def perturbations_on(self, dataset: str) -> list[str]:
        """The types that are made for a data set: those that fit its modality and that its scale has."""
        asked = self.study.perturbations
        kinds = types_of(severity_of(asked, dataset))
        card = self.datasets[dataset]
        return [name for name in asked.types if name in kinds and fits(kinds[name], card)]

    def partial_on(self, dataset: str) -> list[str]:
        """The types that are made for some images of a data set alone: those of a modality, where it has several."""
        if self.datasets[dataset].modality != "mixed":
            return []
        kinds = types_of(severity_of(self.study.perturbations, dataset))
        return [name for name in self.perturbations_on(dataset) if kinds[name].modalities]

    def finetune_spec(self, name: str) -> FinetuneSpec:
        """The part of the configuration that finetune depends on."""
        run = self.runs[name]
        assert run.strategy is not None
        assert run.trainset is not None
        assert run.seed is not None
        model = self.models[run.model]
        assert isinstance(model, Learned)
        strategy, trained_on = self.strategies[run.strategy], self.trained_on(name)
        card = self.datasets[trained_on[0]]
        model = unnamed(model)
        strategy = strategy.model_copy(update={"title": ""})
        # What only perturbations need to know of the images.
        scene = {"background": card.background, "window": card.window} if strategy.augmentation else {}
        classifies = "classification" in self.tasks_of(name)
        texts = {dataset: self.texts_of(name, dataset) for dataset in trained_on} if classifies else {}
        spec = FinetuneSpec(model=model, strategy=strategy, trainset=run.trainset, seed=run.seed, texts=texts, **scene)
        if not isinstance(strategy, Vlm):
            return spec
        shift = next(iter(self.shifts_of(name, run.trainset)), None)
        return spec.model_copy(update={"question_prompts": self.study.question_prompts, "shift": shift})

    def texts_of(self, run: str, dataset: str) -> ClassTexts:
        """What a classifier is asked about a data set."""
        card, name = self.datasets[dataset], self.runs[run].prompts
        assert isinstance(card, ClassificationCard)
        return class_texts(card, next((one for one in self.study.prompt_sets if one.name == name), None))

    @property
    def encoders(self) -> dict[str, Run]:
        """The image encoders of the study's classifiers, each with the first of the runs that need its embeddings."""
        runs = [run for run in self.runs.values() if isinstance(self.models[run.model], Embedding)]
        return {run.encoder: run for run in reversed(runs)}

    @property
    def image_text_models(self) -> list[str]:
        """The study's models that are asked with texts."""
        return [name for name, card in self.models.items() if isinstance(card, ImageText)]

    def predict_spec(self, run: str, dataset: str) -> PredictSpec:
        """The part of the configuration that predict depends on."""
        strategy = self.runs[run].strategy
        return PredictSpec(
            run=run,
            model=self.model_of(run),
            strategy=self.strategies[strategy] if strategy else None,
            seed=self.runs[run].seed,
            dataset=dataset,
            split=self.study.split,
            prompt=self.study.perturbations.prompt,
            prompts=self.study.prompts,
            levels=sorted(self.study.perturbations.levels) if self.study.prompts else [],
        )

    def shifts_of(self, run: str, dataset: str) -> list[Shift]:
        """The shifts of a data set whose other side a run has not seen: of a trained run, that of its training."""
        card, strategy = self.datasets[dataset], self.runs[run].strategy
        if not isinstance(card, GenerationCard):
            return []
        trained = getattr(self.strategies[strategy], "shift", None) if strategy else None
        return [shift for shift in card.shifts if not strategy or shift.name == trained]

    def attacked(self, run: str) -> bool:
        """Whether the study attacks a run: it has attacks, and the run's model has gradients."""
        return bool(self.study.attacks) and has_gradients(self.model_of(run))

    @property
    def attacked_datasets(self) -> list[str]:
        """The data sets that attacks are made on."""
        asked = self.study.attacked_datasets or self.study.datasets
        return [dataset for dataset in self.study.datasets if self.study.attacks and dataset in asked]

    @property
    def keeps_images(self) -> bool:
        """Whether adversarial images are written."""
        return any(attack.keep_images for attack in self.study.attacks)

    def attack_spec(self, name: str, dataset: str) -> AttackSpec:
        """The part of the configuration that attack depends on."""
        run, model = self.runs[name], self.model_of(name)
        assert isinstance(model, Learned)
        return AttackSpec(
            run=name,
            model=model,
            strategy=self.strategies[run.strategy] if run.strategy else None,
            seed=run.seed,
            dataset=dataset,
            split=self.study.split,
            levels=sorted(self.study.perturbations.levels),
            attacks=self.study.attacks,
            texts=self.texts_of(name, dataset) if "classification" in self.tasks_of(name) else None,
        )

    def transfer_sources(self) -> list[str]:
        """The runs whose adversarial images the others are shown: models as they are, without a strategy."""
        return [run for run in self.runs if self.study.transfer and self.attacked(run) and not self.runs[run].strategy]

    def transfer_inputs(self, name: str, dataset: str) -> list[str]:
        """The runs whose adversarial images of a data set a run is shown."""
        return [
            run
            for run in self.transfer_sources()
            if run != name and dataset in self.attacked_datasets and dataset in self.scored_on(run)
        ]

    def score_spec(self, run: str, dataset: str) -> ScoreSpec:
        """The part of the configuration that score depends on."""
        made = self.attacked(run) and dataset in self.attacked_datasets
        attacks = [attack.name for attack in self.study.attacks] if made else []
        card = self.datasets[dataset]
        if isinstance(card, ClassificationCard):
            return ScoreSpec(
                task="classification",
                run=run,
                seed=self.runs[run].seed or 0,
                dataset=dataset,
                split=self.study.split,
                scoring=Scoring(),
                unmoved=attacks,
                classes=card.classes,
                classification=self.study.classification.model_copy(update={"normaliser": None}),
            )
        if isinstance(card, GenerationCard):
            seed, split, shifts = self.runs[run].seed or 0, self.study.split, self.shifts_of(run, dataset)
            return ScoreSpec(
                task=card.task,
                run=run,
                seed=seed,
                dataset=dataset,
                split=split,
                scoring=Scoring(),
                shifts=shifts,
                partial=self.partial_on(dataset),
            )
        return ScoreSpec(
            run=run,
            seed=self.runs[run].seed or 0,
            dataset=dataset,
            split=self.study.split,
            scoring=self.study.scoring,
            unmoved=[*attacks, *(prompt.name for prompt in self.study.prompts)],
        )

    def is_fixed(self, perturbation: str) -> bool:
        """Whether levels of a type are strengths of a table, and not bands of SSIM."""
        return self.study.perturbations.scale != "ssim" or PERTURBATIONS[perturbation].table is not None
