"""Reads a study and its cards from YAML and reports everything that is wrong with them at once."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from medstress.cards.claim import Claim
from medstress.cards.dataset import DatasetCard
from medstress.cards.model import ModelCard, has_gradients
from medstress.cards.strategy import Strategy
from medstress.config import BANDS, RUN_PATTERN, Perturbations, Study
from medstress.config_judges import judge_problems
from medstress.config_runs import expected_of_run
from medstress.config_tasks import task_problems, with_usual_outputs
from medstress.environment import pins_of
from medstress.perturb.catalogue import types_of
from medstress.perturb.levels import level_count
from medstress.perturb.scales.registry import SCALES
from medstress.problems import ConfigError, Key, Problem, closest, line_of, problems_of, read_yaml, short
from medstress.project import Project
from medstress.severities import fits, severity_of

_TABLES_OF_STRATEGIES = ("segmentation_strategies", "trainable_parameters")
_KEYS_OF_TABLES = {
    "segmentation_adversarial": "attacks",
    "segmentation_transfer": "transfer",
    "segmentation_prompts": "prompts",
}
"""What a study must have besides, for a table to have anything to show."""


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
            problems.extend(_environment_problems(path, card))
            cards[name] = card
    return cards


def _environment_problems(path: Path, card: Any) -> Iterator[Problem]:
    """An environment of a model's own that cannot be made, or that a job could not tell from another."""
    environment = getattr(card, "environment", None)
    if environment is None:
        return
    line = line_of(path, ("environment",))
    try:
        pins = pins_of(Path(environment))
    except ConfigError as error:
        found = f"{environment!r}: {error.problems[0].found}"
        yield Problem(str(path), "environment", found, "a conda environment file, relative to the project", line=line)
        return
    if not set(pins) - {"python"}:
        expected = "a file that pins packages under `pip`, such as transformers==4.37.2: a job checks that it has them"
        yield Problem(str(path), "environment", repr(environment), expected, line=line)


def _without_effect(asked: Perturbations) -> Iterator[tuple[str, str, str]]:
    """Key, value and what was expected, of settings that the scale would pass over in silence."""
    if asked.scale == "ssim" and asked.compat:
        yield "compat", "true", "a published `scale`: there is nothing else to be compatible with"
    if asked.scale != "ssim" and asked.bands != BANDS:
        yield "bands", "bands of SSIM", f"`scale: ssim`: the levels of {asked.scale} are fixed strengths"


def _perturbation_problems(source: Path, study: Study, cards: Mapping[str, DatasetCard]) -> Iterator[Problem]:
    """What does not go together in `perturbations`: types, scale, levels and the data sets."""
    asked = study.perturbations

    def problem(key: Key, found: object, expected: str) -> Problem:
        whole: Key = ("perturbations", *key)
        return Problem(str(source), ".".join(map(str, whole)), str(found), expected, line=line_of(source, whole))

    variants = {} if asked.scale == "ssim" else SCALES[asked.scale].variants
    for dataset, variant in asked.variants.items():
        if dataset not in study.datasets:
            yield problem(("variants", dataset), repr(dataset), f"one of {', '.join(study.datasets)}")
        elif variant not in variants:
            expected = f"one of {', '.join(variants)}" if len(variants) > 1 else f"no variants: {asked.scale} has none"
            yield problem(("variants", dataset), repr(variant), expected)
    if len(variants) > 1:
        for dataset in study.datasets:
            if dataset not in asked.variants and dataset not in variants:
                expected = f"{asked.scale} differs by data set: {dataset}: one of {', '.join(variants)}"
                yield problem(("variants",), f"nothing for {dataset}", expected)
    for key, found, expected in _without_effect(asked):
        yield problem((key,), found, expected)
    severities = {dataset: severity_of(asked, dataset) for dataset in cards}
    kinds = {name: types_of(one) for name, one in severities.items() if one.variant in (variants or [""])}
    every = {name: kind for known in kinds.values() for name, kind in known.items()}
    for index, name in enumerate(asked.types if kinds else []):
        if name not in every:
            expected = f"a type of the scale {asked.scale}: {', '.join(every)}"
            yield problem(("types", index), repr(name), expected)
            continue
        fitting = any(name in kinds[one] and fits(kinds[one][name], cards[one]) for one in kinds)
        if not fitting and asked.unfitting == "error":
            suits = ", ".join(sorted(every[name].modalities)) or "other data sets of the scale"
            have = ", ".join(f"{one} ({cards[one].modality})" for one in kinds)
            yield problem(("types", index), repr(name), f"a type that fits one of {have}; {name} is for {suits}")
        for place, level in enumerate(asked.levels):
            if level > level_count(every[name]):
                expected = f"1 to {level_count(every[name])}: {name} has no more levels on the scale {asked.scale}"
                yield problem(("levels", place), level, expected)


