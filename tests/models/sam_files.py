"""Small SAMs with random weights, in the original format and in Hugging Face's, and pictures of all kinds."""

from pathlib import Path

import numpy as np
import torch
from transformers import SamConfig, SamMaskDecoderConfig, SamModel, SamPromptEncoderConfig, SamVisionConfig

from medstress.cards.segmenter import MedSam, Sam

SIDE = 64
BOXES = [(10.0, 5.0, 40.0, 60.0), (0.0, 0.0, 33.0, 29.0), (20.5, 30.25, 41.0, 50.0)]


def grey(height=90, width=120, seed=1):
    return np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)


def colour(height=90, width=120, seed=1):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def original_layout(
    width,
    depth,
    heads,
    whole,
    *,
    channels=256,
    grid=64,
    patch=16,
    window=14,
    mlp=4,
    decoder_mlp=2048,
    masks=16,
    iou=256,
):
    """Names and shapes of an original SAM file, written down from the format and not from our conversion.

    `whole` are the blocks that attend to the whole image.
    """
    found = {
        "image_encoder.pos_embed": (1, grid, grid, width),
        "image_encoder.patch_embed.proj.weight": (width, 3, patch, patch),
        "image_encoder.patch_embed.proj.bias": (width,),
        "image_encoder.neck.0.weight": (channels, width, 1, 1),
        "image_encoder.neck.2.weight": (channels, channels, 3, 3),
        "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix": (2, channels // 2),
        "prompt_encoder.not_a_point_embed.weight": (1, channels),
        "prompt_encoder.no_mask_embed.weight": (1, channels),
        "mask_decoder.iou_token.weight": (1, channels),
        "mask_decoder.mask_tokens.weight": (4, channels),
    }

    def layer(name, *shape):
        found[f"{name}.weight"], found[f"{name}.bias"] = shape, shape[:1]

    def transposed(name, *shape):
        found[f"{name}.weight"], found[f"{name}.bias"] = shape, shape[1:2]

    layer("image_encoder.neck.1", channels)
    layer("image_encoder.neck.3", channels)
    for index in range(depth):
        block = f"image_encoder.blocks.{index}"
        rows = 2 * (grid if index in whole else window) - 1
        layer(f"{block}.norm1", width)
        layer(f"{block}.norm2", width)
        layer(f"{block}.attn.qkv", 3 * width, width)
        layer(f"{block}.attn.proj", width, width)
        layer(f"{block}.mlp.lin1", mlp * width, width)
        layer(f"{block}.mlp.lin2", width, mlp * width)
        found[f"{block}.attn.rel_pos_h"] = found[f"{block}.attn.rel_pos_w"] = (rows, width // heads)
    for index in range(4):
        found[f"prompt_encoder.point_embeddings.{index}.weight"] = (1, channels)
    layer("prompt_encoder.mask_downscaling.0", masks // 4, 1, 2, 2)
    layer("prompt_encoder.mask_downscaling.1", masks // 4)
    layer("prompt_encoder.mask_downscaling.3", masks, masks // 4, 2, 2)
    layer("prompt_encoder.mask_downscaling.4", masks)
    layer("prompt_encoder.mask_downscaling.6", channels, masks, 1, 1)

    def attention(name, inner):
        for projection in ("q_proj", "k_proj", "v_proj"):
            layer(f"{name}.{projection}", inner, channels)
        layer(f"{name}.out_proj", channels, inner)

    for index in range(2):
        block = f"mask_decoder.transformer.layers.{index}"
        attention(f"{block}.self_attn", channels)
        attention(f"{block}.cross_attn_token_to_image", channels // 2)
        attention(f"{block}.cross_attn_image_to_token", channels // 2)
        layer(f"{block}.mlp.lin1", decoder_mlp, channels)
        layer(f"{block}.mlp.lin2", channels, decoder_mlp)
        for norm in range(1, 5):
            layer(f"{block}.norm{norm}", channels)
    attention("mask_decoder.transformer.final_attn_token_to_image", channels // 2)
    layer("mask_decoder.transformer.norm_final_attn", channels)
    transposed("mask_decoder.output_upscaling.0", channels, channels // 4, 2, 2)
    layer("mask_decoder.output_upscaling.1", channels // 4)
    transposed("mask_decoder.output_upscaling.3", channels // 4, channels // 8, 2, 2)
    for index in range(4):
        head = f"mask_decoder.output_hypernetworks_mlps.{index}.layers"
        layer(f"{head}.0", channels, channels)
        layer(f"{head}.1", channels, channels)
        layer(f"{head}.2", channels // 8, channels)
    layer("mask_decoder.iou_prediction_head.layers.0", iou, channels)
    layer("mask_decoder.iou_prediction_head.layers.1", iou, iou)
    layer("mask_decoder.iou_prediction_head.layers.2", 4, iou)
    return found


def tiny_original(seed=1):
    """An original state dict of a SAM of 64 x 64 pixels with random weights, whose masks are neither full nor empty."""
    drawn = torch.Generator().manual_seed(seed)
    shapes = original_layout(24, 2, 2, {1}, channels=16, grid=4, window=3, mlp=2, decoder_mlp=32, iou=16)
    state = {}
    for name, shape in shapes.items():
        last = name.startswith(("mask_decoder.output_hyper", "mask_decoder.output_up")) and len(shape) > 1
        norm = len(shape) == 1 and name.endswith("weight")
        state[name] = torch.randn(shape, generator=drawn) * (1.5 if last else 0.5) + norm
    return state


def tiny_model(seed=5):
    """A transformers SamModel of 64 x 64 pixels with random weights of ordinary size."""
    torch.manual_seed(seed)
    vision = SamVisionConfig(
        hidden_size=24, output_channels=16, num_hidden_layers=2, num_attention_heads=2, image_size=SIDE, patch_size=16,
        mlp_dim=32, window_size=3, global_attn_indexes=[1], num_pos_feats=8, initializer_range=0.3,
    )  # fmt: skip
    prompt = SamPromptEncoderConfig(hidden_size=16, image_size=SIDE, patch_size=16, mask_input_channels=8)
    decoder = SamMaskDecoderConfig(hidden_size=16, mlp_dim=32, num_attention_heads=2, iou_head_hidden_dim=16)
    return SamModel(
        SamConfig(
            vision_config=vision.to_dict(),
            prompt_encoder_config=prompt.to_dict(),
            mask_decoder_config=decoder.to_dict(),
            initializer_range=0.3,
        )
    )


def sam_card(weights: Path, **changes) -> Sam:
    return Sam(name="other", title="Other", adapter="sam", weights=str(weights), **({"batch": 2} | changes))


def medsam_card(weights: Path, **changes) -> MedSam:
    return MedSam(name="med", title="Med", adapter="medsam", weights=str(weights), **({"batch": 2} | changes))
