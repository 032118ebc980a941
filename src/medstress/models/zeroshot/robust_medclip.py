"""robust_medclip: RobustMedCLIP (Imam et al., "On the robustness of medical vision-language models", arXiv 2505.15425).

BiomedCLIP's ViT or MedCLIP's ResNet-50 with LoRA. Cosines are logits, as in its publication: its files hold no scale.
"""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from medstress.cards.classifier import RobustMedClip
from medstress.models.torchvision_bridge import require_extra
from medstress.models.weight_file import check_weight_file, read_tensors
from medstress.models.zeroshot.biomedclip_towers import VIT_TARGETS, biomed_text, biomed_vision, image_side
from medstress.models.zeroshot.clip_pixels import Preprocessing
from medstress.models.zeroshot.encoder import TorchImageText
from medstress.models.zeroshot.medclip_towers import RESNET_TARGETS, SIDE, ResNetTower, clinical_text
from medstress.models.zeroshot.robust_medclip_lora import (
    HEADS,
    LORA_FILE,
    TEXT,
    VIT,
    changed_layers,
    check_copies,
    check_published_lora,
    lora_shapes,
    merged,
    numbered_names,
    published_name,
)
from medstress.models.zeroshot.towers import Towers, check_names, fill, image_text_model, learned, sized_by

MODEL_FILE = "model.pth"
# BiomedCLIP's context; of Bio_ClinicalBERT, the places that it has.
_LONGEST_TEXT = {"vit": 256, "resnet": 512}


def load(card: RobustMedClip, root: Path = Path()) -> TorchImageText:
    """The model of a card, whose files are relative to `root`, its LoRA merged into the weights.

    Raises MedstressError where model.pth or the tokenizer is missing, broken or not what the card means, where
    lora_weights.safetensors beside it is of another model, where the ResNet lacks its extra, and where the device is
    not there.
    """
    vit = card.vision == "vit"
    if not vit:
        require_extra("clip", card.adapter, "torchvision")
    where = f"model card {card.name}: weights {card.weights!r}"
    path = root / card.weights / MODEL_FILE
    check_weight_file(path, card.sha256, where)
    tensors = learned(read_tensors(path, where))
    what = f"RobustMedCLIP with vision: {card.vision}"
    with sized_by(tensors, what, where):
        network = _vit(tensors) if vit else _resnet(tensors)
        side = image_side(tensors, VIT) if vit else SIDE
        layers = changed_layers(tensors, card.vision)
        wanted = {published_name(name, card.vision): tensor.shape for name, tensor in network.state_dict().items()}
        wanted |= lora_shapes(layers, tensors)
    check_names(wanted, tensors, what, where)
    check_copies(layers, tensors, where)
    if (path.parent / LORA_FILE).is_file():
        names = numbered_names(layers, tensors, HEADS[card.vision])
        check_published_lora(path.parent / LORA_FILE, names, tensors, where)
    fill(network, tensors | merged(layers, tensors), lambda name: published_name(name, card.vision))
    return image_text_model(
        network,
        card,
        root=root,
        pixels=Preprocessing(side, centre="round"),
        targets=VIT_TARGETS if vit else RESNET_TARGETS,
        longest=_LONGEST_TEXT[card.vision],
        scale=1.0,
    )


def _vit(tensors: Mapping[str, Tensor]) -> Towers:
    text = biomed_text(tensors, TEXT)
    return Towers(biomed_vision(tensors, VIT), text, text.transformer.config.vocab_size)


def _resnet(tensors: Mapping[str, Tensor]) -> Towers:
    text = clinical_text(tensors, TEXT)
    return Towers(ResNetTower(text.projection_head.out_features), text, text.model.config.vocab_size)
