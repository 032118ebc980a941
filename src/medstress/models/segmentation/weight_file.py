"""One file of weights: whether it is there, is the one that the card means, and fits the network."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from medstress.errors import MedstressError

_NAMED = 3


def check_weight_file(path: Path, sha256: str | None, where: str) -> None:
    """Raise MedstressError, beginning with `where`, where there is no such file or it has another sha256."""
    if not path.is_file():
        raise MedstressError(
            f"{where}: there is no file {path}. Get it as docs/models.md says, or correct `weights` in the card."
        )
    if sha256 is None:
        return
    with path.open("rb") as handle:
        found = hashlib.file_digest(handle, "sha256").hexdigest()
    if found != sha256:
        raise MedstressError(
            f"{where}: {path.name} has the sha256 {found}, but the card says {sha256}. Get the file again, or correct "
            "the card."
        )


def misfits(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], network: str) -> list[str]:
    """How the tensors of a file differ from those of a network, in words, naming the first of them."""
    wrong = {
        "not in the file": sorted(set(wanted) - set(found)),
        f"unknown to {network}": sorted(set(found) - set(wanted)),
        "of another shape": sorted(
            name for name in set(wanted) & set(found) if wanted[name].shape != found[name].shape
        ),
    }
    return [f"{_first(names)} {problem}" for problem, names in wrong.items() if names]


def _first(names: list[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
