"""Trains tiny_vlm, the small vision-language model that the demo and the tests stress.

    python resources/train_tiny_vlm.py [--out resources/models/tiny_vlm] [--steps N] [--minutes M]

A real LlavaForConditionalGeneration for images of 64 pixels: a CLIP tower and a Llama, trained from nothing and
together on the train questions of the embedded `minivqa`, with the loss on the answers only. The weights that are kept
are those with the lowest loss on the answers of val, averaged over kinds of questions. The test split is never read.
The same steps and kind of CPU give the same bytes. `--minutes` stops earlier.
"""

import argparse
import copy
import hashlib
import logging
import math
import os
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch
from cut_minivqa import Entry
from minivqa_facts import MODALITIES, PHRASES, caption, questions, targets
from tiny_vlm_data import (
    BEGIN,
    BOX_STYLES,
    CLOSED_STYLES,
    GRID,
    IMAGE,
    OPEN_STYLES,
    ROOT,
    SIDE,
    TEMPLATE,
    Example,
    entries,
    example,
    prompt_of,
    shrunk,
    tokenizer,
    written_box,
)
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    CLIPVisionConfig,
    GenerationConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.utils.logging import disable_progress_bar

from medstress.seeds import generator, seed_of

log = logging.getLogger("tiny_vlm")

STEPS = 1200
EXAMPLES = 32
LEARNING_RATE = 1e-3
WARM_UP = 80
WEIGHT_DECAY = 0.1
SMOOTHING = 0.02
TUMOUR_WEIGHT = 5.0
"""Of patches with tumour in the guide's loss; most patches have none."""
AVERAGING = 0.99
"""The weights that are kept are a running mean; this is what one step leaves of it."""
CHECK_EVERY = 50
PATCH = SIDE // GRID
MEAN_STD = 0.5
CONTEXT = 512
IGNORED = -100


def tiny_model(words: PreTrainedTokenizerFast, seed: int) -> LlavaForConditionalGeneration:
    """Untrained: a CLIP tower of 4 layers of width 96, a Llama of 3 layers of width 128."""
    torch.manual_seed(seed)
    vision = CLIPVisionConfig(
        hidden_size=96,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=SIDE,
        patch_size=PATCH,
        projection_dim=64,
    )
    special = {
        "bos_token_id": words.bos_token_id,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
    }
    text = LlamaConfig(
        vocab_size=len(words),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        **special,
    )
    config = LlavaConfig(
        vision_config=vision.to_dict(),
        text_config=text.to_dict(),
        image_token_index=words.convert_tokens_to_ids(IMAGE),
        image_seq_length=GRID**2,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=True,
        **special,
    )
    model = LlavaForConditionalGeneration(config)
    model.generation_config = GenerationConfig(**special)
    return model


def processor(words: PreTrainedTokenizerFast) -> LlavaProcessor:
    """What happens to an image and a conversation before the model. The whole image is shown, nothing is cut off."""
    images = CLIPImageProcessorPil(
        size={"height": SIDE, "width": SIDE},
        do_center_crop=False,
        image_mean=[MEAN_STD] * 3,
        image_std=[MEAN_STD] * 3,
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=words,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        chat_template=TEMPLATE,
        image_token=IMAGE,
        num_additional_image_tokens=1,
    )


def rendered(prompt: str, *, image: bool) -> str:
    """What the chat template makes of a prompt, the image's tokens written out."""
    shown = IMAGE * GRID**2 + "\n" if image else ""
    return f"{BEGIN}Question: {shown}{prompt} Answer:"


