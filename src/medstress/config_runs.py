"""What the run of a study should have been called, where its parts do not go together."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from medstress.cards.classifier import ImageText
from medstress.cards.generator import GeminiApi, MajorityAnswer, OpenAiApi
from medstress.cards.learned import Learned
from medstress.cards.model import Generator, ModelCard, tasks_of
from medstress.cards.segmenter import DeepLabV3, UNet
from medstress.cards.strategy import Full, ImageLora, Strategy, Vlm
from medstress.names import Task
from medstress.runs import NO_IMAGE, POOLED


def expected_of_run(
    match: re.Match[str], cards: Mapping[str, Mapping[str, Any]], datasets: Sequence[str], prompt_sets: Sequence[str]
) -> str:
    """What a run should have been; empty where its parts go together. Cards that could not be read are left out."""
    model: ModelCard | None = cards["models"].get(match["model"])
    strategy = cards["strategies"].get(match["strategy"])
    if not match["strategy"]:
        return _expected_without_strategy(match, model, datasets, prompt_sets) if model is not None else ""
    if isinstance(model, OpenAiApi | GeminiApi):
        return f"{match['model']} alone: it runs elsewhere, where no strategy can adapt it"
    if model is not None and not isinstance(model, Learned):
        return f"{match['model']} alone: it is training-free, so no strategy can adapt it"
    if strategy is None:
        return ""
    return (_misfit(strategy, tasks_of(model)) if model else "") or _expected_of_training(match, strategy, datasets)


def _expected_without_strategy(
    match: re.Match[str], model: ModelCard, datasets: Sequence[str], prompt_sets: Sequence[str]
) -> str:
    if isinstance(model, ImageText) and not match["trainset"]:
        known = match["variant"] is None or match["variant"] in prompt_sets
        return "" if known else f"~ followed by one of the study's prompt sets: {', '.join(prompt_sets)}"
    if isinstance(model, Generator):
        return _expected_of_generator(match, model, datasets)
    if match["trainset"] or match["variant"]:
        return f"{match['model']} alone: only a run with a strategy has a training set or a seed"
    if isinstance(model, UNet | DeepLabV3) and model.weights is None:
        return f"{match['model']}+ a strategy: its card has no weights, and drawn ones know nothing"
    return ""


def _expected_of_generator(match: re.Match[str], model: Generator, datasets: Sequence[str]) -> str:
    if match["trainset"] not in (None, *datasets):
        return f"@ followed by {', '.join(datasets)}, one of the study's data sets"
    if match["variant"] is None:
        return ""
    if isinstance(model, MajorityAnswer):
        return f"{match['model']} alone: only a run with a strategy has a seed, and it sees no image"
    known = match["variant"] == NO_IMAGE
    return "" if known else f"{match['model']}, or {match['model']}~{NO_IMAGE} for the same without the image"


def _expected_of_training(match: re.Match[str], strategy: Strategy, datasets: Sequence[str]) -> str:
    if match["variant"] and match["variant"] not in [f"seed{seed}" for seed in strategy.seeds]:
        return f"~seedN with N one of the strategy's seeds: {', '.join(map(str, strategy.seeds))}"
    known = [POOLED] if strategy.pooled else list(datasets)
    if match["trainset"] and match["trainset"] not in known:
        what = "for it trains on all its data sets at once" if strategy.pooled else "one of the study's data sets"
        return f"@ followed by {', '.join(known)}, {what}"
    if match["trainset"] in (None, POOLED) and not set(strategy.train_on) & set(datasets):
        return (
            f"one of {', '.join(strategy.train_on)}, which {match['strategy']} trains on, among the study's data sets"
        )
    return ""


def _misfit(strategy: Strategy, tasks: frozenset[Task]) -> str:
    """What a strategy should have been for a model's tasks."""
    if "vqa" in tasks:
        fits = isinstance(strategy, Vlm)
        return "" if fits else f"a strategy with a method such as vlm_lora: {strategy.method} is for other models"
    if isinstance(strategy, Vlm):
        return f"a run of a vision-language model on this machine: {strategy.method} adapts no others"
    if "classification" in tasks:
        fits = isinstance(strategy, Full | ImageLora)
        return "" if fits else f"a strategy with method full or image_lora: {strategy.method} adapts segmenters"
    if isinstance(strategy, ImageLora):
        return "a classifier's run: image_lora adapts the image encoders of classifiers"
    if strategy.few_shot or strategy.pooled:
        return "a strategy without few_shot and pooled, which are for classifiers"
    return ""
