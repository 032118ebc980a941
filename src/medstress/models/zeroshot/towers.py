"""Image-text models that keep an image encoder and a text encoder in one file of tensors."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Size, Tensor, nn

from medstress.cards.classifier import MedClip, RobustMedClip
from medstress.errors import MedstressError
from medstress.models.weight_file import misfits
from medstress.models.zeroshot.bert_text import encode_one_by_one, read_tokenizer
from medstress.models.zeroshot.encoder import Pixels, TorchImageText, place
from medstress.models.zeroshot.protocol import Targets

# Which place is which: persistent buffers of older versions of transformers, that hold nothing learned.
_COUNTED = (".position_ids", ".relative_position_index")

# How a tensor's name begins in the file of one model alone.
_SIGNS = {
    "vision_model.projection_head.": "MedCLIP with vision: swin",
    "vision_model.model.layer1.": "MedCLIP with vision: resnet50",
    "lora_vit.": "RobustMedCLIP with vision: vit",
    "lora_resnet.": "RobustMedCLIP with vision: resnet",
}


class Towers(nn.Module):
    """An image encoder, inputs [n, 3, S, S] to [n, D], and a text encoder, tokens [1, n] to [1, D].

    words: how many the text encoder knows.
    """

    def __init__(self, vision: nn.Module, text: nn.Module, words: int) -> None:
        super().__init__()
        self.words = words
        self.vision = vision
        self.text = text

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def forward(self, inputs: Tensor) -> Tensor:
        """Features of images, not of unit length."""
        features: Tensor = self.vision(inputs)
        return features


def learned(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a file without those that count places."""
    return {name: tensor for name, tensor in tensors.items() if not name.endswith(_COUNTED)}


@contextmanager
def sized_by(found: Mapping[str, Tensor], what: str, where: str) -> Iterator[None]:
    """For building the network that a file's tensors describe; torch's random numbers stay as they are.

    Raises MedstressError where a tensor that tells a size is not in the file.
    """
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    except KeyError as error:
        raise MedstressError(f"{where} is no {what}: {error.args[0]} not in the file.{_advice(what, found)}") from None


def check_names(wanted: Mapping[str, Tensor | Size], found: Mapping[str, Tensor], what: str, where: str) -> None:
    """Raise MedstressError where the names and shapes of a file are not those of `what`, with the first that differ."""
    if problems := misfits(wanted, found, what):
        raise MedstressError(f"{where} is no {what}: {'; '.join(problems)}.{_advice(what, found)}")


def _advice(what: str, found: Mapping[str, Tensor]) -> str:
    """What a file looks made for, where that is something else and can be told."""
    likely = next((model for name in found for beginning, model in _SIGNS.items() if name.startswith(beginning)), what)
    return f" It looks like {likely}." if likely != what else ""


def fill(network: nn.Module, tensors: Mapping[str, Tensor], published: Callable[[str], str]) -> None:
    """Put the tensors of a file into a network, in float32; `published`: from the network's names to the file's."""
    network.load_state_dict({name: tensors[published(name)].float() for name in network.state_dict()}, strict=True)


def image_text_model(
    network: Towers,
    card: MedClip | RobustMedClip,
    *,
    root: Path,
    pixels: Pixels,
    targets: Targets,
    longest: int,
    scale: float,
) -> TorchImageText:
    """The model of two towers, on the device that its card wants.

    longest: tokens of a text. Raises MedstressError where the tokenizer does not fit or the device is not there.
    """
    tokenizer = read_tokenizer(root / card.text, network.words, f"model card {card.name}: text {card.text!r}")
    found = TorchImageText(
        network,
        pixels,
        forward=network.forward,
        encoder=r"vision\.",
        targets=targets,
        name=card.name,
        encode_texts=encode_one_by_one(network.text, tokenizer, longest, lambda: network.device),
        scale=scale,
    )
    place(found, card)
    if card.compiled and found.device.type == "cuda":
        # In place, so that weights keep their names.
        network.vision.compile()
    return found