class Guide(nn.Module):
    """What teaches the image encoder to see before the Llama learns to look: thrown away when training ends.

    Two linear layers say from the projected patches [N, GRID * GRID, width] which modality it is and which patches hold
    some of the tumour. Without them, and at a higher learning rate, the answers hardly improved from step 200 to 600.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.modality = nn.Linear(width, len(MODALITIES))
        self.tumour = nn.Linear(width, 1)

    def forward(self, patches: Tensor, asked: Sequence[Example]) -> Tensor:
        """The mean cross-entropy of both."""
        seen = self.norm(patches)
        labels = torch.tensor([item.modality for item in asked])
        loss = functional.cross_entropy(self.modality(seen.mean(1)), labels)
        known = [(row, item.tumour) for row, item in enumerate(asked) if item.tumour is not None]
        if known:
            cells = torch.from_numpy(np.stack([cells for _, cells in known])).flatten(1).float()
            found = self.tumour(seen[[row for row, _ in known]])[..., 0]
            loss = loss + functional.binary_cross_entropy_with_logits(
                found, cells, pos_weight=torch.tensor(TUMOUR_WEIGHT)
            )
        return loss


def image_patches(model: LlavaForConditionalGeneration, asked: Sequence[Example]) -> Tensor:
    """The projected patches of the images, [N, GRID * GRID, width]."""
    seen = torch.from_numpy(np.stack([item.pixels for item in asked if item.pixels is not None]))
    pixels = (seen.permute(0, 3, 1, 2).float() / 255 - MEAN_STD) / MEAN_STD
    return torch.stack(list(model.get_image_features(pixels).pooler_output))


def losses_of(
    model: LlavaForConditionalGeneration, words: PreTrainedTokenizerFast, asked: Sequence[Example], guide: Guide | None
) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy over the tokens of each answer and its end, [N], and the guide's, 0 without one."""
    asked = sorted(asked, key=lambda item: item.pixels is None)
    prompts = words([rendered(item.prompt, image=item.pixels is not None) for item in asked])["input_ids"]
    answers = words([f" {item.answer}" for item in asked])["input_ids"]
    longest = max(len(prompt) + len(answer) + 1 for prompt, answer in zip(prompts, answers, strict=True))
    tokens = torch.full((len(asked), longest), words.pad_token_id)
    labels = torch.full((len(asked), longest), IGNORED)
    mask = torch.zeros((len(asked), longest), dtype=torch.long)
    for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        whole = [*prompt, *answer, words.eos_token_id]
        tokens[row, : len(whole)] = torch.tensor(whole)
        labels[row, len(prompt) : len(whole)] = tokens[row, len(prompt) : len(whole)]
        mask[row, : len(whole)] = 1
    embedded, guided = model.get_input_embeddings()(tokens), torch.zeros(())
    shown = [item for item in asked if item.pixels is not None]
    if shown:
        patches = image_patches(model, shown)
        guided = guided if guide is None else guide(patches, shown)
        place = (tokens == words.convert_tokens_to_ids(IMAGE))[..., None]
        embedded = embedded.masked_scatter(place, patches)
    logits = model(inputs_embeds=embedded, attention_mask=mask).logits[:, :-1]
    smoothing = 0.0 if guide is None else SMOOTHING
    losses = functional.cross_entropy(
        logits.transpose(1, 2), labels[:, 1:], ignore_index=IGNORED, reduction="none", label_smoothing=smoothing
    )
    return losses.sum(1) / (labels[:, 1:] != IGNORED).sum(1), guided


def batch_of(train: Sequence[Entry], seed: int, step: int) -> list[Example]:
    """The examples of one step."""
    rng = generator(seed_of("tiny_vlm", str(seed), str(step)))
    return [example(train, rng) for _ in range(EXAMPLES)]


def held_out_examples(held_out: Sequence[Entry]) -> dict[str, list[Example]]:
    """Everything that val asks, by kind of question; the styles take turns."""
    found = defaultdict(list)
    for entry in held_out:
        shown, pixels = entry.shown, shrunk(entry.shown.pixels)
        rng = generator(seed_of("minivqa", "vqa", entry.image))
        for number, question in enumerate(questions(shown, rng)):
            styles = CLOSED_STYLES if question.options else OPEN_STYLES
            prompt = prompt_of(question, styles[number % len(styles)])
            found[question.content_type].append(Example(pixels, prompt, question.answer))
        if not shown.whole:
            continue
        found["caption"].append(Example(pixels, PHRASES["caption"][0], caption(shown)))
        height, width = shown.pixels.shape[:2]
        for number, target in enumerate(targets(shown)):
            prompt = BOX_STYLES[number % len(BOX_STYLES)].format(question=PHRASES["where"][0].format(target.name))
            found["box"].append(Example(pixels, prompt, written_box(target.box, width, height)))
    return dict(found)


