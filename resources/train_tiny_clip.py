"""Trains tiny_clip, the small image-text model that the demo and the tests stress.

    python resources/train_tiny_clip.py [--out resources/models/tiny_clip] [--steps N] [--minutes M]

A real transformers CLIPModel of 1.7 million parameters for images of 64 pixels, trained from nothing on the train split
of the embedded `modality`. The weights that are kept are those with the lowest cross-entropy on val, averaged over its
classes: of 19 images the accuracy alone is too coarse. The test split is never read. The same steps and kind of CPU
give the same bytes. `--minutes` stops earlier.
"""

import argparse
import copy
import hashlib
import logging
import math
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from tiny_clip_data import (
    CLASSES,
    CONTEXT,
    PUBLISHED_PROMPT,
    ROOT,
    SIDE,
    Pixels,
    Sample,
    caption,
    samples,
    tokenizer,
    view,
)
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTokenizer, CLIPVisionConfig
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.utils.logging import disable_progress_bar

from medstress.seeds import generator, seed_of

log = logging.getLogger("tiny_clip")

STEPS = 900
IMAGES_A_CLASS = 8
CAPTIONS_A_CLASS = 2
LEARNING_RATE = 1e-3
WARM_UP = 100
WEIGHT_DECAY = 0.1
SMOOTHING = 0.05
"""Share of the target that is spread over all captions or images: six classes invite certainty about everything."""
MIXED_SHARE = 0.5
"""Share of the training images with another image laid over them, in part. With so few sources the model otherwise
learns them by heart: without it, and with weaker changes of contrast, val was at its best after 100 steps.
"""
HIGHEST_SCALE = 30.0
AVERAGING = 0.99
"""The weights that are kept are a running mean; this is what one step leaves of it."""
CHECK_EVERY = 100
PROMPTS = (PUBLISHED_PROMPT, "a medical image of {}", "a {} image")
"""Val is judged with these."""
MEAN_STD = 0.5


@dataclass(frozen=True)
class Batch:
    """Images uint8 RGB, how much of each class is in each [N, classes], captions, and the class of each."""

    images: list[Pixels]
    shares: Tensor
    captions: list[str]
    caption_labels: Tensor


@dataclass(frozen=True)
class Verdict:
    """What val says. `recalls` holds one value for each class that val has."""

    recalls: dict[str, float]
    loss: float


def tiny_model(words: CLIPTokenizer, seed: int) -> CLIPModel:
    """An untrained CLIP: 8-pixel patches, four layers of width 144; three layers of width 128 for text."""
    torch.manual_seed(seed)
    special = {
        "bos_token_id": words.bos_token_id,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.eos_token_id,
    }
    text = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT,
        projection_dim=64,
        **special,
    )
    vision = CLIPVisionConfig(
        hidden_size=144,
        intermediate_size=576,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=SIDE,
        patch_size=8,
        projection_dim=64,
    )
    return CLIPModel(
        CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=64, **special)
    )


def processor() -> CLIPImageProcessorPil:
    """What happens to an image before the model."""
    return CLIPImageProcessorPil(
        size={"shortest_edge": SIDE},
        crop_size={"height": SIDE, "width": SIDE},
        image_mean=[MEAN_STD] * 3,
        image_std=[MEAN_STD] * 3,
    )


def batch_of(train: Sequence[Sample], seed: int, step: int) -> Batch:
    """As many images of every class, every source of it being as likely; in part mixed with another of the batch."""
    rng = generator(seed_of("tiny_clip", str(seed), str(step)))
    images, captions = [], []
    for label in range(len(CLASSES)):
        sources = sorted({item.group for item in train if item.label == label})
        for _ in range(IMAGES_A_CLASS):
            source = rng.choice(sources)
            held = [item for item in train if item.label == label and item.group == source]
            images.append(view(held[rng.integers(len(held))], rng))
        captions += [caption(label, rng) for _ in range(CAPTIONS_A_CLASS)]
    indices = torch.arange(len(CLASSES))
    shares = torch.eye(len(CLASSES)).repeat_interleave(IMAGES_A_CLASS, dim=0)
    weights = [rng.beta(0.5, 0.5) if rng.random() < MIXED_SHARE else 1.0 for _ in images]
    own, partners = torch.tensor(weights, dtype=torch.float32)[:, None], rng.permutation(len(images))
    mixed = [
        cv2.addWeighted(image, weight, images[partner], 1 - weight, 0)
        for image, weight, partner in zip(images, weights, partners, strict=True)
    ]
    return Batch(
        [np.asarray(image, dtype=np.uint8) for image in mixed],
        own * shares + (1 - own) * shares[torch.from_numpy(partners)],
        captions,
        indices.repeat_interleave(CAPTIONS_A_CLASS),
    )


def text_features(model: CLIPModel, words: CLIPTokenizer, texts: list[str]) -> Tensor:
    """Unit vectors of some texts, [N, 64]."""
    tokens = words(texts, padding=True, truncation=True, max_length=CONTEXT, return_tensors="pt")
    pooled = model.text_model(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]).pooler_output
    return functional.normalize(model.text_projection(pooled), dim=-1)


def image_features(model: CLIPModel, pixels: Tensor) -> Tensor:
    """Unit vectors of some images, [N, 64]."""
    return functional.normalize(model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output), dim=-1)


