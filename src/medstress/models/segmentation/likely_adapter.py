"""Which adapter a checkpoint was probably meant for, told from the names in it."""

import re
from collections.abc import Iterable

# Adapters that read the file, what it looks like, and what to do about it. The first that some name matches.
_KINDS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (r"image_encoder\.blocks\.\d+\.Adapter\.", ("sam_med2d",), "SAM-Med2D: write `adapter: sam_med2d`"),
    (r"image_encoder\.trunk\.|memory_attention\.", (), "SAM 2, which no adapter reads"),
    (
        r"image_encoder\.(blocks\.|patch_embed\.proj|pos_embed)",
        ("sam", "medsam"),
        "an original SAM or MedSAM: write `adapter: sam` or `adapter: medsam`",
    ),
    (
        r"(sam\.)?vision_encoder\.layers\.",
        (),
        "SAM in Hugging Face format: give the folder with its config.json to `adapter: sam` or `adapter: medsam`",
    ),
    (r"(backbone\.layer\d|classifier\.0\.convs)", ("deeplabv3",), "DeepLabV3: write `adapter: deeplabv3`"),
    (r".*lora_[AB]\.", (), "what a strategy trained, which a card's `weights` cannot be"),
)


def likely_adapter(names: Iterable[str], asked: str) -> str:
    """A sentence about who reads a file with these tensors, where adapter `asked` does not; empty if unknown."""
    known = list(names)
    for pattern, adapters, said in _KINDS:
        if any(re.match(pattern, name) for name in known):
            return "" if asked in adapters else f"This looks like {said}."
    return ""
