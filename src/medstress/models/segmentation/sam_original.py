"""Checkpoints in the original format (sam_vit_b/l/h, medsam_vit_b.pth): the names of the segment-anything package.

A file holds a state dict, bare or under "model" as training scripts save it. Everything about the architecture is read
from the tensors' shapes, but for the number of attention heads of the mask decoder, which is 8 in all of them.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from transformers import SamConfig, SamMaskDecoderConfig, SamModel, SamPromptEncoderConfig, SamVisionConfig

from medstress.errors import MedstressError
from medstress.models.segmentation.likely_adapter import likely_adapter
from medstress.models.weight_file import misfits, read_tensors

_DECODER_HEADS = 8
# The norms of the decoder's attention blocks have PyTorch's own epsilon there, and 1e-6 by default in transformers.
_DECODER_EPSILON = 1e-5

_POSITIONS = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
# From the names of transformers' SamModel to the original ones, one after another.
_RENAMED = (
    (r"^shared_image_embedding\.positional_embedding$", _POSITIONS),
    (r"^prompt_encoder\.shared_embedding\.positional_embedding$", _POSITIONS),
    (r"^vision_encoder\.layers\.", "image_encoder.blocks."),
    (r"^vision_encoder\.", "image_encoder."),
    (r"\.patch_embed\.projection\.", ".patch_embed.proj."),
    (r"\.neck\.conv1\.", ".neck.0."),
    (r"\.neck\.layer_norm1\.", ".neck.1."),
    (r"\.neck\.conv2\.", ".neck.2."),
    (r"\.neck\.layer_norm2\.", ".neck.3."),
    (r"\.mask_embed\.conv1\.", ".mask_downscaling.0."),
    (r"\.mask_embed\.layer_norm1\.", ".mask_downscaling.1."),
    (r"\.mask_embed\.conv2\.", ".mask_downscaling.3."),
    (r"\.mask_embed\.layer_norm2\.", ".mask_downscaling.4."),
    (r"\.mask_embed\.conv3\.", ".mask_downscaling.6."),
    (r"\.point_embed\.", ".point_embeddings."),
    (r"\.upscale_conv1\.", ".output_upscaling.0."),
    (r"\.upscale_layer_norm\.", ".output_upscaling.1."),
    (r"\.upscale_conv2\.", ".output_upscaling.3."),
    (r"\.layer_norm_final_attn\.", ".norm_final_attn."),
    (r"\.layer_norm(\d)\.", r".norm\1."),
)
_HEAD = re.compile(r"^(mask_decoder\.(?:output_hypernetworks_mlps\.\d+|iou_prediction_head))\.(.*)\.(weight|bias)$")


def original_name(name: str, *, iou_depth: int) -> str:
    """The original name of a tensor of transformers' SamModel, whose IoU head has `iou_depth` layers."""
    if head := _HEAD.match(name):
        where, layer, kind = head.groups()
        last = (iou_depth if where.endswith("iou_prediction_head") else 3) - 1
        index = {"proj_in": 0, "proj_out": last}.get(layer)
        return f"{where}.layers.{int(layer.removeprefix('layers.')) + 1 if index is None else index}.{kind}"
    for pattern, replacement in _RENAMED:
        name = re.sub(pattern, replacement, name)
    return name


