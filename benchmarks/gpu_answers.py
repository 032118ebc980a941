"""Speed of a vision-language model of MedGemma 4B's size on a GPU, with drawn weights: tokens a second by batch."""

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import (
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3TextConfig,
    GenerationConfig,
    SiglipVisionConfig,
)

from benchmarks.timing import seconds_of

BATCHES = (1, 8, 32)
QUESTION_TOKENS = 64
NEW_TOKENS = 64
_GIB = 2**30


@dataclass(frozen=True)
class Batch:
    """One batch size: seconds until every question has its first token, seconds in all, tokens written, and GiB."""

    size: int
    first: float
    whole: float
    tokens: int
    memory: float

    @property
    def speed(self) -> float:
        """New tokens a second, of all questions together, the reading of images and questions included."""
        return self.tokens / self.whole


def medgemma_size() -> Gemma3Config:
    """The numbers of config.json of google/gemma-3-4b-it, which MedGemma 4B was trained from: 4.3 billion weights."""
    text = Gemma3TextConfig(
        vocab_size=262_208,
        hidden_size=2560,
        intermediate_size=10_240,
        num_hidden_layers=34,
        num_attention_heads=8,
        num_key_value_heads=4,
        head_dim=256,
        sliding_window=1024,
    )
    vision = SiglipVisionConfig(
        hidden_size=1152,
        intermediate_size=4304,
        num_hidden_layers=27,
        num_attention_heads=16,
        image_size=896,
        patch_size=14,
        vision_use_head=False,
    )
    return Gemma3Config(text_config=text.to_dict(), vision_config=vision.to_dict(), mm_tokens_per_image=256)


def drawn_model(config: Gemma3Config, device: torch.device, dtype: torch.dtype) -> Gemma3ForConditionalGeneration:
    """A model of these numbers whose weights are drawn where they are needed, in that format."""
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            return Gemma3ForConditionalGeneration(config).train(False)
    finally:
        torch.set_default_dtype(before)


def inputs_of(model: Gemma3ForConditionalGeneration, batch: int) -> dict[str, Tensor]:
    """Drawn questions, each with a drawn image before it."""
    config, device = model.config, model.device
    side, special = config.vision_config.image_size, config.image_token_id
    words = torch.randint(config.text_config.vocab_size - 1, (batch, 1 + QUESTION_TOKENS), device=device)
    words += words >= special
    image = torch.full((batch, config.mm_tokens_per_image), special, device=device)
    ids = torch.cat([words[:, :1], image, words[:, 1:]], dim=1)
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "token_type_ids": (ids == special).long(),
        "pixel_values": torch.randn(batch, 3, side, side, device=device, dtype=model.dtype),
    }


@torch.inference_mode()
def batch_of(model: Gemma3ForConditionalGeneration, batch: int, new: int = NEW_TOKENS) -> Batch:
    """How fast a batch is answered in words of exactly `new` tokens, greedily; no token ends an answer before."""
    device = model.device
    inputs = inputs_of(model, batch)

    def answer(tokens: int) -> Tensor:
        settings = GenerationConfig(do_sample=False, max_new_tokens=tokens, eos_token_id=None, pad_token_id=0)
        return model.generate(**inputs, generation_config=settings)[:, inputs["input_ids"].shape[1] :]

    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
    tokens = answer(new).numel()
    memory = torch.cuda.max_memory_allocated(device) / _GIB if cuda else 0.0
    return Batch(batch, seconds_of(lambda: answer(1), device), seconds_of(lambda: answer(new), device), tokens, memory)


def table_of(batches: list[Batch]) -> list[str]:
    """Markdown rows; ratios are to the first batch."""
    head = [
        "| questions at a time | first token, s | all, s | tokens/s | ratio | questions/s | GPU memory, GiB |",
        "|" + "---|" * 7,
    ]
    return head + [
        f"| {one.size} | {one.first:.3f} | {one.whole:.2f} | {one.speed:.0f} | {one.speed / batches[0].speed:.1f} | "
        f"{one.size / one.whole:.2f} | {one.memory:.1f} |"
        for one in batches
    ]


def measure(
    config: Gemma3Config, device: torch.device, dtype: torch.dtype, sizes: tuple[int, ...] = BATCHES
) -> list[str]:
    """What there is to print of a model of these numbers."""
    model = drawn_model(config, device, dtype)
    weights = sum(item.numel() for item in model.parameters())
    said = f"{weights / 1e9:.2f} billion drawn weights, {str(dtype).removeprefix('torch.')}; a question is an image of "
    said += f"{config.mm_tokens_per_image} tokens and {QUESTION_TOKENS} of words, its answer {NEW_TOKENS}."
    return [said, *table_of([batch_of(model, size) for size in sizes])]
