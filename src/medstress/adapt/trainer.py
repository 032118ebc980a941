"""Trains what a strategy says, chooses on val, and goes on after a stop as if it had not stopped."""

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from medstress.adapt.batches import Batch, Batches, cached_batches, fresh_batches
from medstress.adapt.examples import StoredExample, share_of
from medstress.adapt.optimiser import make_optimiser, set_rate
from medstress.adapt.schedule import Progress, rate_share
from medstress.adapt.trainable import (
    apply_strategy,
    kept_tensors,
    put_tensors,
    set_training_mode,
    trained_tensors,
)
from medstress.cards.model import Learned
from medstress.cards.strategy import Strategy
from medstress.errors import MedstressError
from medstress.models.segmentation.protocol import LearnedSegmenter
from medstress.records import atomic_path
from medstress.seeds import seed_of

_SAVE_EVERY = 5
# Saving may take this share of the time: the state of a large model is gigabytes.
_SAVING_SHARE = 0.1
# Images of val that are held decoded at a time.
_LOOK = 8


class DivergedError(MedstressError):
    """The loss of a training is not finite."""


@dataclass(frozen=True)
class Outcome:
    """What a training with one learning rate came to, and the step that this process found it at."""

    learning_rate: float
    progress: Progress
    started: int


def _cpu_copies(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}


def mean_iou(segmenter: LearnedSegmenter, examples: Sequence[StoredExample]) -> float:
    """Mean IoU over all objects of the examples, prompted with their boxes."""
    values: list[float] = []
    rest: Iterator[StoredExample] = iter(examples)
    while part := [stored.decoded() for stored in islice(rest, _LOOK)]:
        answers = segmenter.predict([example.image for example in part], [example.boxes for example in part])
        values += [
            float((answer & truth).sum() / max((answer | truth).sum(), 1))
            for example, masks in zip(part, answers, strict=True)
            for answer, truth in zip(masks, example.masks, strict=True)
        ]
    return sum(values) / len(values)


