"""The environment that a model asks for: a conda file whose pins a job compares with where it runs.

Snakemake makes such an environment where it is told to (`--software-deployment-method conda`). Where it is not, the job
would run in the project's own environment, and nobody would notice that another version answered.
"""

import hashlib
import json
import platform
import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from medstress.errors import MedstressError
from medstress.problems import read_yaml

_PYTHON = re.compile(r"python *={1,2} *([0-9.]+)")
_PIN = re.compile(r"([A-Za-z0-9._-]+) *== *([A-Za-z0-9._+!-]+)")
_LAST_ZEROS = re.compile(r"(\.0)+$")
_SHOWN = 5


def pins_of(path: Path) -> dict[str, str]:
    """The version of each package that a file pins where Python can see it: `python`, and what is under `pip`.

    Raises ConfigError where the file is missing or no YAML.
    """
    said = read_yaml(path)
    dependencies = said.get("dependencies") if isinstance(said, dict) else None
    return dict(_pins(dependencies if isinstance(dependencies, list) else []))


def _pins(dependencies: Iterable[Any]) -> Iterable[tuple[str, str]]:
    for one in dependencies:
        if isinstance(one, str) and (python := _PYTHON.fullmatch(one)):
            yield "python", python[1]
        for line in one.get("pip") or [] if isinstance(one, dict) else []:
            if pin := _PIN.fullmatch(str(line)):
                yield pin[1], pin[2]


def environment_key(environment: str | None) -> str:
    """What stands for an environment beside the code that runs in it: a hash of what its file says; empty for none."""
    if environment is None:
        return ""
    said = json.dumps(read_yaml(Path(environment)), sort_keys=True)
    return f"-{hashlib.sha256(said.encode()).hexdigest()[:16]}"


def check_environment(environment: str) -> None:
    """Raise MedstressError where this process does not run in the environment of a file."""
    others = []
    for name, wanted in pins_of(Path(environment)).items():
        found = _installed(name)
        if found is None or not _same(name, found, wanted):
            others.append(f"{name} {found or '(missing)'} instead of {wanted}")
    if others:
        shown = ", ".join(others[:_SHOWN]) + (f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else "")
        raise MedstressError(
            f"the model wants the environment {environment}, and this is another: {shown}. Run the same command with "
            "--software-deployment-method conda, which makes it, or make it yourself and start Snakemake in it."
        )


def _installed(name: str) -> str | None:
    try:
        return platform.python_version() if name == "python" else version(name)
    except PackageNotFoundError:
        return None


def _same(name: str, found: str, wanted: str) -> bool:
    """Whether a version is what a pin means: of Python its first numbers, of a package all but a build's own label.

    4.50 and 4.50.0 are one version to pip.
    """
    if name == "python":
        return f"{found}.".startswith(f"{wanted}.")
    said = found if "+" in wanted else found.split("+", maxsplit=1)[0]
    return _LAST_ZEROS.sub("", wanted) == _LAST_ZEROS.sub("", said)
