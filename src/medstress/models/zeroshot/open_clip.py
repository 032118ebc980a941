"""open_clip: any CLIP in the hub format of open_clip, such as BiomedCLIP or OpenAI's ResNet-50. Needs the extra `clip`.

BiomedCLIP: Zhang et al., "BiomedCLIP: a multimodal biomedical foundation model pretrained from fifteen million
scientific image-text pairs", arXiv 2303.00915. The bias that models with a sigmoid loss (SigLIP) add to logits is left
out: it is the same for all classes.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from medstress.cards.classifier import OpenClip, UniMedClip
from medstress.errors import MedstressError
from medstress.models.weight_file import check_weight_file, read_tensors
from medstress.models.zeroshot.clip_pixels import CLIP_MEAN, CLIP_STD, Preprocessing
from medstress.models.zeroshot.encoder import TorchImageText, place
from medstress.models.zeroshot.open_clip_network import build_network, require_open_clip, targets_of

CONFIG_FILE = "open_clip_config.json"
WEIGHTS_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model")
# What trainings put a state dict under.
STATE = ("state_dict",)

Tokenizer = Callable[[Sequence[str]], Tensor]
"""Texts to tokens [n, length], int64, cut and padded to the model's length."""


def load(card: OpenClip, root: Path = Path()) -> TorchImageText:
    """The model of a card, whose weights are relative to `root`.

    Raises MedstressError where the extra is missing, where the folder holds no such model or not the one that the card
    means, and where the device is not there. Sets the number of threads that torch uses in this process.
    """
    require_open_clip(card.adapter)
    folder, where = root / card.weights, f"model card {card.name}: weights {card.weights!r}"
    said = _read_config(folder, where)
    preprocess = said.get("preprocess_cfg", {})
    weights = next((path for name in WEIGHTS_FILES if (path := folder / name).is_file()), folder / WEIGHTS_FILES[0])
    check_weight_file(weights, card.sha256, where)
    tokenizer = _tokenizer(said["model_cfg"].get("text_cfg", {}), folder, where)
    network = build_network(said["model_cfg"], read_tensors(weights, where, inside=STATE), folder, where)
    return image_text_model(network, _preprocessing(network, preprocess, where), tokenizer, card)


def image_text_model(
    network: nn.Module, preprocessing: Preprocessing, tokenizer: Tokenizer, card: OpenClip | UniMedClip
) -> TorchImageText:
    """A network of open_clip as the adapter of a card, on its device."""
    clip: Any = network

    def encode_texts(texts: Sequence[str]) -> Tensor:
        features: Tensor = clip.encode_text(tokenizer(texts).to(next(network.parameters()).device))
        return features

    found = TorchImageText(
        network,
        preprocessing,
        forward=clip.encode_image,
        encoder=r"visual\.",
        targets=targets_of(network),
        name=card.name,
        encode_texts=encode_texts,
        scale=math.exp(float(clip.logit_scale.detach())),
    )
    place(found, card)
    if card.compiled and found.device.type == "cuda":
        # In place, so that weights keep their names. Compiled when first called, after a strategy added its layers.
        clip.visual.compile()
    return found


def hub_tokenizer(folder: Path, length: int, where: str, **settings: Any) -> Tokenizer:
    """The Hugging Face tokenizer of a folder, as open_clip calls it.

    Raises MedstressError, beginning with `where`, where the folder has none.
    """
    from open_clip.tokenizer import HFTokenizer

    if not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        raise MedstressError(
            f"{where}: the tokenizer of the text tower ({' or '.join(_TOKENIZER_FILES[:2])}) is not in {folder}. Copy "
            "it there; see docs/models.md."
        )
    try:
        found: Tokenizer = HFTokenizer(str(folder), context_length=length, local_files_only=True, **settings)
    except (ValueError, OSError, KeyError) as error:
        raise MedstressError(f"{where}: the tokenizer in {folder} is not readable ({error}).") from error
    return lambda texts: found(list(texts))


def _read_config(folder: Path, where: str) -> dict[str, Any]:
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise MedstressError(
            f"{where}: there is no {CONFIG_FILE} in {folder}. Get the folder as docs/models.md says, or correct "
            "`weights` in the card."
        )
    try:
        said: Any = json.loads(path.read_text())
    except ValueError as error:
        raise MedstressError(f"{where}: {CONFIG_FILE} is not readable as JSON ({error}).") from None
    if not isinstance(said, dict) or not isinstance(said.get("model_cfg"), dict):
        raise MedstressError(f"{where}: {CONFIG_FILE} has no model_cfg. Give the original file.")
    return said


def _tokenizer(text: Mapping[str, Any], folder: Path, where: str) -> Tokenizer:
    """The tokenizer that text_cfg names, from the folder; OpenAI's, which open_clip brings, where it names none."""
    from open_clip.tokenizer import DEFAULT_CONTEXT_LENGTH, SimpleTokenizer

    length = text.get("context_length", DEFAULT_CONTEXT_LENGTH)
    settings = dict(text.get("tokenizer_kwargs") or {})
    if settings.pop("reduction_mask", ""):
        raise MedstressError(
            f"{where}: {CONFIG_FILE} shortens texts by chance (reduction_mask), so answers would vary."
        )
    if text.get("hf_tokenizer_name"):
        return hub_tokenizer(folder, length, where, tokenizer_mode=text.get("tokenizer_mode"), **settings)
    simple = SimpleTokenizer(context_length=length, **settings)
    return lambda texts: simple(list(texts))


def _preprocessing(network: Any, said: Mapping[str, Any], where: str) -> Preprocessing:
    """What preprocess_cfg says, and OpenAI's values for the rest; the side is that of the image tower.

    Raises MedstressError, beginning with `where`, with everything that this adapter does not do.
    """
    size = network.visual.image_size
    height, width = size if isinstance(size, list | tuple) else (size, size)
    mode: Any = said.get("resize_mode") or "shortest"
    interpolation = said.get("interpolation") or "bicubic"
    problems = [
        problem
        for wrong, problem in (
            (height != width, f"the image tower takes {width} x {height} pixels; this adapter makes squares"),
            (mode not in ("shortest", "squash"), f"resize_mode is {mode}; this adapter does shortest and squash"),
            (interpolation not in ("bicubic", "bilinear", "random"), f"interpolation is {interpolation}"),
        )
        if wrong
    ]
    if problems:
        raise MedstressError("\n".join(f"{where}: {CONFIG_FILE}: {problem}." for problem in problems))
    mean, std = (said.get(name) or default for name, default in (("mean", CLIP_MEAN), ("std", CLIP_STD)))
    return Preprocessing(
        height,
        mean=tuple(mean) if isinstance(mean, list | tuple) else (mean,) * 3,
        std=tuple(std) if isinstance(std, list | tuple) else (std,) * 3,
        # open_clip's word for "any in training, bicubic in test".
        interpolation="bilinear" if interpolation == "bilinear" else "bicubic",
        mode=mode,
        centre="round",
    )
