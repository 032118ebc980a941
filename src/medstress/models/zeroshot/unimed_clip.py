"""unimed_clip: UniMed-CLIP's checkpoints in the modules of open_clip, without its fork. Needs the extra `clip`.

Khattak et al., "UniMed-CLIP: towards a unified image-text pretraining paradigm for diverse medical imaging modalities",
arXiv 2412.10372. Its authors' code is a fork of open_clip under the same name, so the two cannot be installed together;
the networks differ by one name. Image tower: OpenAI's ViT with its approximate GELU. Text tower: a BiomedBERT, the last
hidden state of the first token, and a projection of two layers without biases.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medstress.cards.classifier import UniMedClip
from medstress.errors import MedstressError
from medstress.models.weight_file import check_weight_file, read_tensors
from medstress.models.zeroshot.clip_pixels import Preprocessing
from medstress.models.zeroshot.encoder import TorchImageText
from medstress.models.zeroshot.open_clip import STATE, hub_tokenizer, image_text_model
from medstress.models.zeroshot.open_clip_network import build_network, require_open_clip

LENGTH = 256
"""Tokens of a text, the ends included."""

_VISION: dict[str, dict[str, Any]] = {
    "vit_b16": {
        "embed_dim": 512,
        "vision_cfg": {"image_size": 224, "layers": 12, "width": 768, "patch_size": 16},
    },
    "vit_l14_336": {
        "embed_dim": 768,
        "vision_cfg": {"image_size": 336, "layers": 24, "width": 1024, "patch_size": 14},
    },
}
_FORK, _UPSTREAM = "text_encoder.", "text."


class _Scalar:
    """Stands in for the NumPy scalars that the authors' training saved with its optimiser; keeps nothing of them."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def _nothing(*_: object) -> bytes:
    """Stands in for how NumPy spells bytes."""
    return b""


# What the unpickler may call for these names. It calls nothing else but what makes tensors.
_STAND_INS: list[Any] = [
    (_Scalar, "numpy.core.multiarray.scalar"),
    (_Scalar, "numpy._core.multiarray.scalar"),
    (_Scalar, "numpy.dtype"),
    (_nothing, "_codecs.encode"),
]


def load(card: UniMedClip, root: Path = Path()) -> TorchImageText:
    """The model of a card, whose files are relative to `root`.

    Raises MedstressError where the extra is missing, where a file is missing, broken or not what the card means, and
    where the device is not there. Sets the number of threads that torch uses in this process.
    """
    require_open_clip(card.adapter)
    return load_as(card, _VISION[card.vision], root)


def load_as(card: UniMedClip, vision: Mapping[str, Any], root: Path) -> TorchImageText:
    """As :func:`load`, with embed_dim and vision_cfg of the image tower as open_clip writes them."""
    path, folder = root / card.weights, root / card.text
    where = f"model card {card.name}: weights {card.weights!r}"
    check_weight_file(path, card.sha256, where)
    tokenizer = hub_tokenizer(folder, LENGTH, f"model card {card.name}: text {card.text!r}")
    with torch.serialization.safe_globals(_STAND_INS):
        tensors = read_tensors(path, where, inside=STATE)
    named = _upstream_names(tensors, where)
    _check_text(named, folder, f"model card {card.name}: text {card.text!r}")
    network = build_network(_config(vision, folder), named, folder, where)
    return image_text_model(network, Preprocessing(vision["vision_cfg"]["image_size"], centre="round"), tokenizer, card)


def _config(vision: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    return {
        **vision,
        "quick_gelu": True,
        "text_cfg": {
            "hf_model_name": str(folder),
            "hf_proj_type": "mlp",
            "hf_pooler_type": "cls_last_hidden_state_pooler",
            "context_length": LENGTH,
        },
    }


def _check_text(tensors: Mapping[str, Tensor], folder: Path, where: str) -> None:
    """Raise MedstressError, beginning with `where`, where the folder is that of a text encoder of another size."""
    path, words = folder / "config.json", tensors.get("text.transformer.embeddings.word_embeddings.weight")
    if words is None or not path.is_file():
        return
    width = json.loads(path.read_text()).get("hidden_size", words.shape[1])
    if width != words.shape[1]:
        raise MedstressError(
            f"{where}: config.json there is of a text encoder {width} wide, but the one in the weights is "
            f"{words.shape[1]} wide (BiomedBERT base: 768, large: 1024). Give the folder of the other size."
        )


def _upstream_names(tensors: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """The tensors under the names that open_clip has for them."""
    bare = {name.removeprefix("_orig_mod.").removeprefix("module."): value for name, value in tensors.items()}
    if not any(name.startswith(_FORK) for name in bare):
        raise MedstressError(
            f"{where}: holds no {_FORK}* and is no checkpoint of UniMed-CLIP. A CLIP in the hub format of open_clip is "
            "for adapter open_clip."
        )
    return {
        _UPSTREAM + name.removeprefix(_FORK) if name.startswith(_FORK) else name: value for name, value in bare.items()
    }
