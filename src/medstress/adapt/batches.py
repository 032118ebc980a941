"""The batches of a segmenter's training, each of which depends on the seed and the step's number alone."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from medstress.adapt.examples import Example, StoredExample
from medstress.adapt.variation import varied
from medstress.cards.strategy import Strategy
from medstress.models.segmentation.protocol import LearnedSegmenter
from medstress.perturb.protocol import Scene
from medstress.records import atomic_path
from medstress.seeds import generator, seed_of


@dataclass(frozen=True)
class Batch:
    """The examples of a step, with the embeddings [n, ...] of their images where these are known."""

    examples: list[Example]
    embeddings: Tensor | None = None

    @property
    def size(self) -> int:
        """How many objects the examples have together."""
        return sum(len(example.boxes) for example in self.examples)

    @property
    def names(self) -> list[str]:
        """The samples."""
        return [example.sample_id for example in self.examples]

    def cut(self, parts: int) -> Iterator["Batch"]:
        """The batch in consecutive parts whose sizes differ by one at most."""
        for indices in np.array_split(np.arange(len(self.examples)), parts):
            if len(indices):
                first, last = int(indices[0]), int(indices[-1]) + 1
                known = None if self.embeddings is None else self.embeddings[first:last]
                yield Batch(self.examples[first:last], known)


Batches = Callable[[int], Batch]
"""From a step's number to its batch."""


def drawn(rng: np.random.Generator, examples: int, batch: int) -> list[int]:
    """The places of a batch among the examples, each at most once where there are enough of them."""
    return [int(index) for index in rng.choice(examples, batch, replace=batch > examples)]


def fresh_batches(training: Sequence[StoredExample], strategy: Strategy, seed: int) -> Batches:
    """Batches whose images are varied anew at every step."""

    def batch(step: int) -> Batch:
        rng = generator(seed_of("finetune", str(seed), str(step)))
        chosen = drawn(rng, len(training), strategy.batch)
        examples = []
        for place, index in enumerate(chosen):
            own = generator(seed_of("variation", str(seed), str(step), str(place)))
            examples.append(varied(training[index].decoded(), own, strategy.augmentation))
        return Batch(examples)

    return batch


def cached_batches(
    segmenter: LearnedSegmenter, training: Sequence[StoredExample], strategy: Strategy, seed: int, folder: Path
) -> Batches:
    """Batches from fixed variations of each training image, whose embeddings are made here, once.

    Every example has a safetensors file in `folder`, written whole or not at all: what a killed training had encoded is
    found again, and embeddings need not fit memory. The image encoder of `segmenter` must be frozen.
    """
    for index, stored in enumerate(training):
        path = folder / f"{index:06d}.safetensors"
        if not _is_whole(path):
            _write_views(segmenter, stored, strategy, seed, path)
    device = next(segmenter.model.parameters()).device

    def batch(step: int) -> Batch:
        rng = generator(seed_of("finetune", str(seed), str(step)))
        examples, embeddings = [], []
        for index in drawn(rng, len(training), strategy.batch):
            view = int(rng.integers(strategy.cached_views))
            example, embedding = _read_view(folder / f"{index:06d}.safetensors", view, training[index].sample_id)
            examples.append(example)
            embeddings.append(embedding)
        return Batch(examples, torch.stack(embeddings).to(device))

    return batch


def _is_whole(path: Path) -> bool:
    try:
        with safe_open(path, "pt") as handle:
            return bool(handle.keys())
    except (FileNotFoundError, SafetensorError):
        return False


def _write_views(segmenter: LearnedSegmenter, stored: StoredExample, strategy: Strategy, seed: int, path: Path) -> None:
    example = stored.decoded()
    names = [("view", str(seed), stored.sample_id, str(view)) for view in range(strategy.cached_views)]
    views = [varied(example, generator(seed_of(*name)), strategy.augmentation) for name in names]
    segmenter.model.eval()
    with torch.no_grad():
        embeddings = segmenter.encode([view.image for view in views])
    tensors = {}
    for index, view in enumerate(views):
        tensors[f"{index}.embedding"] = embeddings[index].cpu().contiguous()
        tensors[f"{index}.boxes"] = torch.tensor(view.boxes, dtype=torch.float64)
        tensors[f"{index}.masks"] = torch.from_numpy(np.stack(view.masks))
    with atomic_path(path) as temporary:
        save_file(tensors, temporary)


def _read_view(path: Path, view: int, sample_id: str) -> tuple[Example, Tensor]:
    with safe_open(path, "pt") as handle:
        embedding, boxes, masks = (handle.get_tensor(f"{view}.{name}") for name in ("embedding", "boxes", "masks"))
    seen = masks.numpy()
    # Where embeddings are known, a loss looks at nothing but the image's size.
    blank = np.broadcast_to(np.uint8(0), seen.shape[1:])
    placed = [(x0, y0, x1, y1) for x0, y0, x1, y1 in boxes.tolist()]
    return Example(sample_id, Scene(blank), tuple(placed), tuple(seen)), embedding
