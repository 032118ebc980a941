"""Tiny CLIPs on disk, as their authors publish the large ones."""

import json

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertModel, CLIPConfig, CLIPModel

from medstress.cards.classifier import OpenClip

TEXTS = ["a chest x-ray of pneumonia", "healthy", "a photo of a retina, with drusen and more words than the others"]
TINY_VIT = {"image_size": 32, "patch_size": 8, "width": 64, "layers": 2, "head_width": 32}
TINY_TEXT = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2}
PUBLISHED_TEXT = "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract"
_WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] a chest x - ray of pneumonia healthy photo retina , with words ##s"


def pictures(seed=0):
    """Random images of several sizes, grey and RGB."""
    rng = np.random.default_rng(seed)
    shapes = [(90, 61, 3), (64, 64), (40, 75, 3), (64, 64, 3), (33, 32)]
    return [rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]


def hf_clip(seed=0):
    """A random CLIP of transformers, the size of TINY_VIT and TINY_TEXT."""
    torch.manual_seed(seed)
    sizes = {"hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config=sizes | {"vocab_size": 49408, "bos_token_id": 49406, "eos_token_id": 49407},
        vision_config=sizes | {"image_size": 32, "patch_size": 8},
        projection_dim=32,
    )
    model = CLIPModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim:
                parameter.normal_(0, 0.1)
    return model


def blocks_as_published(state, ours, theirs):
    """The blocks of a transformer of transformers under OpenAI's names."""
    layers = {name.removeprefix(ours).split(".")[0] for name in state if name.startswith(ours)}
    renamed = {"self_attn.out_proj": "attn.out_proj", "layer_norm1": "ln_1", "layer_norm2": "ln_2"}
    renamed |= {"mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
    found = {}
    for layer in layers:
        for kind in ("weight", "bias"):
            parts = [state[f"{ours}{layer}.self_attn.{which}_proj.{kind}"] for which in "qkv"]
            found[f"{theirs}{layer}.attn.in_proj_{kind}"] = torch.cat(parts)
            found |= {
                f"{theirs}{layer}.{new}.{kind}": state[f"{ours}{layer}.{old}.{kind}"] for old, new in renamed.items()
            }
    return found


def vision_as_published(state):
    """The image tower of a CLIP of transformers under OpenAI's names."""
    vision = "vision_model."
    return {
        "visual.class_embedding": state[vision + "embeddings.class_embedding"],
        "visual.positional_embedding": state[vision + "embeddings.position_embedding.weight"],
        "visual.conv1.weight": state[vision + "embeddings.patch_embedding.weight"],
        "visual.proj": state["visual_projection.weight"].T.contiguous(),
        **{f"visual.ln_pre.{kind}": state[f"{vision}pre_layrnorm.{kind}"] for kind in ("weight", "bias")},
        **{f"visual.ln_post.{kind}": state[f"{vision}post_layernorm.{kind}"] for kind in ("weight", "bias")},
        **blocks_as_published(state, vision + "encoder.layers.", "visual.transformer.resblocks."),
    }


def clip_as_published(state):
    """A CLIP of transformers under OpenAI's names."""
    text = "text_model."
    return {
        **vision_as_published(state),
        "logit_scale": state["logit_scale"],
        "token_embedding.weight": state[text + "embeddings.token_embedding.weight"],
        "positional_embedding": state[text + "embeddings.position_embedding.weight"],
        "text_projection": state["text_projection.weight"].T.contiguous(),
        **{f"ln_final.{kind}": state[f"{text}final_layer_norm.{kind}"] for kind in ("weight", "bias")},
        **blocks_as_published(state, text + "encoder.layers.", "transformer.resblocks."),
    }


def hub_folder(folder, model_cfg, tensors, *, name="open_clip_model.safetensors", **preprocess):
    """A folder in the hub format of open_clip."""
    folder.mkdir(exist_ok=True)
    said = {"model_cfg": model_cfg, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(said))
    if name.endswith(".bin"):
        torch.save(tensors, folder / name)
    else:
        save_file({key: value.contiguous() for key, value in tensors.items()}, folder / name)
    return folder


def card(folder, **settings):
    return OpenClip(name="a", title="A", adapter="open_clip", weights=str(folder), device="cpu", batch=3, **settings)


def bert(seed=0):
    """A random BERT with two heads of 64."""
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(_WORDS.split()),
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=256,
    )
    return BertModel(config, add_pooling_layer=False).eval()


def tokenizer_files(folder):
    """Those of the published BERTs: one word a line, and that capitals do not matter."""
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(_WORDS.split()))
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": true, "tokenizer_class": "BertTokenizer"}')
    return folder
