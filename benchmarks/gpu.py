"""Speed of a SAM on a GPU: batched bf16 beside one image at a time in fp32, and beside what matrix products can reach.

    python -m benchmarks.gpu

Then that of a vision-language model, by batch. Prints the tables for docs/benchmarks.md; without a CUDA device it says
so and measures nothing. Weights are drawn: speed does not depend on them, and agreement is measured between the two
ways on the same ones.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import SamConfig, SamModel

from benchmarks import gpu_answers
from benchmarks.timing import seconds_of
from medstress.models.precision import Precision
from medstress.models.segmentation.medsam import MedSamPixels
from medstress.models.segmentation.sam import SamSegmenter
from medstress.pixels import Box, Image
from medstress.seeds import generator, seed_of

# MedSAM is a ViT-B at 1024 pixels, which is SamConfig's default.
BATCHES = (1, 8, 16, 32)
IMAGES = 64
WANTED = 8.0
# Of bf16 against fp32: products have 8 bits, sums are fp32. Pixels whose logit is near 0 may change sides.
LARGEST_DIFFERENCE = 0.1
LEAST_AGREEMENT = 0.995
# A product is timed for as long as this, in seconds, once its kernel is chosen.
_MATMUL_SECONDS = 0.5


@dataclass(frozen=True)
class Way:
    """One way of answering: images a second of the encoder alone and of `predict`, and the encoder's TFLOP/s."""

    name: str
    encoder: float
    predict: float
    tflops: float


@dataclass(frozen=True)
class Agreement:
    """Low-resolution logits of two ways: largest difference in standard deviations, and share of equal signs."""

    difference: float
    signs: float


def matmul_tflops(device: torch.device, dtype: torch.dtype, side: int) -> float:
    """TFLOP/s of a square matrix product: what any network of products can reach on this device at most."""
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    one = seconds_of(lambda: left @ right, device)
    count = max(1, round(_MATMUL_SECONDS / one))
    return 2 * side**3 * count / seconds_of(lambda: [left @ right for _ in range(count)], device) / 1e12


def encoder_flops(segmenter: SamSegmenter) -> int:
    """Floating-point operations of the image encoder for one image, counted and not estimated; padding is work."""
    side = segmenter.preprocessing.side
    pixels = torch.zeros(1, 3, side, side, device=segmenter.device)
    # As plain products: not every fused attention is counted.
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        segmenter.model.vision_encoder(pixels)
    return counter.get_total_flops()


def drawn_images(side: int, count: int) -> tuple[list[Image], list[list[Box]]]:
    """Images with structure, uint8 [side, side, 3], and a box for each."""
    images, boxes = [], []
    rows, columns = np.indices((side, side))
    for index in range(count):
        rng = generator(seed_of("benchmark", str(index)))
        x, y, radius = rng.uniform(0.3, 0.7) * side, rng.uniform(0.3, 0.7) * side, rng.uniform(0.1, 0.25) * side
        disc = np.hypot(rows - y, columns - x) < radius
        noise = rng.normal(90, 25, (side, side, 3)) + 80 * disc[..., None]
        images.append(np.clip(noise, 0, 255).astype(np.uint8))
        box = (max(x - radius, 0.0), max(y - radius, 0.0), min(x + radius, float(side)), min(y + radius, float(side)))
        boxes.append([box])
    return images, boxes


