"""What is wrong with a YAML file, so that a person can repair it: file, line, key, found, expected, did you mean."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from medstress.errors import MedstressError

Key = tuple[str | int, ...]


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


def _keys_at(model: type[BaseModel], location: Key) -> list[str]:
    """The keys that the model at `location` knows."""
    current: Any = model
    for part in location:
        fields = getattr(current, "model_fields", None)
        if fields is not None and part in fields:
            current = fields[part].annotation
        candidates = [item for item in (current, *get_args(current)) if hasattr(item, "model_fields")]
        # A union is tagged by the discriminator in the location: pick the member that has that tag.
        tagged = [
            item
            for item in candidates
            if any(part in get_args(field.annotation) for field in item.model_fields.values())
        ]
        if tagged or candidates:
            current = (tagged or candidates)[0]
    return list(getattr(current, "model_fields", {}))


def short(value: Any) -> str:
    """A value as people read it in a message, at most 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def problems_of(error: ValidationError, model: Any, path: Path, data: Any) -> Iterator[Problem]:
    """The problems behind a pydantic error on the data of a file; `model` is the class that was asked for."""
    for item in error.errors(include_url=False):
        location: Key = item["loc"]
        # Tags of discriminated unions are part of pydantic's location, but not of the file.
        key: Key = tuple(part for index, part in enumerate(location) if not _is_tag(data, location, index))
        dotted = ".".join(str(part) for part in key)
        found, expected, hint = short(item["input"]), item["msg"], ""
        context = item.get("ctx", {})
        match item["type"]:
            case "extra_forbidden":
                known = _keys_at(model, location[:-1]) if isinstance(model, type) else []
                found, expected = (
                    f"unknown key {str(location[-1])!r}",
                    f"one of {', '.join(known)}" if known else item["msg"],
                )
                hint = closest(str(location[-1]), known)
            case "missing":
                found, expected = "nothing", "this key, which is required"
            case "literal_error" | "enum":
                expected = f"one of {context['expected']}"
                hint = closest(str(item["input"]), re.findall(r"'([^']+)'", str(context["expected"])))
            case "union_tag_invalid":
                found, expected = repr(context["tag"]), f"{context['discriminator']} one of {context['expected_tags']}"
                hint = closest(str(context["tag"]), re.findall(r"'([^']+)'", str(context["expected_tags"])))
            case "union_tag_not_found":
                expected = f"the key {context['discriminator']}"
            case "value_error":
                expected = str(context["error"])
        yield Problem(str(path), dotted, found, expected, hint, line_of(path, key))


def _is_tag(data: Any, location: Key, index: int) -> bool:
    """Whether a part of a pydantic location is a union's tag instead of a key of the data."""
    node = data
    for position, part in enumerate(location[: index + 1]):
        if isinstance(node, Mapping):
            if part in node:
                node = node[part]
                continue
            tagged = part in [value for value in node.values() if isinstance(value, str)]
            if position == index:
                return tagged and index + 1 < len(location)
            if tagged:
                continue
            return False
        if isinstance(node, list) and isinstance(part, int) and part < len(node):
            node = node[part]
            continue
        return False
    return False