def step_loss(model: CLIPModel, words: CLIPTokenizer, batch: Batch) -> Tensor:
    """Contrast of images and captions. All captions of its class are right for an image, and the other way round."""
    stacked = torch.from_numpy(np.stack(batch.images)).permute(0, 3, 1, 2)
    pixels = (stacked.float() / 255 - MEAN_STD) / MEAN_STD
    logits = model.logit_scale.exp() * image_features(model, pixels) @ text_features(model, words, batch.captions).T
    right = batch.shares[:, batch.caption_labels]
    by_image = functional.cross_entropy(logits, right / right.sum(1, keepdim=True), label_smoothing=SMOOTHING)
    by_text = functional.cross_entropy(logits.T, (right / right.sum(0)).T, label_smoothing=SMOOTHING)
    return (by_image + by_text) / 2


@torch.no_grad()
def verdict(model: CLIPModel, words: CLIPTokenizer, held_out: Sequence[Sample]) -> Verdict:
    """Recall of each class and mean cross-entropy over the classes, zero-shot with PROMPTS."""
    by_prompt = [text_features(model, words, [prompt.format(name) for name in CLASSES]) for prompt in PROMPTS]
    classes = functional.normalize(torch.stack(by_prompt).mean(0), dim=-1)
    shown = [item.pixels if item.pixels.ndim == 3 else np.stack([item.pixels] * 3, axis=2) for item in held_out]
    pixels = processor()(shown, return_tensors="pt", input_data_format="channels_last")["pixel_values"]
    logits = model.logit_scale.exp() * image_features(model, pixels) @ classes.T
    labels = torch.tensor([item.label for item in held_out])
    right, losses = logits.argmax(1) == labels, functional.cross_entropy(logits, labels, reduction="none")
    present = sorted(set(labels.tolist()))
    recalls = {CLASSES[label]: right[labels == label].float().mean().item() for label in present}
    return Verdict(recalls, float(np.mean([losses[labels == label].mean().item() for label in present])))


def rate(step: int, steps: int) -> float:
    """The learning rate of a step: linear warm-up, then half a cosine."""
    if step < WARM_UP:
        return LEARNING_RATE * (step + 1) / WARM_UP
    return LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * (step - WARM_UP) / max(1, steps - WARM_UP)))


def optimiser_of(model: CLIPModel) -> torch.optim.AdamW:
    """AdamW; biases, norms, embeddings and the scale are not decayed."""
    named = list(model.named_parameters())
    decayed = {name for name, item in named if item.ndim > 1 and "embedding" not in name}
    groups = [
        {"params": [item for name, item in named if name in decayed], "weight_decay": WEIGHT_DECAY},
        {"params": [item for name, item in named if name not in decayed], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.98))


def save(model: CLIPModel, words: CLIPTokenizer, out: Path) -> str:
    """Write the folder that transformers reads; returns the sha256 of the weights."""
    model.save_pretrained(out)
    words.save_pretrained(out)
    processor().save_pretrained(out)
    return hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest()


def train(out: Path, steps: int, seconds: float, seed: int) -> None:
    """Train, and keep the weights that are best on val."""
    torch.set_flush_denormal(True)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    cv2.setNumThreads(1)
    seen, held_out, words = samples("train"), samples("val"), tokenizer()
    model = tiny_model(words, seed)
    kept = copy.deepcopy(model).eval()  # type: ignore[no-untyped-call]
    optimiser = optimiser_of(model)
    log.info("%d parameters, %d tokens", sum(item.numel() for item in model.parameters()), len(words))
    best, start, losses = math.inf, time.monotonic(), []
    with ThreadPoolExecutor(1) as ahead:
        following = ahead.submit(batch_of, seen, seed, 0)
        for step in range(steps):
            batch, following = following.result(), ahead.submit(batch_of, seen, seed, step + 1)
            for group in optimiser.param_groups:
                group["lr"] = rate(step, steps)
            model.train()
            loss = step_loss(model, words, batch)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            losses.append(loss.item())
            with torch.no_grad():
                model.logit_scale.clamp_(max=math.log(HIGHEST_SCALE))
                share = min(AVERAGING, (1 + step) / (10 + step))
                for mean, current in zip(kept.parameters(), model.parameters(), strict=True):
                    mean.lerp_(current, 1 - share)
            spent = time.monotonic() - start
            last = step + 1 == steps or spent > seconds
            if (step + 1) % CHECK_EVERY == 0 or last:
                found = verdict(kept, words, held_out)
                said = " ".join(f"{name} {value:.2f}" for name, value in found.recalls.items())
                line = f"step {step + 1} {spent:.0f} s loss {np.mean(losses):.3f} val {said} loss {found.loss:.3f}"
                losses = []
                if found.loss < best:
                    best = found.loss
                    line += f" kept {save(kept, words, out)[:12]}"
                log.info(line)
            if last:
                break


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "resources/models/tiny_clip")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"default {STEPS}")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after this long, whatever the step")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    disable_progress_bar()  # type: ignore[no-untyped-call]
    options.out.mkdir(parents=True, exist_ok=True)
    train(options.out, options.steps, 60 * options.minutes, options.seed)


if __name__ == "__main__":
    main()
