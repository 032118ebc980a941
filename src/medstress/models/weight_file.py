"""Files of weights: whether they are there, are the ones that the card means, hold data alone, and fit the network."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Size, Tensor

from medstress.errors import MedstressError

_NAMED = 3
# What PyTorch's unpickler and safetensors raise where bytes are damaged: some of these from within, by chance.
_BROKEN = (
    UnpicklingError,
    SafetensorError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
)


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


def read_tensors(path: Path, where: str, *, inside: Sequence[str] = ("model",)) -> dict[str, Tensor]:
    """The tensors of a .safetensors, .pth, .pt or .bin file, bare or below one of the keys `inside`.

    They are data and nothing that runs. Raises MedstressError, beginning with `where`, for a file that is broken, holds
    anything else, or no tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except _BROKEN as error:
        raise MedstressError(
            f"{where}: {path.name} is not a readable file of tensors ({why_unread(error)}). Get it again from the "
            "model's source."
        ) from None
    state = found
    if isinstance(found, dict):
        state = next((found[key] for key in inside if isinstance(found.get(key), dict)), found)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()) or not state:
        keys = " or ".join(f'"{key}"' for key in inside)
        raise MedstressError(
            f"{where}: {path.name} holds no state dict, neither bare nor under {keys}. Give the original file."
        )
    return cast(dict[str, Tensor], state)


def why_unread(error: Exception) -> str:
    """Why PyTorch did not read a file, in short, and without its advice to let the file run code."""
    if found := re.search(r"GLOBAL (\S+)", str(error)):
        return f"it holds a {found[1]}, which is code and not data"
    return (str(error).splitlines() or [type(error).__name__])[0]


def misfits(wanted: Mapping[str, Tensor | Size], found: Mapping[str, Tensor], network: str) -> list[str]:
    """How the tensors of a file differ from those of a network, in words, naming the first of them."""

    def shape(item: Tensor | Size) -> Size:
        return item.shape if isinstance(item, Tensor) else item

    wrong = {
        "not in the file": sorted(set(wanted) - set(found)),
        f"unknown to {network}": sorted(set(found) - set(wanted)),
        "of another shape": sorted(
            name for name in set(wanted) & set(found) if shape(wanted[name]) != found[name].shape
        ),
    }
    return in_words(wrong)


def in_words(wrong: Mapping[str, Sequence[str]]) -> list[str]:
    """`names problem` for every problem that has names; the first few are named."""
    return [f"{first_of(names)} {problem}" for problem, names in wrong.items() if names]


def first_of(names: Sequence[str]) -> str:
    """The first few of some names, and how many more there are."""
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
