"""A validated study with its cards, and the slices of it that stages depend on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from medstress.cards.dataset import DatasetCard
from medstress.cards.model import Learned, ModelCard
from medstress.cards.strategy import Strategy
from medstress.config import BANDS, Perturbations, Study
from medstress.names import TypeName
from medstress.perturb.catalogue import types_of
from medstress.perturb.registry import PERTURBATIONS
from medstress.perturb.scales.registry import SCALES
from medstress.runs import Run, expand, family_of
from medstress.specs import (
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

    @property
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
        card = self.datasets[dataset].model_copy(update={"title": "", "licence": "", "reference": ""})
        return PrepareSpec(card=card, limit=self.study.limit)

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
        return FinetuneSpec(model=model, strategy=self.strategies[run.strategy], trainset=run.trainset, seed=run.seed)

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
        )

    def score_spec(self, run: str, dataset: str) -> ScoreSpec:
        """The part of the configuration that score depends on."""
        seed = self.runs[run].seed or 0
        return ScoreSpec(run=run, seed=seed, dataset=dataset, split=self.study.split, scoring=self.study.scoring)

    def table_spec(self) -> TableSpec:
        """The part of the configuration that tables and figures depend on."""
        study, runs = self.study, self.runs.values()
        families = {family_of(run.name): run for run in reversed(runs)}
        return TableSpec(
            study=study.study,
            datasets={name: self.datasets[name].title for name in study.datasets},
            split_units={name: self.datasets[name].split.unit for name in study.datasets},
            runs={family: self._title(run) for family, run in reversed(families.items())},
            scored_on={
                family: [
                    one
                    for one in study.datasets
                    if one in {run.trainset for run in runs if family_of(run.name) == family}
                ]
                for family, run in families.items()
                if run.strategy
            },
            baselines=[family for family, run in reversed(families.items()) if self.models[run.model].baseline],
            perturbations=list(study.perturbations.types),
            fitting=self._fitting(),
            fixed=[name for name in study.perturbations.types if self._is_fixed(name)],
            levels=sorted(study.perturbations.levels),
            metrics=list(study.scoring.metrics),
            statistics=study.statistics,
        )

    def _fitting(self) -> dict[str, list[str]]:
        on = {dataset: self.perturbations_on(dataset) for dataset in self.study.datasets}
        fitting = {name: [one for one in on if name in on[one]] for name in self.study.perturbations.types}
        return {name: datasets for name, datasets in fitting.items() if len(datasets) < len(on)}

    def _is_fixed(self, perturbation: str) -> bool:
        return self.study.perturbations.scale != "ssim" or PERTURBATIONS[perturbation].table is not None

    def _title(self, run: Run) -> str:
        title = self.models[run.model].title
        return f"{title} + {self.strategies[run.strategy].title}" if run.strategy else title
