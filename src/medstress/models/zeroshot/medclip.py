"""medclip: MedCLIP (Wang et al., "MedCLIP: contrastive learning from unpaired medical images and text", EMNLP 2022)."""

import math
from pathlib import Path

from torch import Size

from medstress.cards.classifier import MedClip
from medstress.models.torchvision_bridge import require_extra
from medstress.models.weight_file import check_weight_file, read_tensors
from medstress.models.zeroshot.encoder import TorchImageText
from medstress.models.zeroshot.medclip_towers import (
    RESNET_TARGETS,
    SIDE,
    SWIN_TARGETS,
    ResNetTower,
    clinical_text,
    published_swin_name,
    swin_tower,
)
from medstress.models.zeroshot.padded_grey import PaddedGrey
from medstress.models.zeroshot.towers import Towers, check_names, fill, image_text_model, learned, sized_by

_LONGEST_TEXT = 77
# What its authors hold the logarithm of the logit scale between: at most 100.
_LOG_SCALE = (0.0, 4.6052)
_SCALE = "logit_scale"


def load(card: MedClip, root: Path = Path()) -> TorchImageText:
    """The model of a card, whose files are relative to `root`.

    Raises MedstressError where the file of weights or the tokenizer is missing, broken or not what the card means,
    where the ResNet lacks its extra, and where the device is not there.
    """
    swin = card.vision == "swin"
    if not swin:
        require_extra("clip", card.adapter, "torchvision")
    where = f"model card {card.name}: weights {card.weights!r}"
    check_weight_file(root / card.weights, card.sha256, where)
    tensors = learned(read_tensors(root / card.weights, where))
    what = f"MedCLIP with vision: {card.vision}"
    with sized_by(tensors, what, where):
        text = clinical_text(tensors, "text_model.")
        width = text.projection_head.out_features
        vision = swin_tower(tensors, "vision_model.") if swin else ResNetTower(width)
        network = Towers(vision, text, text.model.config.vocab_size)
    wanted = {_published(name): tensor for name, tensor in network.state_dict().items()} | {_SCALE: Size()}
    check_names(wanted, tensors, what, where)
    fill(network, tensors, _published)
    low, high = _LOG_SCALE
    return image_text_model(
        network,
        card,
        root=root,
        pixels=PaddedGrey(SIDE),
        targets=SWIN_TARGETS if swin else RESNET_TARGETS,
        longest=_LONGEST_TEXT,
        scale=math.exp(min(max(float(tensors[_SCALE]), low), high)),
    )


def _published(name: str) -> str:
    """The name in the released file of a tensor of the network."""
    if name.startswith("vision."):
        name = published_swin_name(name)
    tower, rest = name.split(".", 1)
    return f"{tower}_model.{rest}"
