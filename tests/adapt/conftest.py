"""A random SAM of a few thousand weights, and a data set whose splits can be told apart by their pixels."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from transformers import SamConfig, SamMaskDecoderConfig, SamModel, SamPromptEncoderConfig, SamVisionConfig

from medstress.cards.segmenter import Sam
from medstress.cards.strategy import Strategy
from medstress.pixels import box_of, encode_mask, encode_png
from medstress.records import ImageRow, ObjectRow, SampleRow, write_rows
from medstress.seeds import generator

SIDE = 64
# The grey level that the objects of a split have: whatever reaches the optimiser shows where it came from.
SHADES = {"train": 200, "val": 120, "test": 60}


METHODS = (
    "full",
    "decoder_only",
    "decoder_prompt",
    "encoder_partial",
    "adapter_only",
    "lora",
    "lora_plus_encoder",
    "lora_plus_decoder",
)
_OWN = {
    "encoder_partial": {"blocks": 1},
    "adapter_only": {"width": 4},
    **{method: {"rank": 2} for method in METHODS if method.startswith("lora")},
}


def strategy(method, **changes) -> Strategy:
    """A strategy for three steps, with changes."""
    common = {"title": method, "train_on": ["splits"], "learning_rate": 0.01, "steps": 3, "batch": 2, "check_every": 3}
    values = {"name": method, "method": method, **common, **_OWN.get(method, {}), **changes}
    return TypeAdapter(Strategy).validate_python(values)


@dataclass(frozen=True)
class Dataset:
    images: Path
    samples: Path


@pytest.fixture(scope="session")
def card(tmp_path_factory) -> Sam:
    torch.manual_seed(0)
    config = SamConfig(
        vision_config=SamVisionConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=SIDE,
            patch_size=8,
            mlp_dim=64,
            output_channels=32,
            num_pos_feats=16,
            window_size=4,
            global_attn_indexes=[1],
            initializer_range=0.1,
        ).to_dict(),
        prompt_encoder_config=SamPromptEncoderConfig(hidden_size=32, image_size=SIDE, patch_size=8).to_dict(),
        mask_decoder_config=SamMaskDecoderConfig(
            hidden_size=32, mlp_dim=64, num_hidden_layers=2, num_attention_heads=2, iou_head_hidden_dim=32
        ).to_dict(),
        initializer_range=0.1,
    )
    folder = tmp_path_factory.mktemp("random_sam")
    SamModel(config).save_pretrained(folder)
    return Sam(
        name="random_sam", title="Random SAM", adapter="sam", weights=str(folder), device="cpu", mask_prompt=True
    )


@pytest.fixture(scope="session")
def dataset(tmp_path_factory) -> Dataset:
    folder = tmp_path_factory.mktemp("splits")
    images, samples = [], []
    rows, columns = np.indices((SIDE, SIDE))
    for index, split in enumerate(["train"] * 4 + ["val"] * 2 + ["test"] * 2):
        rng = generator(index)
        masks = [
            (rows - rng.uniform(16, 22)) ** 2 + (columns - rng.uniform(16, 22)) ** 2 < 64,
            (rows - rng.uniform(42, 48)) ** 2 + (columns - rng.uniform(42, 48)) ** 2 < 49,
        ]
        picture = (np.any(masks, axis=0) * SHADES[split]).astype(np.uint8)
        images.append(ImageRow(f"{split}{index}", f"g{index}", split, "ct", encode_png(picture), SIDE, SIDE))
        objects = tuple(ObjectRow(str(i), "disc", box_of(mask), encode_mask(mask)) for i, mask in enumerate(masks))
        samples.append(SampleRow(f"{split}{index}", f"{split}{index}", "segmentation", objects))
    write_rows(folder / "images.parquet", ImageRow, images)
    write_rows(folder / "samples.parquet", SampleRow, samples)
    return Dataset(folder / "images.parquet", folder / "samples.parquet")
