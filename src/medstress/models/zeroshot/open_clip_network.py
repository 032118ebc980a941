"""Networks of the package open_clip, built from a configuration and a state dict alone: nothing is fetched.

Towers that are Hugging Face models get their configuration from a folder or from the shapes in the state dict, never
from the hub that the configuration names.
"""

import re
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, PretrainedConfig

from medstress.errors import MedstressError
from medstress.models.torchvision_bridge import require_extra
from medstress.models.weight_file import misfits
from medstress.models.zeroshot.bert_text import bert_config
from medstress.models.zeroshot.open_clip_attention import split_attention
from medstress.models.zeroshot.protocol import Targets

_TEXT = "text.transformer."
_TRUNK = r"visual\.trunk\.blocks\.\d+\."
_BLOCK = r"visual\.transformer\.resblocks\.\d+\."
_TARGETS = {
    "visual.trunk.blocks.0.attn.qkv": Targets(
        qkv=_TRUNK + r"attn\.qkv", out=_TRUNK + r"attn\.proj", mlp=_TRUNK + r"mlp\.fc[12]"
    ),
    "visual.transformer.resblocks.0.attn.qkv": Targets(
        qkv=_BLOCK + r"attn\.qkv", out=_BLOCK + r"attn\.out_proj", mlp=_BLOCK + r"mlp\.c_(fc|proj)"
    ),
}


def require_open_clip(adapter: str) -> None:
    """Make open_clip importable.

    Raises MedstressError where the extra is missing, and where another package that calls itself open_clip hides it.
    """
    require_extra("clip", adapter, "open-clip-torch")
    require_extra("clip", adapter, "timm")
    import open_clip

    if not hasattr(open_clip, "create_model_from_pretrained"):
        raise MedstressError(
            f"adapter {adapter} needs open-clip-torch, but {open_clip.__file__} is an older fork under the same name, "
            "such as UniMed-CLIP's. Remove it (also from PYTHONPATH) and pip install 'medstress[clip]', which reads "
            "UniMed-CLIP's weights without its fork."
        )


def build_network(said: Mapping[str, Any], tensors: Mapping[str, Tensor], folder: Path, where: str) -> nn.Module:
    """The network that `said` (model_cfg of open_clip_config.json) describes, with the tensors, float32, on the CPU.

    folder: where config.json of a Hugging Face text tower may lie. Attention of an image tower that has q, k and v in
    one parameter becomes linear layers (:mod:`medstress.models.zeroshot.open_clip_attention`). Raises MedstressError,
    beginning with `where`, for a configuration that describes no such network, and for tensors that are missing,
    unknown or misshapen.
    """
    from open_clip.model import CLIP, CustomTextCLIP, convert_to_custom_text_state_dict

    config = deepcopy(dict(said))
    if "multimodal_cfg" in config:
        raise MedstressError(f"{where}: a CoCa, with a decoder of captions, which adapter open_clip does not read.")
    found = _renamed(tensors)
    try:
        vision, text = config["vision_cfg"], config["text_cfg"]
        vision.pop("timm_model_pretrained", None)
        apart = bool(config.pop("custom_text", False) or text.get("hf_model_name"))
        if apart and "positional_embedding" in found:
            found = convert_to_custom_text_state_dict(found)
        with TemporaryDirectory() as local, torch.random.fork_rng(devices=[]):
            if text.get("hf_model_name"):
                _text_config(found, folder, where).save_pretrained(local)
                text |= {"hf_model_name": local, "hf_model_pretrained": False}
            network: nn.Module = (CustomTextCLIP if apart else CLIP)(**config)
    except (KeyError, TypeError, ValueError, AttributeError, AssertionError, RuntimeError, OSError) as error:
        raise MedstressError(
            f"{where}: its configuration describes no network that open_clip can build ({error!r})."
        ) from error
    if "logit_scale" in found:
        found["logit_scale"] = found["logit_scale"].reshape(network.get_parameter("logit_scale").shape)
    problems = misfits(network.state_dict(), found, "the network that the configuration describes")
    if problems:
        raise MedstressError(f"{where}: the weights do not fit: {'; '.join(problems)}.")
    network.load_state_dict(found, strict=True)
    split_attention(network)
    return network


def _renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without what trainings wrap around names, and without numbered positions, which are no weights."""
    plain = {name.removeprefix("module.").removeprefix("_orig_mod."): value for name, value in tensors.items()}
    return {name: value for name, value in plain.items() if not name.endswith(".embeddings.position_ids")}


def _text_config(tensors: Mapping[str, Tensor], folder: Path, where: str) -> PretrainedConfig:
    """The configuration of a Hugging Face text tower: that of the folder, or the BERT whose shapes the tensors have."""
    from open_clip.hf_configs import arch_dict

    if (folder / "config.json").is_file():
        # A folder of the hub may have a config.json for another loader; that one names no text tower.
        try:
            config: PretrainedConfig = AutoConfig.from_pretrained(folder, local_files_only=True)
        except ValueError:
            config = PretrainedConfig()
        if config.model_type in arch_dict:
            return config
    kinds = tensors.get(f"{_TEXT}embeddings.token_type_embeddings.weight")
    # RoBERTas have the same names and one kind of token; they number positions otherwise.
    if kinds is None or len(kinds) == 1:
        raise MedstressError(
            f"{where}: the text tower is no BERT, whose tensors alone would describe it. Copy config.json of the text "
            f"model into {folder}."
        )
    return bert_config(tensors, _TEXT)


def targets_of(network: nn.Module) -> Targets:
    """Where LoRA may go in an image tower: its blocks, or the convolutions of a ResNet but for its short cuts."""
    modules = dict(network.named_modules())
    for name, targets in _TARGETS.items():
        if name in modules:
            return targets
    return Targets(conv=convolutions(network, "visual."))


def convolutions(network: nn.Module, prefix: str = "") -> str | None:
    """A regular expression for the names of all convolutions below a prefix, short cuts of residual blocks left out.

    None where there are fewer than two: a transformer has one, that cuts its patches.
    """
    names = [
        re.escape(name)
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and name.startswith(prefix) and "downsample" not in name
    ]
    return f"({'|'.join(names)})" if len(names) > 1 else None
