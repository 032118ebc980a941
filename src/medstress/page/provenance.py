"""How every record came to be: what it holds (a hash), by which code, when, where and with which packages."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from medstress.errors import MedstressError

# Larger files are perturbed images, whose bytes follow from the data set's, the seed and the code.
_LARGEST_HASHED = 256 * 2**20
_SIDECAR = ".provenance.json"
_OF_JOB = ("stage", "seconds", "peak_memory_mb", "finished", "host", "machine", "python", "gpu", "environment")


def provenance_data(study: Path, records: Iterable[Path], weights: Iterable[str]) -> dict[str, Any]:
    """One entry a record, by its path below the study's folder, and the sets of package versions that occur.

    weights: the hash of each of these files, or of model.safetensors of a folder, where they are on this machine.
    Raises MedstressError where a file of provenance cannot be read.
    """
    versions: list[Mapping[str, str]] = []
    entries: dict[str, dict[str, Any]] = {}
    for path in sorted(set(records)):
        name = path.relative_to(study).as_posix() if path.is_relative_to(study) else path.name
        facts = _facts(path)
        entry = {key: facts[key] for key in _OF_JOB if facts.get(key) is not None}
        entry |= {"bytes": path.stat().st_size, "sha256": _sha256(path), "code": facts.get("code")}
        if (given := facts.get("versions")) is not None:
            if given not in versions:
                versions.append(given)
            entry["versions"] = versions.index(given)
        entries[name] = entry | _trained(path)
    found = {place: digest for place in sorted(set(weights)) if (digest := _weights_sha256(Path(place)))}
    return {"records": entries, "versions": versions, "weights": found}


def _facts(path: Path) -> Mapping[str, Any]:
    """What the job wrote beside its record; training writes it beside the tensors."""
    beside = path.with_name("trained.safetensors") if path.name == "training.json" else path
    # A table's job names it after its first file.
    sidecars = [beside.with_name(beside.name + _SIDECAR), beside.with_suffix(".csv" + _SIDECAR)]
    sidecar = next((one for one in sidecars if one.exists()), None)
    if sidecar is None:
        return {}
    try:
        facts = json.loads(sidecar.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MedstressError(
            f"{sidecar}: cannot be read ({error}). Delete it with its record and run the same command again."
        ) from None
    return facts if isinstance(facts, dict) else {}


def _trained(path: Path) -> dict[str, str]:
    """The hash of the tensors that a training came to, which lie beside what is said of it."""
    tensors = path.with_name("trained.safetensors")
    if path.name != "training.json" or not tensors.exists():
        return {}
    digest = _sha256(tensors)
    return {"tensors": digest} if digest else {}


def _weights_sha256(path: Path) -> str | None:
    file = path / "model.safetensors" if path.is_dir() else path
    return _sha256(file) if file.is_file() else None


def _sha256(path: Path) -> str | None:
    if path.stat().st_size > _LARGEST_HASHED:
        return None
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
