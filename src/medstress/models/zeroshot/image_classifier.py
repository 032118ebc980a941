"""image_classifier: an architecture of timm or torchvision with your own weights, without text. Needs the extra `clip`.

Its outputs are logits of the classes that its card lists, in this order.
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from medstress.cards.classifier import ImageClassifier
from medstress.errors import MedstressError
from medstress.models.torchvision_bridge import require_extra
from medstress.models.weight_file import check_weight_file, misfits, read_tensors
from medstress.models.zeroshot.clip_pixels import Preprocessing
from medstress.models.zeroshot.encoder import TorchEncoder, place
from medstress.models.zeroshot.open_clip_network import convolutions
from medstress.models.zeroshot.protocol import Targets

# What trainings put a state dict under; `net` is MedMNIST's.
_STATE = ("state_dict", "model", "net")
_BLOCK = r"blocks\.\d+\."
_TRANSFORMER = Targets(qkv=_BLOCK + r"attn\.qkv", out=_BLOCK + r"attn\.proj", mlp=_BLOCK + r"mlp\.fc[12]")


def load(card: ImageClassifier, root: Path = Path()) -> TorchEncoder:
    """The classifier of a card, whose weights are relative to `root`.

    Raises MedstressError where the extra is missing, the package has no such architecture, the file is missing, broken
    or does not fit it, and where the device is not there. Sets the number of threads that torch uses in this process.
    """
    require_extra("clip", card.adapter, card.library)
    where = f"model card {card.name}: weights {card.weights!r}"
    path = root / card.weights
    check_weight_file(path, card.sha256, where)
    with torch.random.fork_rng(devices=[]):
        network = _network(card)
    tensors = {name.removeprefix("module."): value for name, value in read_tensors(path, where, inside=_STATE).items()}
    problems = misfits(network.state_dict(), tensors, f"{card.library}'s {card.architecture}")
    if problems:
        raise MedstressError(
            f"{where}: {path.name} does not fit {card.library}'s {card.architecture} with {len(card.classes)} classes "
            f"and {card.side} pixels: {'; '.join(problems)}."
        )
    network.load_state_dict(tensors, strict=True)
    found = TorchEncoder(
        network,
        Preprocessing(card.side, mean=card.mean, std=card.std, mode="squash"),
        forward=network,
        encoder="",
        targets=_targets(network),
        name=card.name,
        unit=False,
    )
    place(found, card)
    if card.compiled and found.device.type == "cuda":
        network.compile()
    return found


def _network(card: ImageClassifier) -> nn.Module:
    """The architecture with drawn weights."""
    network: nn.Module
    if card.library == "torchvision":
        from torchvision import models

        if card.architecture not in models.list_models(module=models):
            raise _unknown(card)
        network = models.get_model(card.architecture, weights=None, num_classes=len(card.classes))
        return network
    import timm

    # Names with a place before them would be looked up on the hub.
    if not timm.is_model(card.architecture):
        raise _unknown(card)
    settings: dict[str, Any] = {}
    known = timm.get_pretrained_cfg(card.architecture)
    if known is not None and known.fixed_input_size:
        settings["img_size"] = card.side
    network = timm.create_model(card.architecture, pretrained=False, num_classes=len(card.classes), **settings)
    return network


def _unknown(card: ImageClassifier) -> MedstressError:
    return MedstressError(
        f"model card {card.name}: {card.library} has no image classifier called {card.architecture!r}. Correct "
        "`architecture`, or `library` if it is the other's."
    )


def _targets(network: nn.Module) -> Targets:
    """The blocks of timm's transformers, or all convolutions but those of short cuts."""
    modules = dict(network.named_modules())
    return _TRANSFORMER if "blocks.0.attn.qkv" in modules else Targets(conv=convolutions(network))
