"""Trains tiny_sam, the small promptable segmenter that the demo and the tests stress.

    python resources/train_tiny_sam.py [--out resources/models/tiny_sam] [--steps N] [--minutes M]

A real transformers SamModel of 1.2 million parameters on pictures of 256 pixels, trained from nothing on the train
splits of brain_anatomy and nuclei and on phantoms (phantoms.py). Images of the lesion data sets never give gradients;
their val images only take part in the choice of the checkpoint, like the other val splits. The same steps, threads and
kind of CPU give the same bytes. `--minutes` stops earlier. The weights are those with the best mean IoU on val so far.
"""

import argparse
import copy
import hashlib
import json
import logging
import math
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch
from tiny_sam_data import ROOT, SIDE, Example, Scene, example, scenes, training_scenes
from torch import Tensor, nn
from torch.nn import functional
from transformers import SamConfig, SamMaskDecoderConfig, SamModel, SamPromptEncoderConfig, SamVisionConfig
from transformers.utils.logging import disable_progress_bar

from medstress.models.segmentation.sam import SamSegmenter
from medstress.models.segmentation.sam_loss import mask_loss
from medstress.models.segmentation.sam_preprocess import PROCESSOR_FILE, Preprocessing
from medstress.seeds import generator, seed_of

log = logging.getLogger("tiny_sam")

STEPS = 2304
SCHEDULE = 2800
"""Steps over which the learning rate falls to zero; the shipped run was stopped before."""
IMAGES_A_STEP = 4
THREADS = 1
LEARNING_RATE = 1e-3
WARM_UP = 200
WEIGHT_DECAY = 0.05
AVERAGING = 0.998
"""The weights that are kept are a running mean; this is what one step leaves of it."""
CHECK_EVERY = 200
VAL_SETS = ("brain_anatomy", "nuclei", "brain_mri_tumour", "lung_ct_tumour")


def tiny_model(seed: int) -> SamModel:
    """An untrained SAM: 8-pixel patches, so that masks have 128 x 128 cells; attention in windows of 8 x 8 patches but
    for one layer.
    """
    torch.manual_seed(seed)
    width, channels = 128, 64
    vision = SamVisionConfig(
        hidden_size=width,
        output_channels=channels,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=SIDE,
        patch_size=8,
        mlp_dim=4 * width,
        window_size=8,
        global_attn_indexes=[2],
        num_pos_feats=channels // 2,
        initializer_range=0.02,
    )
    prompt = SamPromptEncoderConfig(hidden_size=channels, image_size=SIDE, patch_size=8, mask_input_channels=16)
    decoder = SamMaskDecoderConfig(
        hidden_size=channels, mlp_dim=4 * channels, num_attention_heads=4, iou_head_hidden_dim=channels
    )
    model = SamModel(
        SamConfig(
            vision_config=vision.to_dict(),
            prompt_encoder_config=prompt.to_dict(),
            mask_decoder_config=decoder.to_dict(),
        )
    )
    # transformers' defaults are made for loading weights: with frequencies of 64 cycles an image neighbouring boxes
    # look unrelated. SAM itself starts from a standard deviation of 1 and leaves them as they are.
    frequencies = model.shared_image_embedding.positional_embedding
    nn.init.normal_(frequencies)
    frequencies.requires_grad_(False)
    nn.init.trunc_normal_(model.vision_encoder.pos_embed, std=0.02)
    return model


def step_loss(segmenter: SamSegmenter, batch: list[Example]) -> Tensor:
    """The loss of some images with their boxes: every image is encoded once."""
    embeddings = segmenter.encode([item.image for item in batch])
    owner = [index for index, item in enumerate(batch) for _ in item.boxes]
    frames = [segmenter.preprocessing.frame(batch[index].image) for index in owner]
    boxes = [tuple(box.tolist()) for item in batch for box in item.boxes]
    low = segmenter.decode(embeddings[owner], frames, boxes)
    logits = functional.interpolate(low[:, None], (SIDE, SIDE), mode="bilinear", align_corners=False)[:, 0]
    targets = torch.zeros_like(logits)
    for index, mask in enumerate(mask for item in batch for mask in item.masks):
        targets[index, : mask.shape[0], : mask.shape[1]] = torch.from_numpy(mask)
    return mask_loss(logits, targets, torch.tensor(boxes))


