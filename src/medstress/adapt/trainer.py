"""Trains what a strategy says, chooses on val, and goes on after a stop as if it had not stopped."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from medstress.adapt.examples import Example, share_of, varied
from medstress.adapt.trainable import TrainableSegmenter, apply_strategy, trained_tensors
from medstress.cards.strategy import Strategy
from medstress.errors import MedstressError
from medstress.records import atomic_path
from medstress.seeds import generator, seed_of

_SAVE_EVERY = 5
_WARM_UP = 0.1
_CLIP = 1.0
_WEIGHT_DECAY = 0.01


@dataclass
class Progress:
    """How far a training has come: steps done, looks at val as (step, mean IoU), and the best of them."""

    step: int = 0
    looks: list[tuple[int, float]] = field(default_factory=list)
    best_step: int = -1
    best_iou: float = -1.0


def learning_rate(strategy: Strategy, step: int) -> float:
    """Linear warm-up over the first tenth of the steps, then a cosine to zero."""
    warm = max(1, round(_WARM_UP * strategy.steps))
    if step < warm:
        return strategy.learning_rate * (step + 1) / warm
    return strategy.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, strategy.steps - warm)))


def mean_iou(segmenter: TrainableSegmenter, examples: Sequence[Example]) -> float:
    """Mean IoU over all objects of the examples, prompted with their boxes."""
    answers = segmenter.predict([example.image for example in examples], [example.boxes for example in examples])
    values = [
        (answer & truth).sum() / max((answer | truth).sum(), 1)
        for example, masks in zip(examples, answers, strict=True)
        for answer, truth in zip(masks, example.masks, strict=True)
    ]
    return float(np.mean(values))


class _Training:
    """One training in memory: the segmenter, the optimiser, the progress, and the best weights so far."""

    def __init__(self, segmenter: TrainableSegmenter, strategy: Strategy, seed: int) -> None:
        self.segmenter, self.strategy, self.seed = segmenter, strategy, seed
        self.progress = Progress()
        apply_strategy(segmenter.model, strategy, seed)
        self.weights = trained_tensors(segmenter.model)
        self.best: dict[str, Tensor] = {}
        self.optimiser = torch.optim.AdamW(_decay_groups(self.weights), lr=strategy.learning_rate)

    def look(self, validation: Sequence[Example]) -> None:
        """Score val and remember the weights where it is the best look so far; the first of equals stays."""
        self.segmenter.model.eval()
        iou = mean_iou(self.segmenter, validation)
        self.progress.looks.append((self.progress.step, iou))
        if iou > self.progress.best_iou:
            self.progress.best_step, self.progress.best_iou = self.progress.step, iou
            self.best = {name: tensor.detach().clone() for name, tensor in self.weights.items()}

    def advance(self, training: Sequence[Example]) -> None:
        """One optimiser step on a batch that depends on the seed and the step's number alone."""
        step = self.progress.step
        rng = generator(seed_of("finetune", str(self.seed), str(step)))
        size = self.strategy.batch
        chosen = rng.choice(len(training), size, replace=size > len(training))
        batch = [varied(training[index], rng) for index in chosen]
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.strategy, step)
        self.segmenter.model.train()
        self.optimiser.zero_grad(set_to_none=True)
        loss = self.segmenter.loss(
            [example.image for example in batch],
            [example.boxes for example in batch],
            [example.masks for example in batch],
        )
        if not torch.isfinite(loss):
            names = ", ".join(example.sample_id for example in batch)
            raise MedstressError(
                f"the loss is {loss.item()} at step {step} on the samples {names}. "
                f"Lower the strategy's learning_rate ({self.strategy.learning_rate:g}) or look at these samples."
            )
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.weights.values(), _CLIP)
        self.optimiser.step()
        self.progress.step += 1

    def save(self, path: Path) -> None:
        """Write everything that the rest of the training depends on."""
        state = {
            "progress": asdict(self.progress),
            "weights": {name: tensor.detach() for name, tensor in self.weights.items()},
            "best": self.best,
            "optimiser": self.optimiser.state_dict(),
        }
        with atomic_path(path) as temporary:
            torch.save(state, temporary)

    def restore(self, path: Path) -> None:
        """Go on from what :meth:`save` wrote."""
        device = next(iter(self.weights.values())).device
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        with torch.no_grad():
            for name, tensor in self.weights.items():
                tensor.copy_(state["weights"][name])
        self.best = state["best"]
        self.optimiser.load_state_dict(state["optimiser"])
        said = state["progress"]
        self.progress = Progress(**(said | {"looks": [(step, iou) for step, iou in said["looks"]]}))


def _decay_groups(weights: dict[str, Tensor]) -> list[dict[str, Any]]:
    """Weight decay for matrices and kernels, none for biases and norms."""
    decayed = [tensor for tensor in weights.values() if tensor.ndim > 1]
    plain = [tensor for tensor in weights.values() if tensor.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": _WEIGHT_DECAY}, {"params": plain, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def train(
    segmenter: TrainableSegmenter,
    strategy: Strategy,
    seed: int,
    training: Sequence[Example],
    validation: Sequence[Example],
    state: Path,
) -> tuple[Progress, int]:
    """Adapt `segmenter` in place and leave it with the weights of the best look at val.

    A look is taken before the first step, every `check_every` steps and after the last. The state is written to
    `state` every few steps; where that file exists, training goes on from it, to the same bits on a CPU. Returns the
    progress and the step that this call started from. Raises MedstressError where the loss is not finite, naming step
    and samples.
    """
    job = _Training(segmenter, strategy, seed)
    if state.exists():
        job.restore(state)
    started = job.progress.step
    used = share_of(training, strategy.share, seed)
    if not job.progress.looks:
        job.look(validation)
    while job.progress.step < strategy.steps:
        job.advance(used)
        step = job.progress.step
        if step % strategy.check_every == 0 or step == strategy.steps:
            job.look(validation)
        if step % _SAVE_EVERY == 0:
            job.save(state)
    with torch.no_grad():
        for name, tensor in job.weights.items():
            tensor.copy_(job.best[name])
    segmenter.model.eval()
    return job.progress, started
