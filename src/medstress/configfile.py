"""Reads a study and its cards from YAML and reports everything that is wrong with them at once."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from medstress.config import RUN_PATTERN, DatasetCard, ModelCard, Sam, Strategy, Study
from medstress.names import PerturbationName
from medstress.problems import ConfigError, Key, Problem, closest, line_of, problems_of, read_yaml, short
from medstress.runs import Run, expand, family_of
from medstress.specs import (
    FinetuneSpec,
    PerturbSpec,
    PredictSpec,
    PrepareSpec,
    ScoreSpec,
    TableSpec,
)

_TABLES_OF_STRATEGIES = ("segmentation_strategies", "trainable_parameters")


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
            perturbation=cast(PerturbationName, perturbation),
            levels=self.study.perturbations.levels,
            split=self.study.split,
            background=card.background,
        )

    def finetune_spec(self, name: str) -> FinetuneSpec:
        """The part of the configuration that finetune depends on."""
        run = self.runs[name]
        assert run.strategy is not None
        assert run.trainset is not None
        assert run.seed is not None
        model = self.models[run.model]
        assert isinstance(model, Sam)
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
            levels=sorted(study.perturbations.levels),
            metrics=list(study.scoring.metrics),
            statistics=study.statistics,
        )

    def _title(self, run: Run) -> str:
        title = self.models[run.model].title
        return f"{title} + {self.strategies[run.strategy].title}" if run.strategy else title


def _validate(kind: Any, data: Any, path: Path, problems: list[Problem]) -> Any:
    if not isinstance(data, dict):
        problems.append(Problem(str(path), "", short(data), "keys and values"))
        return None
    try:
        return TypeAdapter(kind).validate_python(data)
    except ValidationError as error:
        problems.extend(problems_of(error, kind, path))
        return None


def _read_cards(
    folder: str, names: Sequence[str], kind: Any, roots: Sequence[Path], problems: list[Problem]
) -> dict[str, Any]:
    cards = {}
    for name in names:
        paths = [root / folder / f"{name}.yaml" for root in roots]
        path = next((candidate for candidate in paths if candidate.is_file()), None)
        if path is None:
            continue  # reported where the study names it
        try:
            data = read_yaml(path)
        except ConfigError as error:
            problems.extend(error.problems)
            continue
        card = _validate(kind, data, path, problems)
        if card is not None:
            if card.name != name:
                problems.append(
                    Problem(
                        str(path), "name", repr(card.name), f"{name!r}, like the file", line=line_of(path, ("name",))
                    )
                )
            cards[name] = card
    return cards


def _expected_of_run(match: re.Match[str], cards: Mapping[str, Mapping[str, Any]], datasets: Sequence[str]) -> str:
    """What a run should have been, where its parts do not go together; empty where they do."""
    model, strategy = cards["models"].get(match["model"]), cards["strategies"].get(match["strategy"])
    if not match["strategy"] and (match["trainset"] or match["variant"]):
        return f"{match['model']} alone: only a run with a strategy has a training set or a seed"
    if match["strategy"] and model is not None and not isinstance(model, Sam):
        return f"{match['model']} alone: it is training-free, so no strategy can adapt it"
    return _expected_of_training(match, strategy, datasets) if strategy is not None else ""


def _expected_of_training(match: re.Match[str], strategy: Strategy, datasets: Sequence[str]) -> str:
    if match["variant"] and match["variant"] not in [f"seed{seed}" for seed in strategy.seeds]:
        return f"~seedN with N one of the strategy's seeds: {', '.join(map(str, strategy.seeds))}"
    if match["trainset"] and match["trainset"] not in datasets:
        return f"@ followed by one of the study's data sets: {', '.join(datasets)}"
    if not match["trainset"] and not set(strategy.train_on) & set(datasets):
        return (
            f"one of {', '.join(strategy.train_on)}, which {match['strategy']} trains on, among the study's data sets"
        )
    return ""


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _names_in(folder: str, roots: Sequence[Path]) -> list[str]:
    return sorted({path.stem for root in roots for path in (root / folder).glob("*.yaml")})


def load_project(source: Path, data: Mapping[str, Any] | None = None) -> Project:
    """The study at `source` with its cards, validated.

    `data` takes the place of the file's content where Snakemake has read and amended it (`--config limit=...`).
    Cards are looked up beside the study and then in config/. Raises ConfigError with every problem at once.
    """
    problems: list[Problem] = []
    # The file is read in any case: Snakemake's own reader lets a key stand twice and keeps the last.
    written = read_yaml(source)
    raw = dict(data) if data is not None else written
    roots = list(dict.fromkeys([source.parent, Path("config")]))
    study = _validate(Study, raw, source, problems)
    # Cards are checked even where the study is broken: all problems at once.
    wanted = raw if isinstance(raw, dict) else {}
    datasets, runs = (_texts(wanted.get(key)) for key in ("datasets", "runs"))
    parsed = [(index, run, re.match(RUN_PATTERN, run)) for index, run in enumerate(runs)]
    models = list(dict.fromkeys(match["model"] for _, _, match in parsed if match))
    strategies = list(dict.fromkeys(match["strategy"] for _, _, match in parsed if match and match["strategy"]))

    known = {folder: _names_in(folder, roots) for folder in ("datasets", "models", "strategies")}
    named: list[tuple[str, Key, str]] = [("datasets", ("datasets", i), name) for i, name in enumerate(datasets)]
    named += [("models", ("runs", i), match["model"]) for i, _, match in parsed if match]
    named += [("strategies", ("runs", i), match["strategy"]) for i, _, match in parsed if match and match["strategy"]]
    for folder, key, name in named:
        if name not in known[folder]:
            expected = (
                f"a card in {' or '.join(str(root / folder) for root in roots)}: {', '.join(known[folder]) or 'none'}"
            )
            hint = closest(name, known[folder])
            dotted = ".".join(map(str, key))
            problems.append(Problem(str(source), dotted, repr(name), expected, hint, line_of(source, key)))

    cards = {
        "datasets": _read_cards("datasets", datasets, DatasetCard, roots, problems),
        "models": _read_cards("models", models, ModelCard, roots, problems),
        "strategies": _read_cards("strategies", strategies, Strategy, roots, problems),
    }
    for index, run, match in parsed:
        if match:
            expected = _expected_of_run(match, cards, datasets)
            if expected:
                line = line_of(source, ("runs", index))
                problems.append(Problem(str(source), f"runs.{index}", repr(run), expected, line=line))
    adapting = [table for table in _texts(wanted.get("tables")) if table in _TABLES_OF_STRATEGIES]
    if adapting and not any(match and match["strategy"] for _, _, match in parsed):
        expected = f"a study in which a run has a strategy: {' and '.join(adapting)} compare strategies"
        problems.append(
            Problem(str(source), "tables", "no run with a strategy", expected, line=line_of(source, ("tables",)))
        )
    if problems or study is None:
        raise ConfigError(problems)
    return Project(study, cards["datasets"], cards["models"], cards["strategies"])