def mean_iou(segmenter: SamSegmenter, held_out: list[Scene]) -> float:
    """Mean IoU over the objects of some images, through the product's own predict."""
    answers = segmenter.predict([scene.image for scene in held_out], [scene.boxes for scene in held_out])
    values = [
        (answer & mask).sum() / (answer | mask).sum()
        for scene, masks in zip(held_out, answers, strict=True)
        for answer, mask in zip(masks, scene.masks, strict=True)
    ]
    return float(np.mean(values))


def rate(step: int) -> float:
    """The learning rate of a step: linear warm-up, then half a cosine."""
    if step < WARM_UP:
        return LEARNING_RATE * (step + 1) / WARM_UP
    return LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * (step - WARM_UP) / (SCHEDULE - WARM_UP)))


def optimiser_of(model: SamModel) -> torch.optim.AdamW:
    """AdamW; biases, norms and embeddings are not decayed."""
    named = [(name, item) for name, item in model.named_parameters() if item.requires_grad]
    matrices = [item for name, item in named if item.ndim > 1 and "embed" not in name and "rel_pos" not in name]
    rest = [item for _, item in named if all(item is not matrix for matrix in matrices)]
    groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.98))


def save(model: SamModel, out: Path) -> str:
    """Write the folder that the adapter reads; returns the sha256 of the weights."""
    model.save_pretrained(out)
    size = {"height": SIDE, "width": SIDE}
    processor = {
        "image_processor_type": "SamImageProcessor",
        "processor_class": "SamProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"longest_edge": SIDE},
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(Preprocessing(SIDE).mean),
        "image_std": list(Preprocessing(SIDE).std),
        "do_pad": True,
        "pad_size": size,
    }
    (out / PROCESSOR_FILE).write_text(json.dumps(processor, indent=2) + "\n")
    return hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest()


def train(out: Path, steps: int, seconds: float, seed: int) -> None:
    """Train, and keep the weights that are best on val."""
    torch.set_flush_denormal(True)  # gradients near zero are otherwise ten times slower
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    cv2.setNumThreads(1)
    real, held_out = training_scenes(), {name: scenes(name, "val") for name in VAL_SETS}
    model = tiny_model(seed)
    kept = copy.deepcopy(model).eval()
    preprocessing = Preprocessing(SIDE)
    learner, judge = (SamSegmenter(item, preprocessing, mask_prompt=True, batch=8) for item in (model, kept))
    optimiser = optimiser_of(model)
    log.info("%d parameters", sum(item.numel() for item in model.parameters()))

    def batch(step: int) -> list[Example]:
        names = ("tiny_sam", str(seed), str(step))
        return [example(real, generator(seed_of(*names, str(index)))) for index in range(IMAGES_A_STEP)]

    best, start, losses = -1.0, time.monotonic(), []
    with ThreadPoolExecutor(1) as ahead:
        following = ahead.submit(batch, 0)
        for step in range(steps):
            examples, following = following.result(), ahead.submit(batch, step + 1)
            for group in optimiser.param_groups:
                group["lr"] = rate(step)
            model.train()
            loss = step_loss(learner, examples)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            losses.append(loss.item())
            with torch.no_grad():
                share = min(AVERAGING, (1 + step) / (10 + step))
                for mean, current in zip(kept.parameters(), model.parameters(), strict=True):
                    mean.lerp_(current, 1 - share)
            spent = time.monotonic() - start
            last = step + 1 == steps or spent > seconds
            if (step + 1) % CHECK_EVERY == 0 or last:
                found = {name: mean_iou(judge, pictures) for name, pictures in held_out.items()}
                score = float(np.mean(list(found.values())))
                said = " ".join(f"{name} {value:.3f}" for name, value in found.items())
                line = f"step {step + 1} {spent:.0f} s loss {np.mean(losses):.3f} val {said} mean {score:.4f}"
                losses = []
                if score > best:
                    best = score
                    line += f" kept {save(kept, out)[:12]}"
                log.info(line)
            if last:
                break


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "resources/models/tiny_sam")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"default {STEPS}, at most {SCHEDULE}")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after this long, whatever the step")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("medstress").setLevel(logging.WARNING)
    disable_progress_bar()  # type: ignore[no-untyped-call]
    if not 0 < options.steps <= SCHEDULE:
        parser.error(f"--steps must lie between 1 and {SCHEDULE}")
    options.out.mkdir(parents=True, exist_ok=True)
    train(options.out, options.steps, 60 * options.minutes, options.seed)


if __name__ == "__main__":
    main()