def config_of(tensors: Mapping[str, Tensor]) -> SamConfig:
    """The architecture behind original tensors. Raises KeyError where one that it is read from is missing."""
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    width, _, _, patch = shapes["image_encoder.patch_embed.proj.weight"]
    grid = shapes["image_encoder.pos_embed"][1]
    depth = _count(shapes, r"image_encoder\.blocks\.(\d+)\.")
    # A table of relative positions has 2 n - 1 rows for n x n tokens: those of the image, or those of a window.
    spans = [(shapes[f"image_encoder.blocks.{index}.attn.rel_pos_h"][0] + 1) // 2 for index in range(depth)]
    windows = [span for span in spans if span != grid]
    channels = shapes["image_encoder.neck.0.weight"][0]
    inner = shapes["mask_decoder.transformer.layers.0.cross_attn_token_to_image.q_proj.weight"][0]
    vision = SamVisionConfig(
        hidden_size=width,
        output_channels=channels,
        num_hidden_layers=depth,
        num_attention_heads=width // shapes["image_encoder.blocks.0.attn.rel_pos_h"][1],
        image_size=grid * patch,
        patch_size=patch,
        mlp_dim=shapes["image_encoder.blocks.0.mlp.lin1.weight"][0],
        window_size=windows[0] if windows else grid,
        global_attn_indexes=[index for index, span in enumerate(spans) if span == grid],
        num_pos_feats=shapes[_POSITIONS][1],
    )
    prompt = SamPromptEncoderConfig(
        hidden_size=channels,
        image_size=grid * patch,
        patch_size=patch,
        mask_input_channels=shapes["prompt_encoder.mask_downscaling.3.weight"][0],
        num_point_embeddings=_count(shapes, r"prompt_encoder\.point_embeddings\.(\d+)\."),
    )
    decoder = SamMaskDecoderConfig(
        hidden_size=channels,
        mlp_dim=shapes["mask_decoder.transformer.layers.0.mlp.lin1.weight"][0],
        num_hidden_layers=_count(shapes, r"mask_decoder\.transformer\.layers\.(\d+)\."),
        num_attention_heads=_DECODER_HEADS,
        attention_downsample_rate=channels // inner,
        num_multimask_outputs=shapes["mask_decoder.mask_tokens.weight"][0] - 1,
        iou_head_depth=_count(shapes, r"mask_decoder\.iou_prediction_head\.layers\.(\d+)\."),
        iou_head_hidden_dim=shapes["mask_decoder.iou_prediction_head.layers.0.weight"][0],
        layer_norm_eps=_DECODER_EPSILON,
    )
    return SamConfig(
        vision_config=vision.to_dict(), prompt_encoder_config=prompt.to_dict(), mask_decoder_config=decoder.to_dict()
    )


def _count(shapes: Mapping[str, object], pattern: str) -> int:
    return 1 + max((int(found[1]) for name in shapes if (found := re.match(pattern, name))), default=-1)


def empty_model(config: SamConfig) -> SamModel:
    """A SamModel without memory for its weights."""
    config._attn_implementation = "sdpa"
    with torch.device("meta"):
        return SamModel(config)


def load_original(path: Path, where: str, adapter: str) -> SamModel:
    """The model of an original checkpoint, float32, on the CPU, for a card of this adapter.

    Raises MedstressError, beginning with `where`, where a tensor is missing, unknown or of another shape: it names the
    first of them and, where the names tell, the adapter that the file is for.
    """
    tensors = read_tensors(path, where)
    try:
        config = config_of(tensors)
        model = empty_model(config)
    except (KeyError, ValueError, ZeroDivisionError) as error:
        raise _misfit(where, path, [f"{error} not in the file"], likely_adapter(tensors, adapter)) from None
    depth = cast(SamMaskDecoderConfig, config.mask_decoder_config).iou_head_depth
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    wanted = {name: original_name(name, iou_depth=depth) for name in shapes}
    problems = misfits({theirs: shapes[name] for name, theirs in wanted.items()}, tensors, "a SAM")
    if problems:
        raise _misfit(where, path, problems, likely_adapter(tensors, adapter))
    model.load_state_dict({name: tensors[theirs].float() for name, theirs in wanted.items()}, assign=True)
    model.tie_weights()
    return model


def _misfit(where: str, path: Path, problems: list[str], advice: str) -> MedstressError:
    advice = advice or "Get the file again from the model's source."
    return MedstressError(f"{where}: {path.name} is no original SAM checkpoint: {'; '.join(problems)}. {advice}")