class Training:
    """One training in memory: the segmenter, the optimiser, the progress, and the best weights so far."""

    def __init__(
        self, segmenter: LearnedSegmenter, card: Learned, strategy: Strategy, rate: float, seed: int, state: Path
    ) -> None:
        self.segmenter, self.strategy, self.rate, self.seed, self.state = segmenter, strategy, rate, seed, state
        self.progress = Progress()
        self.kept = kept_tensors(segmenter.model)
        self.weights = trained_tensors(segmenter.model)
        self.best: dict[str, Tensor] = {}
        self.optimiser = make_optimiser(self.weights, strategy)
        # The adapter itself runs in the card's format; gradients of fp16 vanish without a scale.
        device = next(iter(self.weights.values())).device.type
        self.scaler = torch.amp.GradScaler(device, enabled=device == "cuda" and card.precision == "fp16")
        self.next_save = 0.0
        if state.exists():
            self.restore()

    def look(self, validation: Sequence[StoredExample]) -> None:
        """Score val and remember the weights where it is the best look so far."""
        self.segmenter.model.eval()
        if self.progress.add(mean_iou(self.segmenter, validation)):
            self.best = _cpu_copies(self.kept)
        set_training_mode(self.segmenter.model)

    def advance(self, batch: Batch) -> None:
        """One optimiser step."""
        step = self.progress.step
        # What a model draws while it trains (dropout) must not depend on where an earlier process stopped.
        torch.manual_seed(seed_of("draws", str(self.seed), str(step)))
        set_rate(self.optimiser, self.rate * rate_share(step, self.strategy.steps, self.strategy.warm_up))
        self.optimiser.zero_grad(set_to_none=True)
        try:
            for part in batch.cut(self.strategy.accumulate):
                # A loss is a mean over objects, and so is that of the whole batch.
                loss = self.loss(part) * (part.objects / batch.objects)
                self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            self.scaler.unscale_(self.optimiser)
            nn.utils.clip_grad_norm_(self.weights.values(), self.strategy.clip)
            self.scaler.step(self.optimiser)
        except torch.OutOfMemoryError:
            raise MedstressError(
                f"strategy {self.strategy.name}: a step of {self.strategy.batch} images in {self.strategy.accumulate} "
                "parts does not fit the GPU's memory. Raise `accumulate` in its card: the gradient stays the same."
            ) from None
        self.scaler.update()
        self.progress.step += 1

    def loss(self, batch: Batch) -> Tensor:
        """The loss of a part of a step. Raises DivergedError where it is not finite."""
        images = [example.image for example in batch.examples]
        boxes, masks = ([getattr(example, name) for example in batch.examples] for name in ("boxes", "masks"))
        loss = self.segmenter.loss(images, boxes, masks, embeddings=batch.embeddings)
        if not torch.isfinite(loss):
            names = ", ".join(example.sample_id for example in batch.examples)
            raise DivergedError(
                f"the loss is {loss.item()} at step {self.progress.step} on the samples {names}. "
                f"Lower the strategy's learning rate ({self.rate:g}) or look at these samples."
            )
        return loss

    def save(self, *, finished: bool = False) -> None:
        """Write everything that the rest of the training depends on: once finished, that is the best weights alone."""
        started = time.monotonic()
        state: dict[str, Any] = {"progress": asdict(self.progress), "best": self.best}
        if not finished:
            state["kept"] = _cpu_copies(self.kept)
            state["optimiser"], state["scaler"] = self.optimiser.state_dict(), self.scaler.state_dict()
        with atomic_path(self.state) as temporary:
            torch.save(state, temporary)
        ended = time.monotonic()
        self.next_save = ended + (ended - started) / _SAVING_SHARE

    def restore(self) -> None:
        """Go on from what :meth:`save` wrote."""
        state: dict[str, Any] = torch.load(self.state, map_location="cpu", weights_only=True)
        said = state["progress"]
        self.progress = Progress(**(said | {"looks": [(step, iou) for step, iou in said["looks"]]}))
        self.best = state["best"]
        if "optimiser" in state:
            put_tensors(self.kept, state["kept"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.scaler.load_state_dict(state["scaler"])

    def run(self, batches: Batches, validation: Sequence[StoredExample]) -> Outcome:
        """Take every step that is left; val is looked at before the first, every `check_every` and after the last."""
        card, progress, started = self.strategy, self.progress, self.progress.step
        set_training_mode(self.segmenter.model)
        if not progress.looks:
            self.look(validation)
        while not progress.is_over(card.steps, card.patience):
            self.advance(batches(progress.step))
            if progress.step % card.check_every == 0 or progress.step == card.steps:
                self.look(validation)
            if progress.step % _SAVE_EVERY == 0 and time.monotonic() >= self.next_save:
                self.save()
        self.save(finished=True)
        return Outcome(self.rate, progress, started)


def train(
    segmenter: LearnedSegmenter,
    card: Learned,
    strategy: Strategy,
    seed: int,
    training: Sequence[StoredExample],
    validation: Sequence[StoredExample],
    folder: Path,
) -> list[Outcome]:
    """Adapt `segmenter` in place and leave it with the weights of the best look at val, over all learning rates.

    Each learning rate is a training of its own from the same start. What an unfinished training depends on is written
    to `folder` every few steps; where it is there, training goes on from it, to the same bits on a CPU. Returns what
    became of each rate, in the card's order; rates of a sweep whose loss was not finite are left out. Raises
    MedstressError where the model lacks what the strategy trains, and where no rate's loss stayed finite, naming step
    and samples.
    """
    apply_strategy(segmenter.model, segmenter.parts, strategy, seed, name=card.name)
    kept = kept_tensors(segmenter.model)
    start = _cpu_copies(kept)
    used = share_of(training, strategy.share, seed)
    if strategy.cached_views:
        assert not any(re.match(segmenter.parts.encoder, name) for name in kept), "cached embeddings would grow old"
        batches = cached_batches(segmenter, used, strategy, seed, folder / "views")
    else:
        batches = fresh_batches(used, strategy, seed)
    outcomes: list[Outcome] = []
    failures: list[DivergedError] = []
    best = start
    for index, rate in enumerate(dict.fromkeys([strategy.learning_rate, *strategy.sweep])):
        put_tensors(kept, start)
        job = Training(segmenter, card, strategy, rate, seed, folder / f"rate{index}.pt")
        try:
            outcomes.append(job.run(batches, validation))
        except DivergedError as error:
            failures.append(error)
        else:
            best = job.best if chosen(outcomes) is outcomes[-1] else best
    if not outcomes:
        raise failures[0]
    put_tensors(kept, best)
    segmenter.model.eval()
    return outcomes


def chosen(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcome with the best look at val; the first of equals."""
    return max(outcomes, key=lambda outcome: outcome.progress.best_iou)
