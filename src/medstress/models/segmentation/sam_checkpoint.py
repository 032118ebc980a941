"""A SAM checkpoint on disk, loaded whole or not at all."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import SamModel
from transformers.utils import logging

from medstress.cards.model import Sam
from medstress.errors import MedstressError

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
_NAMED_KEYS = 3
_GET_AGAIN = "Copy the folder again from the model's source, or correct `weights` in the card."


def load_checkpoint(folder: Path, card: Sam) -> SamModel:
    """The model in float32, on the CPU.

    Raises MedstressError where a file is missing, broken or not what the card means. Every tensor of the
    model must be in the file and the other way round: a model that starts half random answers too.
    """
    where = f"model card {card.name}: weights {card.weights!r}"
    if not folder.is_dir():
        raise MedstressError(f"{where}: there is no folder {folder}. {_GET_AGAIN}")
    missing = [name for name in (CONFIG_FILE, WEIGHTS_FILE) if not (folder / name).is_file()]
    if missing:
        raise MedstressError(f"{where}: {' and '.join(missing)} not found in {folder}. {_GET_AGAIN}")
    try:
        kind = json.loads((folder / CONFIG_FILE).read_text()).get("model_type")
    except ValueError as error:
        raise MedstressError(f"{where}: {CONFIG_FILE} is not readable as JSON ({error}). {_GET_AGAIN}") from None
    if kind != "sam":
        raise MedstressError(f"{where}: {CONFIG_FILE} says model_type {kind!r}; adapter sam reads 'sam'. {_GET_AGAIN}")
    if card.sha256 and (found := sha256_of(folder / WEIGHTS_FILE)) != card.sha256:
        raise MedstressError(
            f"{where}: {WEIGHTS_FILE} has the sha256 {found}, but the card says {card.sha256}. {_GET_AGAIN}"
        )
    try:
        with _quiet():
            loaded: Any = SamModel.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
    except (SafetensorError, StrictDataclassError, ValueError, RuntimeError, OSError) as error:
        raise MedstressError(f"{where}: not loadable ({error}). {_GET_AGAIN}") from error
    model, report = loaded
    wrong = {
        "not in the file": sorted(report["missing_keys"]),
        "unknown to the model": sorted(report["unexpected_keys"]),
        "of another shape": sorted(str(key[0]) for key in report["mismatched_keys"]),
    }
    problems = [f"{_first(keys)} {problem}" for problem, keys in wrong.items() if keys]
    if problems:
        raise MedstressError(f"{where}: {WEIGHTS_FILE} does not fit {CONFIG_FILE}: {'; '.join(problems)}. {_GET_AGAIN}")
    return cast(SamModel, model)


def sha256_of(path: Path) -> str:
    """The hexadecimal sha256 of a file."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _first(keys: list[str]) -> str:
    rest = len(keys) - _NAMED_KEYS
    return ", ".join(keys[:_NAMED_KEYS]) + (f" and {rest} more" if rest > 0 else "")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' progress bar and warnings: what they would say is raised."""
    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