def _attack_problems(source: Path, study: Study, models: Mapping[str, ModelCard]) -> Iterator[Problem]:
    """Attacks without a run to attack, and tables without what they tell of."""
    for index, dataset in enumerate(study.attacked_datasets):
        if dataset not in study.datasets:
            place: Key = ("attacked_datasets", index)
            expected = f"one of the study's data sets: {', '.join(study.datasets)}"
            hint = closest(dataset, study.datasets)
            yield Problem(str(source), ".".join(map(str, place)), repr(dataset), expected, hint, line_of(source, place))
    if study.attacks and models and not any(map(has_gradients, models.values())):
        expected = "a run of a model with weights that segments or classifies: no other has gradients to attack it with"
        yield Problem(str(source), "attacks", "no run with gradients", expected, line=line_of(source, ("attacks",)))
    for index, table in enumerate(study.tables):
        key = _KEYS_OF_TABLES.get(table)
        if key and not getattr(study, key):
            expected = f"a study with `{key}`, which the table tells of"
            line = line_of(source, ("tables", index))
            yield Problem(str(source), f"tables.{index}", repr(table), expected, line=line)


def _split_problems(source: Path, study: Study, strategies: Mapping[str, Strategy]) -> Iterator[Problem]:
    """Adapted runs on images that they were trained or chosen on."""
    if study.split != "test" and strategies:
        expected = "test: a run has a strategy, which is trained on train and chosen on val"
        yield Problem(str(source), "split", repr(study.split), expected, line=line_of(source, ("split",)))


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _blocks(value: Any) -> list[Mapping[str, Any]]:
    return [item if isinstance(item, dict) else {} for item in value] if isinstance(value, list) else []


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
    judges = [(index, block.get("model")) for index, block in enumerate(_blocks(wanted.get("judges")))]
    asked = list(dict.fromkeys(match["model"] for _, _, match in parsed if match))
    models = list(dict.fromkeys([*asked, *(model for _, model in judges if isinstance(model, str))]))
    strategies = list(dict.fromkeys(match["strategy"] for _, _, match in parsed if match and match["strategy"]))

    known = {folder: _names_in(folder, roots) for folder in ("datasets", "models", "strategies", "claims")}
    named: list[tuple[str, Key, str]] = [("datasets", ("datasets", i), name) for i, name in enumerate(datasets)]
    named += [("models", ("runs", i), match["model"]) for i, _, match in parsed if match]
    named += [("models", ("judges", i, "model"), model) for i, model in judges if isinstance(model, str)]
    named += [("strategies", ("runs", i), match["strategy"]) for i, _, match in parsed if match and match["strategy"]]
    named += [("claims", ("claims", i), name) for i, name in enumerate(_texts(wanted.get("claims")))]
    for folder, key, name in named:
        if name not in known[folder]:
            expected = (
                f"a card in {' or '.join(str(root / folder) for root in roots)}: {', '.join(known[folder]) or 'none'}"
            )
            hint = closest(name, known[folder])
            dotted = ".".join(map(str, key))
            problems.append(Problem(str(source), dotted, repr(name), expected, hint, line_of(source, key)))

    claims = study.claims if study is not None and study.claims is not None else known["claims"]
    cards = {
        "claims": _read_cards("claims", claims, Claim, roots, problems),
        "datasets": _read_cards("datasets", datasets, DatasetCard, roots, problems),
        "models": _read_cards("models", models, ModelCard, roots, problems),
        "strategies": _read_cards("strategies", strategies, Strategy, roots, problems),
    }
    prompt_sets = [one.name for one in study.prompt_sets] if study is not None else []
    for index, run, match in parsed:
        if match and study is not None:
            expected = expected_of_run(match, cards, datasets, prompt_sets)
            if expected:
                line = line_of(source, ("runs", index))
                problems.append(Problem(str(source), f"runs.{index}", repr(run), expected, line=line))
    adapting = [table for table in _texts(wanted.get("tables")) if table in _TABLES_OF_STRATEGIES]
    if adapting and not any(match and match["strategy"] for _, _, match in parsed):
        expected = f"a study in which a run has a strategy: {' and '.join(adapting)} compare strategies"
        problems.append(
            Problem(str(source), "tables", "no run with a strategy", expected, line=line_of(source, ("tables",)))
        )
    if study is not None:
        study = with_usual_outputs(study, cards["datasets"])
        in_runs = {name: card for name, card in cards["models"].items() if name in asked}
        problems += _attack_problems(source, study, in_runs)
        problems += _split_problems(source, study, cards["strategies"])
        problems += task_problems(source, study, cards["datasets"], in_runs, cards["strategies"])
        problems += judge_problems(source, study, cards["datasets"], cards["models"])
    if study is not None and set(cards["datasets"]) == set(study.datasets):
        problems += _perturbation_problems(source, study, cards["datasets"])
    if problems or study is None:
        raise ConfigError(problems)
    about = {card.task for card in cards["datasets"].values()}
    # A study that names its claims wants all of them, and is told what it lacks.
    claims_of = {
        name: claim for name, claim in cards["claims"].items() if study.claims is not None or claim.test.task in about
    }
    return Project(study, cards["datasets"], cards["models"], cards["strategies"], claims_of)
