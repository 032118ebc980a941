"""The folder of a vision-language model: its network and its processor, loaded whole or not at all."""

import hashlib
import json
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from warnings import catch_warnings

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)

from medstress.cards.local_vlm import LocalVlm
from medstress.errors import MedstressError
from medstress.models.generative.text_only import TextProcessor
from medstress.models.hub_folder import CONFIG_FILE, GET_AGAIN, quiet
from medstress.models.weight_file import check_weight_file, first_of, in_words

_PATTERNS = ("*.safetensors", "pytorch_model*.bin")
_LLAVA_MED = (
    "config.json says model_type 'llava_mistral', the format of LLaVA's own code, which transformers does not read. "
    "Take a converted checkpoint, with model_type 'llava', as docs/vlm.md says."
)
_UNREADABLE = (SafetensorError, StrictDataclassError, UnpicklingError, ValueError, RuntimeError, OSError)


def load_network(card: LocalVlm, folder: Path, where: str, dtype: torch.dtype, device_map: str | None) -> Any:
    """The network of a folder in eval mode, in `dtype`, on the CPU or spread as `device_map` says.

    Raises MedstressError, beginning with `where`, where a file is missing, broken or not what the card means, and where
    a tensor of the network is in none of the files: a model that starts half random answers too. Tensors that the
    network does not know are left out, as checkpoints of other versions carry some.
    """
    if problem := _config_problem(folder, card):
        raise MedstressError(f"{where}: {problem}")
    files = weight_files(folder)
    if not files:
        raise MedstressError(f"{where}: no {' or '.join(_PATTERNS)} found in {folder}. {GET_AGAIN}")
    _check_sums(files, card.sha256, where)
    try:
        with quiet():
            kind: Any = AutoModelForCausalLM if _reads_text_alone(folder) else AutoModelForImageTextToText
            loaded: Any = kind.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=files[0].suffix == ".safetensors",
                weights_only=True,
                dtype=dtype,
                # Where scores of attention are capped, as Gemma 2's are, sdpa leaves the cap out.
                attn_implementation="eager" if _config(folder).get("attn_logit_softcapping") else "sdpa",
                device_map=device_map,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
    except _UNREADABLE as error:
        raise MedstressError(f"{where}: not loadable ({error}). {GET_AGAIN}") from error
    network, report = loaded
    wrong = {
        "not in the weights": sorted(report["missing_keys"]),
        "of another shape": sorted(str(key[0]) for key in report["mismatched_keys"]),
    }
    if problems := in_words(wrong):
        raise MedstressError(f"{where}: the weights do not fit {CONFIG_FILE}: {'; '.join(problems)}. {GET_AGAIN}")
    return network.eval()


def load_processor(card: LocalVlm, folder: Path, where: str) -> Any:
    """The processor of a folder, padding at the left and resizing with Pillow where it can, which needs no torchvision.

    The two ways of resizing differ in single grey levels, so one is kept to. A model that reads text alone has its
    tokenizer as processor. Raises MedstressError, beginning with `where`, where a file is missing or broken, and where
    there is no chat template for a card that wants one.
    """
    try:
        with quiet():
            processor: Any = _processor(folder)
    except (*_UNREADABLE, KeyError, TypeError, AttributeError, ImportError) as error:
        raise MedstressError(
            f"{where}: the processor or the tokenizer in {folder} is missing or not readable ({error}). {GET_AGAIN}"
        ) from error
    needed = ("tokenizer",) if isinstance(processor, TextProcessor) else ("image_processor", "tokenizer")
    if missing := [part for part in needed if not hasattr(processor, part)]:
        raise MedstressError(f"{where}: {folder} has no {' and no '.join(missing)}. {GET_AGAIN}")
    if card.template == "chat" and not getattr(processor, "chat_template", None):
        raise MedstressError(
            f"{where}: the model has no chat template. Add chat_template.jinja to the folder from the model's source, "
            "or write `template: plain` and the model's own prompt format in `layout`."
        )
    if card.template == "plain" and card.image and not getattr(processor, "image_token", None):
        raise MedstressError(f"{where}: the processor names no image token for {{image}}. Write `template: chat`.")
    words = processor.tokenizer
    words.padding_side = "left"
    if words.pad_token_id is None:
        words.pad_token = words.eos_token
    return processor


