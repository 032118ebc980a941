"""RobustMedCLIP's LoRA in both published layouts (Imam et al., arXiv 2505.15425): names, files, and what it adds.

model.pth holds every tensor, with LoRA beside the weights that it changes. lora_weights.safetensors numbers pairs A
[rank, in] and B [out, rank] in the order of the network (w_a_000, w_b_000, ...) and holds the image encoder's last
projection (fc_768in_512out). Of the ViT it leaves out the pairs of the keys, which the release trained too,
so it cannot replace model.pth. The update is B A, without a scale.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import save_file
from torch import Size, Tensor

from medstress.errors import MedstressError
from medstress.models.weight_file import first_of, misfits, read_tensors
from medstress.models.zeroshot.bert_text import count_layers

LORA_FILE = "lora_weights.safetensors"
VIT, RESNET, TEXT = "lora_vit.lora_vit.", "lora_resnet.lora_medclip.", "text_encoder."
HEADS = {"vit": f"{VIT}head.proj.weight", "resnet": f"{RESNET}model.fc.weight"}
"""The image encoder's last projection in model.pth."""

Vision = Literal["vit", "resnet"]
_BLOCKS = (3, 4, 6, 3)
"""Bottlenecks in each stage of a ResNet-50."""
_CONVOLUTIONS = (
    "conv1",
    *(
        f"layer{stage}.{block}.conv{place}"
        for stage, count in enumerate(_BLOCKS, 1)
        for block in range(count)
        for place in (1, 2, 3)
    ),
)


@dataclass(frozen=True)
class Changed:
    """A layer with LoRA, under the names of model.pth: `weight` and its pairs, whose updates lie below one another.

    numbered: which of the pairs lora_weights.safetensors has. copies: further names of the same pairs.
    """

    weight: str
    pairs: tuple[tuple[str, str], ...]
    numbered: tuple[int, ...]
    copies: tuple[tuple[str, str], ...] = ()


def changed_layers(tensors: Mapping[str, Tensor], vision: Vision) -> list[Changed]:
    """The layers with LoRA in the order of the network: every block's qkv, or all convolutions off the shortcuts."""
    if vision == "vit":
        depth = count_layers(tensors, rf"{re.escape(VIT)}trunk\.blocks\.(\d+)\.")
        places = [f"{VIT}trunk.blocks.{block}.attn.qkv." for block in range(depth)]
        pair = "{0}linear_a_{1}.weight", "{0}linear_b_{1}.weight"
        return [
            Changed(
                f"{place}qkv.weight",
                tuple((pair[0].format(place, part), pair[1].format(place, part)) for part in "qkv"),
                numbered=(0, 2),
            )
            for place in places
        ]
    return [
        Changed(
            f"{RESNET}model.{name}.conv.weight",
            ((f"{RESNET}model.{name}.linear_a.weight", f"{RESNET}model.{name}.linear_b.weight"),),
            numbered=(0,),
            copies=((f"lora_resnet.w_As.{index}.weight", f"lora_resnet.w_Bs.{index}.weight"),),
        )
        for index, name in enumerate(_CONVOLUTIONS)
    ]


def published_name(name: str, vision: Vision) -> str:
    """The name in model.pth of a tensor of the network, :class:`medstress.models.zeroshot.towers.Towers`."""
    tower, rest = name.split(".", 1)
    if tower == "text":
        return TEXT + rest
    if vision == "vit":
        return VIT + re.sub(r"\.attn\.qkv\.", ".attn.qkv.qkv.", rest)
    return RESNET + re.sub(r"^model\.(conv1|layer\d\.\d+\.conv\d)\.", r"model.\1.conv.", rest)


def lora_shapes(layers: list[Changed], tensors: Mapping[str, Tensor]) -> dict[str, Size]:
    """Names and shapes of all LoRA tensors of model.pth, for the rank that its first one has. KeyError without it."""
    rank = tensors[layers[0].pairs[0][0]].shape[0]
    shapes: dict[str, Size] = {}
    for layer in layers:
        out, inputs = tensors[layer.weight].shape[:2]
        for down, up in (*layer.pairs, *layer.copies):
            shapes |= {down: Size([rank, inputs]), up: Size([out // len(layer.pairs), rank])}
    return shapes


def merged(layers: list[Changed], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The changed weights with their updates, by their names in model.pth; float32.

    A kernel gets its update at the centre. The release adds it to a convolution's output from the pixel that each
    output has under the kernel's centre: with a stride it resizes by nearest neighbour, which takes every second pixel
    of an even side, and all sides of a ResNet are even at 224 pixels.
    """
    found = {}
    for layer in layers:
        update = torch.cat([tensors[up].double() @ tensors[down].double() for down, up in layer.pairs])
        weight = tensors[layer.weight].double()
        if weight.ndim == 4:
            weight = weight.clone()
            weight[:, :, weight.shape[2] // 2, weight.shape[3] // 2] += update
        else:
            weight = weight + update
        found[layer.weight] = weight.float()
    return found


def check_copies(layers: list[Changed], tensors: Mapping[str, Tensor], where: str) -> None:
    """Raise MedstressError where model.pth has a pair under two names and two values."""
    names = [
        (name, copy)
        for layer in layers
        for pair, twin in zip(layer.pairs, layer.copies, strict=False)
        for name, copy in zip(pair, twin, strict=True)
    ]
    if differing := [copy for name, copy in names if not torch.equal(tensors[name], tensors[copy])]:
        raise MedstressError(f"{where}: {first_of(differing)} not the same as under the layers' own names.")


def numbered_names(layers: list[Changed], tensors: Mapping[str, Tensor], head: str) -> dict[str, str]:
    """The names of lora_weights.safetensors, each with that of the same tensor in model.pth; `head`: the projection."""
    pairs = [layer.pairs[index] for layer in layers for index in layer.numbered]
    out, inputs = tensors[head].shape
    names = {f"w_a_{index:03d}": down for index, (down, _) in enumerate(pairs)}
    names |= {f"w_b_{index:03d}": up for index, (_, up) in enumerate(pairs)}
    return names | {f"fc_{inputs}in_{out}out": head}


def check_published_lora(path: Path, names: Mapping[str, str], tensors: Mapping[str, Tensor], where: str) -> None:
    """Look whether lora_weights.safetensors holds what model.pth does.

    The release writes both from one model, so a difference means that they belong to two. Raises MedstressError, with
    the first names that differ.
    """
    found = read_tensors(path, where)
    if problems := misfits({short: tensors[name] for short, name in names.items()}, found, "model.pth beside it"):
        raise MedstressError(f"{where}: {path.name} does not fit: {'; '.join(problems)}. Get both files of one folder.")
    if differing := [short for short, name in names.items() if not torch.equal(found[short], tensors[name])]:
        raise MedstressError(
            f"{where}: {first_of(differing)} in {path.name} differ from model.pth, so the files belong to two models. "
            "Get both files of one folder, or take the wrong one away."
        )


def write_published_lora(path: Path, names: Mapping[str, str], tensors: Mapping[str, Tensor]) -> None:
    """Write the tensors of a model.pth that lora_weights.safetensors has, under its names."""
    save_file({short: tensors[name].contiguous() for short, name in names.items()}, path)
