"""What is wrong with a YAML file, so that a person can repair it: file, line, key, found, expected, did you mean."""

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from medstress.errors import MedstressError

Key = tuple[str | int, ...]

_WRAPPERS = (Annotated, Union, UnionType)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in one file."""

    file: str
    key: str
    found: str
    expected: str
    hint: str = ""
    line: int | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        text = f"{place}: {self.key or '(top level)'}\n    found:    {self.found}\n    expected: {self.expected}"
        return text + (f"\n    did you mean {self.hint}?" if self.hint else "")


class ConfigError(MedstressError):
    """Every problem of a configuration at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''} in the configuration"
        super().__init__("\n".join([count, *(str(problem) for problem in problems)]))


class _Loader(yaml.SafeLoader):
    """Safe YAML in which a key given twice is an error: the first value would be lost in silence."""


def _mapping_without_duplicates(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is given twice", key_node.start_mark)
        seen.add(key)
    return dict(loader.construct_mapping(node, deep=True))


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping_without_duplicates)


def read_yaml(path: Path) -> Any:
    """The content of a YAML file. Raises ConfigError where it is missing, unreadable or broken."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError([Problem(str(path), "", "no such file", "a YAML file")]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(str(path), "", str(error), "a readable YAML file in UTF-8")]) from None
    try:
        return yaml.load(text, _Loader)  # noqa: S506  (a SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise ConfigError([Problem(str(path), "", error.problem or "broken YAML", "valid YAML", line=line)]) from None
    except yaml.YAMLError as error:
        raise ConfigError([Problem(str(path), "", str(error).splitlines()[0], "valid YAML")]) from None


def line_of(path: Path, key: Key) -> int | None:
    """The line of a key, or of the nearest part of it that the file has."""
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)
    except (OSError, ValueError, yaml.YAMLError):
        return None
    line = None
    for part in key:
        child = None
        if isinstance(node, yaml.MappingNode):
            for name, value in node.value:
                if str(name.value) == str(part):
                    line, child = name.start_mark.line + 1, value
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            child = node.value[part]
            line = child.start_mark.line + 1
        if child is None:
            break
        node = child
    return line


def closest(word: str, choices: Sequence[str]) -> str:
    """The choice that looks most like a word, or nothing."""
    return next(iter(difflib.get_close_matches(word, list(choices), n=1, cutoff=0.5)), "")


def _members(kind: Any) -> list[type[BaseModel]]:
    """The models that an annotation allows, with Annotated and None taken off."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [kind]
    return [member for part in get_args(kind) for member in _members(part)] if get_origin(kind) in _WRAPPERS else []


def _walk(kind: Any, location: Key) -> tuple[Key, list[str]]:
    """The key in the file behind a location of pydantic's, and the keys that its neighbours may have.

    Tags of discriminated unions are part of pydantic's location, but not of the file.
    """
    key: list[str | int] = []
    current, siblings = kind, list[str]()
    for part in location:
        members = _members(current)
        if len(members) > 1:
            tagged = [
                item for item in members if any(part in get_args(f.annotation) for f in item.model_fields.values())
            ]
            current = tagged[0] if tagged else None
            continue
        key.append(part)
        siblings = list(members[0].model_fields) if members else []
        if members:
            field = members[0].model_fields.get(str(part))
            current = field.annotation if field else None
        else:
            current = get_args(current)[-1] if get_args(current) else None
    return tuple(key), siblings


def short(value: Any) -> str:
    """A value as people read it in a message, at most 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def problems_of(error: ValidationError, kind: Any, path: Path) -> Iterator[Problem]:
    """The problems behind a pydantic error; `kind` is the model, or union of models, that was asked for."""
    for item in error.errors(include_url=False):
        key, known = _walk(kind, item["loc"])
        found, expected, hint = short(item["input"]), item["msg"], ""
        context = item.get("ctx", {})
        match item["type"]:
            case "extra_forbidden":
                found, expected = f"unknown key {str(key[-1])!r}", f"one of {', '.join(known)}"
                hint = closest(str(key[-1]), known)
            case "missing":
                found, expected = "nothing", "this key, which is required"
            case "literal_error":
                expected = f"one of {context['expected']}"
                hint = closest(str(item["input"]), re.findall(r"'([^']+)'", context["expected"]))
            case "union_tag_invalid":
                key = (*key, context["discriminator"].strip("'"))
                found, expected = repr(context["tag"]), f"one of {context['expected_tags']}"
                hint = closest(str(context["tag"]), re.findall(r"'([^']+)'", context["expected_tags"]))
            case "union_tag_not_found":
                expected = f"the key {context['discriminator']}"
            case "value_error":
                expected = str(context["error"])
        yield Problem(str(path), ".".join(str(part) for part in key), found, expected, hint, line_of(path, key))
