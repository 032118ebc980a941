"""A model in Hugging Face format on disk, loaded whole or not at all."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import PreTrainedModel
from transformers.utils import logging

from medstress.errors import MedstressError
from medstress.models.weight_file import check_weight_file, in_words, why_unread

CONFIG_FILE = "config.json"
# What folders of the hub have; PyTorch's own format is read as data, never as code.
WEIGHTS_FILES = ("model.safetensors", "pytorch_model.bin")
GET_AGAIN = "Copy it again from the model's source, or correct `weights` in the card."

M = TypeVar("M", bound=PreTrainedModel)


def load_hub_folder(kind: type[M], folder: Path, *, model_type: str, adapter: str, sha256: str | None, where: str) -> M:
    """The model of a folder with config.json and weights, in float32, on the CPU.

    Raises MedstressError, beginning with `where`, where a file is missing, broken or not what the card means. Every
    tensor of the model must be in the file and the other way round: a model that starts half random answers too.
    """
    weights = next((name for name in WEIGHTS_FILES if (folder / name).is_file()), None)
    missing = [] if (folder / CONFIG_FILE).is_file() else [CONFIG_FILE]
    missing += [] if weights else [WEIGHTS_FILES[0]]
    if weights is None or missing:
        raise MedstressError(f"{where}: {' and '.join(missing)} not found in {folder}. {GET_AGAIN}")
    try:
        found = json.loads((folder / CONFIG_FILE).read_text()).get("model_type")
    except ValueError as error:
        raise MedstressError(f"{where}: {CONFIG_FILE} is not readable as JSON ({error}). {GET_AGAIN}") from None
    if found != model_type:
        raise MedstressError(
            f"{where}: {CONFIG_FILE} says model_type {found!r}; adapter {adapter} reads {model_type!r}. {GET_AGAIN}"
        )
    check_weight_file(folder / weights, sha256, where)
    try:
        with quiet():
            loaded: Any = kind.from_pretrained(
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
        raise MedstressError(f"{where}: {weights} is not loadable: {why_unread(error)}. {GET_AGAIN}") from None
    except (SafetensorError, StrictDataclassError, ValueError, RuntimeError, OSError) as error:
        raise MedstressError(f"{where}: not loadable ({error}). {GET_AGAIN}") from error
    model, report = loaded
    wrong = {
        "not in the file": sorted(report["missing_keys"]),
        "unknown to the model": sorted(report["unexpected_keys"]),
        "of another shape": sorted(str(key[0]) for key in report["mismatched_keys"]),
    }
    problems = in_words(wrong)
    if problems:
        raise MedstressError(f"{where}: {weights} does not fit {CONFIG_FILE}: {'; '.join(problems)}. {GET_AGAIN}")
    checked: M = model
    return checked


@contextmanager
def quiet() -> Iterator[None]:
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
