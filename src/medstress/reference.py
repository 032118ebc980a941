"""What the configuration may say, for editors (JSON schema) and for people (the reference in config/README.md)."""

import inspect
from collections.abc import Iterator
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from medstress.cards.attack import Attack, PromptJitter
from medstress.cards.claim import Claim
from medstress.cards.classification import ClassFolders, ClassificationCard, CleanNpz, LabelSheet, MedImeta, MedMnist
from medstress.cards.dataset import DatasetCard
from medstress.cards.download import Download
from medstress.cards.generation import (
    GenerationCard,
    MeCoVqa,
    MimicCxrVqa,
    OmniMedVqa,
    Ovqa,
    QuestionSheet,
    RocoV2,
    Shift,
    Slake,
)
from medstress.cards.judge import Judge
from medstress.cards.model import ModelCard
from medstress.cards.prompts import PromptSet
from medstress.cards.segmentation import FolderSource, SegmentationCard, SheetSource, StackSource
from medstress.cards.strategy import Strategy
from medstress.config import Study

MARK = "<!-- From here on made by `medstress schema` from src/medstress/config.py and src/medstress/cards. -->"


def _members(union: Any) -> tuple[type[BaseModel], ...]:
    """The cards of a discriminated union."""
    return tuple(get_args(get_args(union)[0]))


def _tag(card: type[BaseModel], key: str) -> str:
    """What a card says under the key that tells it from the others of its union."""
    return str(get_args(card.model_fields[key].annotation)[0])


_SECTIONS: dict[str, type[BaseModel]] = {
    "A study: config/*.yaml": Study,
    "A set of prompts of a study, in `prompt_sets`": PromptSet,
    "A judge of a study, in `judges`": Judge,
    "A data set card: config/datasets/*.yaml, for segmentation": SegmentationCard,
    "`source` of a segmentation data set: a folder": FolderSource,
    "`source` of a segmentation data set: a sheet": SheetSource,
    "`source` of a segmentation data set: NPY stacks": StackSource,
    "A data set card: config/datasets/*.yaml, `task: classification`": ClassificationCard,
    "`source` of a classification data set: a sheet": LabelSheet,
    "`source` of a classification data set: a folder a class": ClassFolders,
    "`source` of a classification data set: MedMNIST": MedMnist,
    "`source` of a classification data set: MedIMeta": MedImeta,
    "`source` of a classification data set: RobustMedCLIP's layout": CleanNpz,
    "A data set card: config/datasets/*.yaml, `task: vqa`, `captioning` or `grounding`": GenerationCard,
    "`source` of a data set of questions: a sheet": QuestionSheet,
    "`source` of a data set of questions: OmniMedVQA": OmniMedVqa,
    "`source` of a data set of questions: ROCOv2": RocoV2,
    "`source` of a data set of questions: MeCoVQA": MeCoVqa,
    "`source` of a data set of questions: SLAKE": Slake,
    "`source` of a data set of questions: OVQA": Ovqa,
    "`source` of a data set of questions: MIMIC-CXR-VQA": MimicCxrVqa,
    "A shift in the data, in `shifts`": Shift,
    "`download` of a data set or model": Download,
    **{f"A model card: config/models/*.yaml, adapter {_tag(card, 'adapter')}": card for card in _members(ModelCard)},
    **{
        f"A strategy card: config/strategies/*.yaml, method {_tag(card, 'method')}": card for card in _members(Strategy)
    },
    "A claim of a publication: config/claims/*.yaml": Claim,
    "An attack of a study, in `attacks`": Attack,
    "A prompt that is not quite right, in `prompts`": PromptJitter,
}


def json_schema() -> dict[str, Any]:
    """The JSON schema of studies and cards, as committed in workflow/schemas/config.schema.json."""
    kinds: dict[str, Any] = {
        "study": Study,
        "dataset": DatasetCard,
        "model": ModelCard,
        "strategy": Strategy,
        "claim": Claim,
    }
    mode: Literal["validation"] = "validation"
    adapters = [(name, mode, TypeAdapter(kind)) for name, kind in kinds.items()]
    references, schema = TypeAdapter.json_schemas(adapters, title="medstress configuration")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["properties"] = {name: references[(name, mode)] for name in kinds}
    return schema


def key_reference() -> str:
    """Markdown tables of every key: what it takes, its default, what it means."""
    parts = []
    for title, model in _SECTIONS.items():
        rows = "\n".join(f"| `{key}` | {takes} | {default} | {text} |" for key, takes, default, text in _keys(model))
        head = "| key | takes | default | meaning |\n|---|---|---|---|"
        parts.append(f"## {title}\n\n{inspect.getdoc(model)}\n\n{head}\n{rows}\n")
    return "\n".join(parts)


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    for name, field in model.model_fields.items():
        members = [item for item in _unwrapped(field.annotation) if _is_model(item)]
        if len(members) == 1:
            yield from _keys(members[0], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _takes(field), _default(field), field.description or _HINTS.get(name, "")


# Longer lists of names are left to the description, which says where they are.
_MOST_NAMES = 20
# Keys whose meaning is the same wherever they stand.
_HINTS = {
    "name": "Like the file's name.",
    "title": "The name people read in tables.",
    "adapter": "The code that runs the model.",
    "modality": "What kind of image it is.",
    "source": "Where the files are: see below.",
    "format": "The kind of source.",
    "task": "What is asked.",
    "types": "Perturbations, by the names that `medstress list` prints.",
    "levels": "Severity levels.",
    "metrics": "intersection over union, Dice, 95 % Hausdorff distance in pixels, normalised surface Dice.",
    "baseline": "Marked as a sanity baseline in tables.",
    "confidence": "Confidence of intervals.",
    "tables": "Tables to make.",
    "figures": "Figures to draw.",
    "method": "What is trained.",
    "learning_rate": "Step size of the optimiser.",
    "steps": "Optimiser steps.",
    "seeds": "One run a seed; tables show mean and spread.",
}


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _unwrapped(kind: Any) -> list[Any]:
    """The alternatives of an annotation."""
    if get_origin(kind) is Annotated:
        return _unwrapped(get_args(kind)[0])
    if get_origin(kind) in (None, list, tuple, dict, Literal):
        return [kind]
    return [part for item in get_args(kind) for part in _unwrapped(item)]


def _takes(field: FieldInfo) -> str:
    return " or ".join(dict.fromkeys(_type_name(item) for item in _unwrapped(field.annotation) if item is not NoneType))


def _type_name(kind: Any) -> str:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments) if len(arguments) <= _MOST_NAMES else "text"
    if origin is Annotated:
        return _type_name(arguments[0])
    if origin is list:
        return "list of blocks" if _is_model(arguments[0]) else f"list of {_type_name(arguments[0])}"
    if origin is tuple:
        return f"[{', '.join(_type_name(item) for item in arguments)}]"
    if origin is dict:
        return f"{_type_name(arguments[0])} to {_type_name(arguments[1])}"
    return (
        "a block"
        if _is_model(kind)
        else {int: "whole number", float: "number", str: "text", bool: "`true`, `false`"}[kind]
    )


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, dict) and value:
        return ", ".join(f"`{key}: {list(item)}`" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(f"`{getattr(item, 'name', item)}`" for item in value) or "none"
    shown = str(value).lower() if isinstance(value, bool) else str(value).replace("\n", "\\n")  # one line of a table
    return "none" if value in (None, "", {}) else f"`{shown}`"