@torch.no_grad()
def verdict(
    model: LlavaForConditionalGeneration, words: PreTrainedTokenizerFast, asked: Mapping[str, Sequence[Example]]
) -> dict[str, float]:
    """Mean loss of the answers by kind of question."""
    return {kind: losses_of(model, words, some, None)[0].mean().item() for kind, some in asked.items()}


def rate(step: int, steps: int) -> float:
    """The learning rate of a step: linear warm-up, then half a cosine."""
    if step < WARM_UP:
        return LEARNING_RATE * (step + 1) / WARM_UP
    return LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * (step - WARM_UP) / max(1, steps - WARM_UP)))


def optimiser_of(model: LlavaForConditionalGeneration, guide: Guide) -> torch.optim.AdamW:
    """AdamW; biases, norms and embeddings are not decayed."""
    named = list(model.named_parameters())
    decayed = {name for name, item in named if item.ndim > 1 and "embed" not in name}
    groups = [
        {"params": [item for name, item in named if name in decayed], "weight_decay": WEIGHT_DECAY},
        {"params": [item for name, item in named if name not in decayed], "weight_decay": 0.0},
        {"params": list(guide.parameters()), "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.98))


def save(model: LlavaForConditionalGeneration, words: PreTrainedTokenizerFast, out: Path) -> str:
    """Write the folder that transformers reads; returns the sha256 of the weights."""
    model.save_pretrained(out)
    processor(words).save_pretrained(out)
    return hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest()


def train(out: Path, steps: int, seconds: float, seed: int) -> None:
    """Train, and keep the weights that are best on val."""
    torch.set_flush_denormal(True)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    cv2.setNumThreads(1)
    seen, asked, words = entries("train"), held_out_examples(entries("val")), tokenizer()
    model = tiny_model(words, seed)
    kept = copy.deepcopy(model).eval()  # type: ignore[no-untyped-call]
    guide = Guide(model.config.text_config.hidden_size)
    optimiser = optimiser_of(model, guide)
    log.info("%d parameters, %d tokens", sum(item.numel() for item in model.parameters()), len(words))
    best, start, losses = math.inf, time.monotonic(), []
    with ThreadPoolExecutor(1) as ahead:
        following = ahead.submit(batch_of, seen, seed, 0)
        for step in range(steps):
            batch, following = following.result(), ahead.submit(batch_of, seen, seed, step + 1)
            for group in optimiser.param_groups:
                group["lr"] = rate(step, steps)
            model.train()
            answer_losses, guide_loss = losses_of(model, words, batch, guide)
            loss = answer_losses.mean() + guide_loss
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            losses.append((answer_losses.mean().item(), guide_loss.item()))
            with torch.no_grad():
                share = min(AVERAGING, (1 + step) / (10 + step))
                for mean, current in zip(kept.parameters(), model.parameters(), strict=True):
                    mean.lerp_(current, 1 - share)
            spent = time.monotonic() - start
            last = step + 1 == steps or spent > seconds
            if (step + 1) % CHECK_EVERY == 0 or last:
                found = verdict(kept, words, asked)
                mean_loss = float(np.mean([*found.values()]))
                said = " ".join(f"{name} {value:.2f}" for name, value in found.items())
                answered, guided = np.mean(losses, axis=0)
                line = (
                    f"step {step + 1} {spent:.0f} s loss {answered:.3f} guide {guided:.3f} val {mean_loss:.3f} ({said})"
                )
                losses = []
                if mean_loss < best:
                    best = mean_loss
                    line += f" kept {save(kept, words, out)[:12]}"
                log.info(line)
            if last:
                break


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "resources/models/tiny_vlm")
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
