"""A validated study with its cards, and the slices of it that stages depend on."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import cast

from medstress.cards.dataset import DatasetCard
from medstress.cards.model import Learned, ModelCard
from medstress.cards.strategy import Strategy
from medstress.config import BANDS, Perturbations, Study
from medstress.fetch.plan import dataset_folder, dataset_paths, weights_folder, weights_path, weights_sums
from medstress.names import TypeName
from medstress.perturb.catalogue import types_of
from medstress.perturb.registry import PERTURBATIONS
from medstress.perturb.scales.registry import SCALES
from medstress.runs import Run, expand, family_of
from medstress.specs import (
    AttackSpec,
    FetchSpec,
    FinetuneSpec,
    PerturbSpec,
    PredictSpec,
    PrepareSpec,
    ScoreSpec,
    SeveritySpec,
    TableSpec,
)


def severity_of(asked: Perturbations, dataset: str) -> SeveritySpec:
    """How levels become strengths on one data set of a study.

    A scale that differs by data set knows some by name; for the others the study's `variants` say what they count as.
    """
    known = asked.scale != "ssim" and dataset in SCALES[asked.scale].variants
    return SeveritySpec(
        scale=asked.scale,
        compat=asked.compat,
        variant=asked.variants.get(dataset, dataset if known else ""),
        bands=asked.bands,
        multipliers=asked.multipliers,
    )


@dataclass(frozen=True)
class Project:
    """A validated study with the cards it names."""

    study: Study
    datasets: Mapping[str, DatasetCard]
    models: Mapping[str, ModelCard]
    strategies: Mapping[str, Strategy]

    @cached_property
    def runs(self) -> dict[str, Run]:
        """The study's runs by name, one for each training set and seed of a strategy."""
        return {run.name: run for run in expand(self.study, self.strategies)}

    def model_of(self, run: str) -> ModelCard:
        """The model card of a run."""
        return self.models[self.runs[run].model]

    def scored_on(self, run: str) -> list[str]:
        """The data sets that a run is scored on: its training set, or all of them where it has none."""
        trainset = self.runs[run].trainset
        return [dataset for dataset in self.study.datasets if trainset in (None, dataset)]

    def prepare_spec(self, dataset: str) -> PrepareSpec:
        """The part of the configuration that prepare_dataset depends on."""
        # What only describes the data is left out: a corrected licence must not redo the study.
        unused = {"title": "", "licence": "", "reference": "", "download": []}
        card = self.datasets[dataset].model_copy(update=unused)
        return PrepareSpec(card=card, limit=self.study.limit)

    @property
    def fetched_datasets(self) -> dict[str, str]:
        """The data sets whose files rule fetch_dataset brings, and the folder of each."""
        folders = {name: dataset_folder(card) for name, card in self.datasets.items()}
        return {name: folder for name, folder in folders.items() if folder is not None}

    @property
    def fetched_weights(self) -> dict[str, str]:
        """The models whose weights rule fetch_weights brings, and the folder of each."""
        folders = {name: weights_folder(card) for name, card in self.models.items()}
        return {name: folder for name, folder in folders.items() if folder is not None}

    def fetch_dataset_spec(self, dataset: str) -> FetchSpec:
        """The part of the configuration that fetch_dataset depends on."""
        card, folder = self.datasets[dataset], self.fetched_datasets[dataset]
        return FetchSpec(name=dataset, downloads=card.download, folder=folder, wanted=dataset_paths(card))

    def fetch_weights_spec(self, folder: str) -> FetchSpec:
        """The part of the configuration that fetch_weights depends on; models may share a folder of weights."""
        name = next(name for name, place in self.fetched_weights.items() if place == folder)
        card = self.models[name]
        assert isinstance(card, Learned)
        assert card.download is not None
        return FetchSpec(
            name=PurePosixPath(folder).name,
            downloads=[card.download],
            folder=folder,
            wanted=[weights_path(card)],
            sha256=weights_sums(card),
        )

    def perturb_spec(self, dataset: str, perturbation: str) -> PerturbSpec:
        """The part of the configuration that perturb depends on."""
        card = self.datasets[dataset]
        return PerturbSpec(
            dataset=dataset,
            modality=card.modality,
            perturbation=cast(TypeName, perturbation),
            levels=self.study.perturbations.levels,
            split=self.study.split,
            background=card.background,
            window=card.window,
            severity=self._severity_of(dataset, perturbation),
        )

    def _severity_of(self, dataset: str, perturbation: str) -> SeveritySpec:
        """Without what the type does not depend on, so that changing it does not redo the type."""
        severity = severity_of(self.study.perturbations, dataset)
        unused = {"bands": BANDS} if self._is_fixed(perturbation) else {"multipliers": {}}
        return severity.model_copy(update=unused)

    def perturbations_on(self, dataset: str) -> list[str]:
        """The types that are made for a data set: those that fit its modality and that its scale has."""
        asked = self.study.perturbations
        kinds = types_of(severity_of(asked, dataset))
        modality = self.datasets[dataset].modality
        return [name for name in asked.types if name in kinds and kinds[name].fits(modality)]

    def finetune_spec(self, name: str) -> FinetuneSpec:
        """The part of the configuration that finetune depends on."""
        run = self.runs[name]
        assert run.strategy is not None
        assert run.trainset is not None
        assert run.seed is not None
        model = self.models[run.model]
        assert isinstance(model, Learned)
        strategy, card = self.strategies[run.strategy], self.datasets[run.trainset]
        # What only names or schedules: a new title must not cost a training.
        model = model.model_copy(update={"title": "", "baseline": False, "gpu": 0, "download": None})
        strategy = strategy.model_copy(update={"title": ""})
        # What only perturbations need to know of the images.
        scene = {"background": card.background, "window": card.window} if strategy.augmentation else {}
        return FinetuneSpec(model=model, strategy=strategy, trainset=run.trainset, seed=run.seed, **scene)

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

    def attacked(self, run: str) -> bool:
        """Whether the study attacks a run: it has attacks, and the run's model has gradients."""
        return bool(self.study.attacks) and isinstance(self.model_of(run), Learned)

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
        )

    def transfer_sources(self) -> list[str]:
        """The runs whose adversarial images the others are shown: models as they are, without a strategy."""
        return [run for run in self.runs if self.study.transfer and self.attacked(run) and not self.runs[run].strategy]

    def transfer_inputs(self, name: str, dataset: str) -> list[str]:
        """The runs whose adversarial images of a data set a run is shown."""
        return [run for run in self.transfer_sources() if run != name and dataset in self.attacked_datasets]

    def score_spec(self, run: str, dataset: str) -> ScoreSpec:
        """The part of the configuration that score depends on."""
        made = self.attacked(run) and dataset in self.attacked_datasets
        attacks = [attack.name for attack in self.study.attacks] if made else []
        return ScoreSpec(
            run=run,
            seed=self.runs[run].seed or 0,
            dataset=dataset,
            split=self.study.split,
            scoring=self.study.scoring,
            unmoved=[*attacks, *(prompt.name for prompt in self.study.prompts)],
        )

    def table_spec(self) -> TableSpec:
        """The part of the configuration that tables and figures depend on."""
        study, runs = self.study, self.runs.values()
        families = {family_of(run.name): run for run in reversed(runs)}
        trainsets: dict[str, set[str | None]] = {family: set() for family in families}
        for run in runs:
            trainsets[family_of(run.name)].add(run.trainset)
        on = self._fitting()
        made = [name for name, fitting in on.items() if fitting]
        return TableSpec(
            study=study.study,
            datasets={name: self.datasets[name].title for name in study.datasets},
            split_units={name: self.datasets[name].split.unit for name in study.datasets},
            runs={family: self._title(run) for family, run in reversed(families.items())},
            scored_on={
                family: [one for one in study.datasets if one in trainsets[family]]
                for family, run in families.items()
                if run.strategy
            },
            baselines=[family for family, run in reversed(families.items()) if self.models[run.model].baseline],
            perturbations=made,
            fitting={name: fitting for name, fitting in on.items() if 0 < len(fitting) < len(study.datasets)},
            fixed=[name for name in made if self._is_fixed(name)],
            levels=sorted(study.perturbations.levels),
            attacks={attack.name: list(attack.epsilons) for attack in study.attacks},
            attacked=[family for family, run in reversed(families.items()) if self.attacked(run.name)],
            attacked_datasets=self.attacked_datasets,
            transfer=self.transfer_sources(),
            kept=[attack.name for attack in study.attacks if attack.keep_images],
            prompts={prompt.name: list(prompt.shares) for prompt in study.prompts},
            medical=[name for name in made if self._is_medical(name)],
            metrics=list(study.scoring.metrics),
            statistics=study.statistics,
        )

    def _fitting(self) -> dict[str, list[str]]:
        """The data sets that each type is made for."""
        on = {dataset: self.perturbations_on(dataset) for dataset in self.study.datasets}
        return {name: [one for one in on if name in on[one]] for name in self.study.perturbations.types}

    def _is_fixed(self, perturbation: str) -> bool:
        return self.study.perturbations.scale != "ssim" or PERTURBATIONS[perturbation].table is not None

    def _is_medical(self, perturbation: str) -> bool:
        """Whether a type belongs to modalities."""
        asked = self.study.perturbations
        kinds = (types_of(severity_of(asked, dataset)).get(perturbation) for dataset in self.study.datasets)
        return any(kind is not None and kind.modalities for kind in kinds)

    def _title(self, run: Run) -> str:
        title = self.models[run.model].title
        return f"{title} + {self.strategies[run.strategy].title}" if run.strategy else title
