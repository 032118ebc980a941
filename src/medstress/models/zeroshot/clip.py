"""clip: a CLIP in Hugging Face format (Radford et al., "Learning transferable visual models", ICML 2021)."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from torch import Tensor
from transformers import AutoTokenizer, CLIPModel, CLIPTextConfig, CLIPVisionConfig

from medstress.cards.classifier import Clip
from medstress.errors import MedstressError
from medstress.models.hub_folder import GET_AGAIN, load_hub_folder
from medstress.models.zeroshot.clip_pixels import CLIP_MEAN, CLIP_STD, Preprocessing
from medstress.models.zeroshot.encoder import TorchImageText, place
from medstress.models.zeroshot.protocol import Targets

_PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")
_TOKENIZER_FILES = ("tokenizer.json", "vocab.json")
_ATTENTION = r"vision_model\.encoder\.layers\.\d+\.self_attn\."
_BICUBIC, _BILINEAR = 3, 2


def load(card: Clip, root: Path = Path()) -> TorchImageText:
    """The model of a card, whose weights are relative to `root`.

    Raises MedstressError where the folder holds no CLIP or not the one that the card means, where its processor asks
    for what this adapter does not do, and where the device is not there.
    """
    folder, where = root / card.weights, f"model card {card.name}: weights {card.weights!r}"
    model = load_hub_folder(CLIPModel, folder, model_type="clip", adapter=card.adapter, sha256=card.sha256, where=where)
    if not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        raise MedstressError(f"{where}: neither {' nor '.join(_TOKENIZER_FILES)} found in {folder}. {GET_AGAIN}")
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    text, vision = cast(CLIPTextConfig, model.config.text_config), cast(CLIPVisionConfig, model.config.vision_config)
    found = TorchImageText(
        model,
        read_preprocessing(folder, cast(int, vision.image_size), where),
        forward=lambda inputs: model.get_image_features(inputs).pooler_output,
        encoder=r"(vision_model|visual_projection)\.",
        targets=Targets(
            q=_ATTENTION + "q_proj",
            k=_ATTENTION + "k_proj",
            v=_ATTENTION + "v_proj",
            out=_ATTENTION + "out_proj",
            mlp=r"vision_model\.encoder\.layers\.\d+\.mlp\.fc[12]",
        ),
        name=card.name,
        encode_texts=lambda texts: _encoded(model, tokenizer, texts, text.max_position_embeddings),
        scale=math.exp(float(model.logit_scale.detach())),
    )
    place(found, card)
    if card.compiled and found.device.type == "cuda":
        # In place, so that weights keep their names. Compiled when first called, after a strategy added its layers.
        model.vision_model.compile()
    return found


def _encoded(model: CLIPModel, tokenizer: Any, texts: Sequence[str], length: int) -> Tensor:
    """Text features [n, D]: padded to the model's length, so that one text's answer is the same beside any others."""
    tokens = tokenizer(list(texts), padding="max_length", truncation=True, max_length=length, return_tensors="pt")
    device = next(model.parameters()).device
    asked = {name: tokens[name].to(device) for name in ("input_ids", "attention_mask")}
    features: Tensor = model.get_text_features(**asked).pooler_output
    return features


def read_preprocessing(folder: Path, side: int, where: str) -> Preprocessing:
    """What the processor file of a folder says; OpenAI's values where there is none.

    Raises MedstressError, beginning with `where`, with everything that it asks for and this adapter does not do.
    """
    path = next((folder / name for name in _PROCESSOR_FILES if (folder / name).is_file()), None)
    if path is None:
        return Preprocessing(side)
    try:
        said: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise MedstressError(f"{where}: {path.name} is not readable as JSON ({error}). {GET_AGAIN}") from None
    said = said.get("image_processor") or said
    size, crop, square = said.get("size", side), said.get("crop_size", side), {"height": side, "width": side}
    shortest = size in (side, {"shortest_edge": side})
    problems = [
        problem
        for wrong, problem in (
            (not (shortest or size == square), f"size is {size}, but the model takes {side} pixels"),
            (shortest and crop not in (side, square), f"crop_size is {crop}, but the model takes {side} x {side}"),
            (said.get("resample", _BICUBIC) not in (_BICUBIC, _BILINEAR), f"resample is {said.get('resample')}"),
            (not said.get("do_resize", True), "do_resize is off; images could not reach the model's size"),
            (shortest and not said.get("do_center_crop", True), "do_center_crop is off; images would not be square"),
            (not said.get("do_rescale", True), "do_rescale is off"),
        )
        if wrong
    ]
    if problems:
        raise MedstressError("\n".join(f"{where}: {path.name}: {problem}." for problem in problems))
    plain = not said.get("do_normalize", True)
    return Preprocessing(
        side,
        mean=(0.0, 0.0, 0.0) if plain else tuple(said.get("image_mean", CLIP_MEAN)),
        std=(1.0, 1.0, 1.0) if plain else tuple(said.get("image_std", CLIP_STD)),
        interpolation="bilinear" if said.get("resample") == _BILINEAR else "bicubic",
        mode="shortest" if shortest else "squash",
    )