def way_of(name: str, segmenter: SamSegmenter, images: list[Image], boxes: list[list[Box]], flops: int) -> Way:
    """How fast a segmenter is, in its own batches: inputs in place for the encoder, images in memory for `predict`."""
    side, device, batch = segmenter.preprocessing.side, segmenter.device, segmenter.batch
    inputs = torch.randn(batch, 3, side, side, device=device)
    calls = max(1, len(images) // batch)

    @torch.inference_mode()
    def encode() -> None:
        for _ in range(calls):
            segmenter._embed(inputs)

    encoder = calls * batch / seconds_of(encode, device)
    predict = len(images) / seconds_of(lambda: segmenter.predict(images, boxes), device)
    return Way(name, encoder, predict, encoder * flops / 1e12)


@torch.inference_mode()
def agreement_of(one: SamSegmenter, other: SamSegmenter, images: list[Image], boxes: list[list[Box]]) -> Agreement:
    """How far the logits of two ways lie apart; each image has one box."""
    frames = [one.preprocessing.frame(image) for image in images]
    asked = [box for (box,) in boxes]
    first, second = (way.decode(way.encode(images), frames, asked).float() for way in (one, other))
    return Agreement(
        difference=float((first - second).abs().max() / first.std()),
        signs=float(((first > 0) == (second > 0)).float().mean()),
    )


def compare(
    config: SamConfig, device: torch.device, batches: tuple[int, ...], count: int
) -> tuple[list[Way], Agreement]:
    """fp32 one image at a time, then bf16 in batches, all on the same drawn weights."""
    torch.manual_seed(0)
    model = SamModel(config).to(device).train(False)
    side = model.prompt_encoder.input_image_size
    # fp32 means fp32: no TF32 products.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    images, boxes = drawn_images(side, count)

    def segmenter(batch: int, precision: Precision) -> SamSegmenter:
        return SamSegmenter(model, MedSamPixels(side), batch=batch, precision=precision)

    exact, fast = Precision(device.type), Precision(device.type, torch.bfloat16)
    flops = encoder_flops(segmenter(1, exact))
    ways = [way_of("fp32, 1 at a time", segmenter(1, exact), images, boxes, flops)]
    ways += [way_of(f"bf16, {batch} at a time", segmenter(batch, fast), images, boxes, flops) for batch in batches]
    few = min(count, 8)
    return ways, agreement_of(segmenter(1, exact), segmenter(few, fast), images[:few], boxes[:few])


def table_of(ways: list[Way], ceiling: float) -> list[str]:
    """Markdown rows; ratios are to the first way, shares of the ceiling that matrix products reached."""
    first = ways[0]
    head = [
        "| way | encoder, images/s | ratio | predict, images/s | ratio | TFLOP/s | of the ceiling |",
        "|" + "---|" * 7,
    ]
    return head + [
        f"| {way.name} | {way.encoder:.1f} | {way.encoder / first.encoder:.1f} | {way.predict:.1f} | "
        f"{way.predict / first.predict:.1f} | {way.tflops:.1f} | {way.tflops / ceiling:.0%} |"
        for way in ways
    ]


def verdict_of(ways: list[Way], agreement: Agreement) -> list[str]:
    """What was hoped for and did not come true; empty where all did."""
    best = max(way.encoder for way in ways[1:]) / ways[0].encoder
    return [
        text
        for wrong, text in (
            (best < WANTED, f"the fastest encoder is {best:.1f} times as fast, less than {WANTED:g}"),
            (
                agreement.difference > LARGEST_DIFFERENCE,
                f"logits differ by {agreement.difference:.3f} standard deviations, more than {LARGEST_DIFFERENCE}",
            ),
            (
                agreement.signs < LEAST_AGREEMENT,
                f"{agreement.signs:.2%} of the pixels agree, fewer than {LEAST_AGREEMENT:.1%}",
            ),
        )
        if wrong
    ]


def main() -> int:
    """Measure on the first GPU and print; 1 where the figures are not what they should be."""
    if not torch.cuda.is_available():
        print("No CUDA device: nothing is measured.")
        return 0
    device = torch.device("cuda", 0)
    ceiling = matmul_tflops(device, torch.bfloat16, 8192)
    ways, agreement = compare(SamConfig(), device, BATCHES, IMAGES)
    print(
        f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}; bf16 matrix products: {ceiling:.0f} TFLOP/s"
    )
    print("\n".join(table_of(ways, ceiling)))
    print(
        f"Logits of bf16 and fp32 differ by at most {agreement.difference:.3f} of their standard deviation; "
        f"{agreement.signs:.2%} of the pixels lie on the same side."
    )
    wrong = verdict_of(ways, agreement)
    print("\n".join(f"NOT REACHED: {text}." for text in wrong) or "All as wanted.")
    print("\n".join(["", *gpu_answers.measure(gpu_answers.medgemma_size(), device, torch.bfloat16)]))
    return int(bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main())