def load_peft(network: Any, folder: Path, where: str) -> Any:
    """The network with a peft adapter on top, in eval mode.

    Raises MedstressError, beginning with `where`, where the folder holds none, or one for another network: peft itself
    leaves what the file does not have at its random start.
    """
    from peft import PeftModel, get_peft_model_state_dict
    from peft.utils import load_peft_weights

    if not (folder / "adapter_config.json").is_file():
        raise MedstressError(f"{where}: adapter_config.json not found in {folder}. Correct `peft` in the card.")
    take_another = "Take an adapter that was trained on these weights, or correct `peft` in the card."
    try:
        with quiet(), catch_warnings(action="ignore"):
            adapted: Any = PeftModel.from_pretrained(network, str(folder), local_files_only=True)
            found, wanted = set(load_peft_weights(str(folder), device="cpu")), set(get_peft_model_state_dict(adapted))
    except (*_UNREADABLE, KeyError, TypeError) as error:
        raise MedstressError(f"{where}: {folder} does not fit the model ({error}). {take_another}") from error
    wrong = {"not in the adapter": sorted(wanted - found), "unknown to the model": sorted(found - wanted)}
    if problems := in_words(wrong):
        raise MedstressError(f"{where}: {folder} does not fit the model: {'; '.join(problems)}. {take_another}")
    return adapted.eval()


def weight_files(folder: Path) -> list[Path]:
    """The files of weights in a folder: safetensors where there are any, else PyTorch's own."""
    return next((files for pattern in _PATTERNS if (files := sorted(folder.glob(pattern)))), [])


def weights_sum(files: list[Path]) -> str:
    """What `sha256` of the card means: that of one file, or that of the sums of several, one a line."""
    sums = []
    for path in files:
        with path.open("rb") as handle:
            sums.append(hashlib.file_digest(handle, "sha256").hexdigest())
    return sums[0] if len(sums) == 1 else hashlib.sha256("".join(f"{one}\n" for one in sums).encode()).hexdigest()


def _check_sums(files: list[Path], sha256: str | None, where: str) -> None:
    if len(files) == 1:
        check_weight_file(files[0], sha256, where)
    elif sha256 is not None and (found := weights_sum(files)) != sha256:
        raise MedstressError(
            f"{where}: {first_of([path.name for path in files])} have the sha256 {found}, but the card says {sha256}. "
            "Get the files again, or correct the card."
        )


def _processor(folder: Path) -> Any:
    if _reads_text_alone(folder):
        return TextProcessor(AutoTokenizer.from_pretrained(folder, local_files_only=True))
    return AutoProcessor.from_pretrained(folder, local_files_only=True, backend="pil")  # type: ignore[no-untyped-call]


def _config(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    return read


def _reads_text_alone(folder: Path) -> bool:
    kind = _config(folder).get("model_type")
    return kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and kind not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES


def _config_problem(folder: Path, card: LocalVlm) -> str:
    if not (folder / CONFIG_FILE).is_file():
        return f"{CONFIG_FILE} not found in {folder}. {GET_AGAIN}"
    try:
        kind = _config(folder).get("model_type")
    except (ValueError, AttributeError) as error:
        return f"{CONFIG_FILE} is not readable as JSON ({error}). {GET_AGAIN}"
    if kind == "llava_mistral":
        return _LLAVA_MED
    text_alone = _reads_text_alone(folder)
    if kind not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES and (card.image or not text_alone):
        judge = "It reads text alone: write `image: no`, if it is to judge. " if text_alone else ""
        return (
            f"{CONFIG_FILE} says model_type {kind!r}, which is no image-text-to-text model of this transformers. "
            f"{judge}Correct `weights` in the card, or install the version that the model's page names."
        )
    if str(kind).startswith("gemma3") and card.precision == "fp16":
        return "Gemma 3 and MedGemma answer nothing in fp16, whose numbers end too early. Write `precision: bf16`."
    return ""
