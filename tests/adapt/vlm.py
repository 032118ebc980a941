"""Random LLaVAs with a small data set of questions, and trainings of them."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from medstress.adapt.finetune_generator import finetune
from medstress.answers.ask import Ask
from medstress.cards.generation import Shift
from medstress.cards.local_vlm import LocalVlm
from medstress.cards.strategy import Strategy
from medstress.pixels import encode_png
from medstress.records import ImageRow, SampleRow, write_rows
from medstress.specs import FinetuneSpec

METHODS = ("vlm_lora", "vlm_ia3", "vlm_prompt", "vlm_full")
_OWN: dict[str, dict[str, Any]] = {
    "vlm_lora": {"rank": 2, "alpha": 4, "dropout": 0.2, "learning_rate": 0.01},
    "vlm_ia3": {"learning_rate": 0.1},
    "vlm_prompt": {"tokens": 3, "learning_rate": 0.1},
    "vlm_full": {"learning_rate": 0.003},
}
SHIFT = Shift(name="heads", field="organ", ood=["head"], constant_in="image")


def strategy(method: str, **changes: Any) -> Any:
    common = {"title": method, "train_on": ["few"], "steps": 6, "batch": 4, "check_every": 3, "warm_up": 0}
    values = {"name": method, "method": method, **common, **_OWN[method], **changes}
    return TypeAdapter(Strategy).validate_python({key: value for key, value in values.items() if value is not None})


def card(folder: Path, **changes: Any) -> LocalVlm:
    plain: dict[str, Any] = {"name": "small", "title": "Small", "adapter": "local_vlm", "device": "cpu", "batch": 5}
    return LocalVlm(**plain | {"weights": str(folder), "max_new_tokens": 6} | changes)


def png(seed: int) -> bytes:
    return encode_png(np.random.default_rng(seed).integers(0, 256, (28, 28), dtype=np.uint8))


@dataclass(frozen=True)
class Few:
    """The records of twelve questions about eight images; test's images cannot be read."""

    images: Path
    samples: Path
    rows: list[SampleRow]


def save_few(folder: Path) -> Few:
    images, samples = [], []
    for number in range(8):
        split = ("train", "train", "train", "train", "val", "val", "test", "test")[number]
        shown = b"no picture" if split == "test" else png(number)
        images.append(ImageRow(f"image{number}", f"group{number}", split, "ct", shown, 28, 28))
        organ = ("lung", "head")[number % 2]
        for asked, answer in (("organ", organ), ("side", "left")) if number < 4 else (("organ", organ),):
            about = (("organ", organ),)
            row = SampleRow(f"{asked}{number}", f"image{number}", "vqa", (), about, question=f"{asked}?", answer=answer)
            samples.append(row)
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder / "images.parquet", ImageRow, images)
    write_rows(folder / "samples.parquet", SampleRow, samples)
    return Few(folder / "images.parquet", folder / "samples.parquet", samples)


def run(
    model: LocalVlm, few: Few, folder: Path, by: Any, *, seed: int = 0, shift: Shift | None = None
) -> tuple[dict[str, int], str, dict[str, Any]]:
    """A training: its steps, the hash of its tensors, and what it says of itself."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors, training = folder / "trained.safetensors", folder / "training.json"
    steps = finetune(
        FinetuneSpec(model=model, strategy=by, trainset="few", seed=seed, shift=shift),
        [few.images],
        [few.samples],
        tensors,
        training,
        journal=folder / "journal",
        code="code",
    )
    return steps, hashlib.sha256(tensors.read_bytes()).hexdigest(), json.loads(training.read_text())


def asks(few: Few, *, image: bool = True) -> list[Ask]:
    return [
        Ask(row.sample_id, "clean", 0, png(number) if image else None, "well, " * (number % 3) + row.question, "vqa")
        for number, row in enumerate(few.rows)
    ]
