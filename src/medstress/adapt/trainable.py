"""Which weights a strategy trains, and how they are kept."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from medstress.cards.strategy import DecoderOnly, Full, Lora, Strategy
from medstress.errors import MedstressError
from medstress.pixels import Box, Image, Mask
from medstress.records import atomic_path

# The fused query, key and value projection of every block of SAM's image encoder.
_QKV = r"vision_encoder\.layers\.\d+\.attn\.qkv"
_DECODER = "mask_decoder."


class TrainableSegmenter(Protocol):
    """A promptable segmenter whose loss lets gradients through the very path that is scored."""

    @property
    def model(self) -> nn.Module:
        """What is trained."""
        ...

    def loss(self, images: Sequence[Image], boxes: Sequence[Sequence[Box]], masks: Sequence[Sequence[Mask]]) -> Tensor:
        """A scalar over all objects."""
        ...

    def predict(self, images: Sequence[Image], boxes: Sequence[Sequence[Box]]) -> list[list[Mask]]:
        """See :class:`medstress.models.segmentation.protocol.Segmenter`."""
        ...


def apply_strategy(model: nn.Module, strategy: Strategy, seed: int) -> None:
    """Make `model` train what the strategy says and nothing else, in place.

    LoRA layers are added with B = 0, so the model answers as before; A is drawn from the seed.
    """
    match strategy:
        case Full():
            model.requires_grad_(True)
        case DecoderOnly():
            for name, parameter in model.named_parameters():
                parameter.requires_grad_(name.startswith(_DECODER))
        case Lora():
            from peft import LoraConfig, inject_adapter_in_model

            torch.manual_seed(seed)
            config = LoraConfig(r=strategy.rank, lora_alpha=strategy.alpha, target_modules=_QKV, lora_dropout=0.0)
            inject_adapter_in_model(config, model)
            for name, parameter in model.named_parameters():
                parameter.requires_grad_("lora_" in name)


def trained_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The weights that train, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def parameter_counts(model: nn.Module) -> tuple[int, int]:
    """Trained parameters, and all of them, added ones included."""
    trained = sum(parameter.numel() for parameter in trained_tensors(model).values())
    return trained, sum(parameter.numel() for parameter in model.parameters())


def save_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    """Write tensors as safetensors, whole or not at all."""
    with atomic_path(path) as temporary:
        save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, temporary)


def load_tensors(model: nn.Module, path: Path) -> None:
    """Put saved tensors into a model to which the same strategy was applied.

    Raises MedstressError where the file cannot be read, or a tensor is missing, unexpected or of another shape.
    """
    try:
        saved = load_file(path)
    except FileNotFoundError:
        raise MedstressError(f"{path}: no such checkpoint. Run the rule that makes it: snakemake {path}") from None
    except SafetensorError as error:
        raise MedstressError(
            f"{path}: not a readable safetensors file ({error}). Delete it and run the same command again."
        ) from None
    wanted = trained_tensors(model)
    wrong = [f"missing {name}" for name in wanted if name not in saved]
    wrong += [f"unexpected {name}" for name in saved if name not in wanted]
    wrong += [
        f"{name} is {list(saved[name].shape)}, expected {list(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in saved and saved[name].shape != tensor.shape
    ]
    if wrong:
        raise MedstressError(
            f"{path} does not fit this model and strategy: {'; '.join(wrong[:5])}. "
            "Delete it and run the same command again."
        )
    with torch.no_grad():
        for name, tensor in wanted.items():
            tensor.copy_(saved[name])
