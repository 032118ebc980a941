"""Reads a study and its cards from YAML and reports everything that is wrong with them at once."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from medstress.config import (
    RUN_PATTERN,
    DatasetCard,
    ModelCard,
    PerturbationName,
    PerturbSpec,
    PredictSpec,
    PrepareSpec,
    ScoreSpec,
    Strategy,
    Study,
    TableSpec,
)
from medstress.problems import ConfigError, Key, Problem, closest, line_of, problems_of, read_yaml, short


@dataclass(frozen=True)
class Project:
    """A validated study with the cards it names."""

    study: Study
    datasets: Mapping[str, DatasetCard]
    models: Mapping[str, ModelCard]
    strategies: Mapping[str, Strategy]

    def model_of(self, run: str) -> ModelCard:
        """The model card of a run."""
        match = re.match(RUN_PATTERN, run)
        assert match is not None, run
        return self.models[match["model"]]

    def prepare_spec(self, dataset: str) -> PrepareSpec:
        """The part of the configuration that prepare_dataset depends on."""
        return PrepareSpec(card=self.datasets[dataset], limit=self.study.limit)

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

    def predict_spec(self, run: str, dataset: str) -> PredictSpec:
        """The part of the configuration that predict depends on."""
        return PredictSpec(
            run=run,
            model=self.model_of(run),
            dataset=dataset,
            split=self.study.split,
            prompt=self.study.perturbations.prompt,
            background=self.datasets[dataset].background,
        )

    def score_spec(self, run: str, dataset: str) -> ScoreSpec:
        """The part of the configuration that score depends on."""
        return ScoreSpec(run=run, dataset=dataset, split=self.study.split, scoring=self.study.scoring)

    def table_spec(self) -> TableSpec:
        """The part of the configuration that tables and figures depend on."""
        study = self.study
        return TableSpec(
            study=study.study,
            datasets={name: self.datasets[name].title for name in study.datasets},
            split_units={name: self.datasets[name].split.unit for name in study.datasets},
            runs={run: self.model_of(run).title for run in study.runs},
            baselines=[run for run in study.runs if self.model_of(run).baseline],
            perturbations=list(study.perturbations.types),
            levels=sorted(study.perturbations.levels),
            metrics=list(study.scoring.metrics),
            statistics=study.statistics,
        )


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


def _names_in(folder: str, roots: Sequence[Path]) -> list[str]:
    return sorted({path.stem for root in roots for path in (root / folder).glob("*.yaml")})


def load_project(source: Path, data: Mapping[str, Any] | None = None) -> Project:
    """The study at `source` with its cards, validated.

    `data` takes the place of the file's content where Snakemake has read and amended it (`--config limit=...`).
    Cards are looked up beside the study and then in config/. Raises ConfigError with every problem at once.
    """
    problems: list[Problem] = []
    raw = dict(data) if data is not None else read_yaml(source)
    roots = list(dict.fromkeys([source.parent, Path("config")]))
    study = _validate(Study, raw, source, problems)
    # Cards are checked even where the study is broken: all problems at once.
    wanted = raw if isinstance(raw, dict) else {}
    datasets = [name for name in wanted.get("datasets") or [] if isinstance(name, str)]
    runs = [run for run in wanted.get("runs") or [] if isinstance(run, str)]
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
        if match and match["strategy"] and match["model"] in cards["models"]:
            key = ("runs", index)
            expected = f"{match['model']} alone: it is training-free, so no strategy can adapt it"
            problems.append(Problem(str(source), f"runs.{index}", repr(run), expected, line=line_of(source, key)))
    if problems or study is None:
        raise ConfigError(problems)
    return Project(study, cards["datasets"], cards["models"], cards["strategies"])
