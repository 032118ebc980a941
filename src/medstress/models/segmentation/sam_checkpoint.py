"""A SAM checkpoint on disk, in Hugging Face format or the original one, loaded whole or not at all."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, cast

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import SamModel
from transformers.utils import logging

from medstress.cards.model import MedSam, Sam
from medstress.errors import MedstressError
from medstress.models.segmentation.sam_original import first_of, load_original, why_unread

CONFIG_FILE = "config.json"
# What folders of the hub have; PyTorch's own format is read as data, never as code.
WEIGHTS_FILES = ("model.safetensors", "pytorch_model.bin")
_GET_AGAIN = "Copy it again from the model's source, or correct `weights` in the card."


def load_checkpoint(path: Path, card: Sam | MedSam) -> SamModel:
    """The model of a Hugging Face folder or an original .pth file, in float32, on the CPU.

    Raises MedstressError where a file is missing, broken or not what the card means. Every tensor of the
    model must be in the file and the other way round: a model that starts half random answers too.
    """
    where = f"model card {card.name}: weights {card.weights!r}"
    if path.is_dir():
        return _load_folder(path, card, where)
    if not path.is_file():
        raise MedstressError(f"{where}: there is no folder and no file {path}. {_GET_AGAIN}")
    _check_sha256(path, card, where)
    return load_original(path, where, card.adapter)


def _load_folder(folder: Path, card: Sam | MedSam, where: str) -> SamModel:
    weights = next((name for name in WEIGHTS_FILES if (folder / name).is_file()), None)
    missing = [] if (folder / CONFIG_FILE).is_file() else [CONFIG_FILE]
    missing += [] if weights else [WEIGHTS_FILES[0]]
    if weights is None or missing:
        raise MedstressError(f"{where}: {' and '.join(missing)} not found in {folder}. {_GET_AGAIN}")
    try:
        kind = json.loads((folder / CONFIG_FILE).read_text()).get("model_type")
    except ValueError as error:
        raise MedstressError(f"{where}: {CONFIG_FILE} is not readable as JSON ({error}). {_GET_AGAIN}") from None
    if kind != "sam":
        raise MedstressError(
            f"{where}: {CONFIG_FILE} says model_type {kind!r}; adapter {card.adapter} reads 'sam'. {_GET_AGAIN}"
        )
    _check_sha256(folder / weights, card, where)
    try:
        with _quiet():
            loaded: Any = SamModel.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=weights == WEIGHTS_FILES[0],
                weights_only=True,
                dtype=torch.float32,
                attn_implementation="sdpa",
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
    except UnpicklingError as error:
        raise MedstressError(f"{where}: {weights} is not loadable: {why_unread(error)}. {_GET_AGAIN}") from None
    except (SafetensorError, StrictDataclassError, ValueError, RuntimeError, OSError) as error:
        raise MedstressError(f"{where}: not loadable ({error}). {_GET_AGAIN}") from error
    model, report = loaded
    wrong = {
        "not in the file": sorted(report["missing_keys"]),
        "unknown to the model": sorted(report["unexpected_keys"]),
        "of another shape": sorted(str(key[0]) for key in report["mismatched_keys"]),
    }
    problems = [f"{first_of(keys)} {problem}" for problem, keys in wrong.items() if keys]
    if problems:
        raise MedstressError(f"{where}: {weights} does not fit {CONFIG_FILE}: {'; '.join(problems)}. {_GET_AGAIN}")
    return cast(SamModel, model)


def _check_sha256(path: Path, card: Sam | MedSam, where: str) -> None:
    if card.sha256 and (found := sha256_of(path)) != card.sha256:
        raise MedstressError(
            f"{where}: {path.name} has the sha256 {found}, but the card says {card.sha256}. {_GET_AGAIN}"
        )


def sha256_of(path: Path) -> str:
    """The hexadecimal sha256 of a file."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


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
