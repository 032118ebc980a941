"""Trains what a strategy says, chooses on val, and goes on after a stop as if it had not stopped."""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Generic, Protocol, Self, TypeVar

import torch
from torch import Tensor, nn

from medstress.adapt.optimiser import make_optimiser, set_rate
from medstress.adapt.schedule import Progress, rate_share
from medstress.adapt.trainable import kept_tensors, put_tensors, set_training_mode, trained_tensors
from medstress.cards.learned import Learned
from medstress.cards.strategy import Strategy
from medstress.errors import MedstressError
from medstress.models.weight_file import why_unread
from medstress.records import atomic_path
from medstress.seeds import seed_of

log = logging.getLogger("medstress")

_SAVE_EVERY = 5
# Saving may take this share of the time: the state of a large model is gigabytes.
_SAVING_SHARE = 0.1


class Part(Protocol):
    """The examples of a step, or some of them."""

    @property
    def size(self) -> int:
        """How many things the loss is the mean of."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """The samples, for messages."""
        ...

    def cut(self, parts: int) -> Iterator[Self]:
        """Consecutive parts whose numbers of examples differ by one at most; fewer where there are not enough."""
        ...


P = TypeVar("P", bound=Part)


class Learner(Protocol[P]):
    """What is trained, on what, and what is better: all that a training knows of its task."""

    @property
    def model(self) -> nn.Module:
        """The network, to which the strategy was applied."""
        ...

    @property
    def score(self) -> str:
        """What `look` gives, as the training record names it, such as iou."""
        ...

    def batch(self, step: int) -> P:
        """The batch of a step, which depends on the step's number and the learner's seed alone."""
        ...

    def loss(self, part: P) -> Tensor:
        """The mean loss of a part, a scalar."""
        ...

    def look(self) -> float:
        """How good the model, in eval mode, is on val; larger is better."""
        ...


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


class Training(Generic[P]):
    """One training in memory: the learner, the optimiser, the progress, and the best weights so far."""

    def __init__(
        self, learner: Learner[P], card: Learned, strategy: Strategy, rate: float, seed: int, state: Path
    ) -> None:
        self.learner, self.strategy, self.rate, self.seed, self.state = learner, strategy, rate, seed, state
        self.progress = Progress()
        self.kept = kept_tensors(learner.model)
        self.weights = trained_tensors(learner.model)
        self.best: dict[str, Tensor] = {}
        self.optimiser = make_optimiser(self.weights, strategy)
        # The adapter itself runs in the card's format; gradients of fp16 vanish without a scale.
        device = next(iter(self.weights.values())).device.type
        self.scaler = torch.amp.GradScaler(device, enabled=device == "cuda" and card.precision == "fp16")
        self.next_save = 0.0
        if state.exists():
            self.restore()

    def look(self) -> None:
        """Score val and remember the weights where it is the best look so far."""
        self.learner.model.eval()
        if self.progress.add(self.learner.look()):
            self.best = _cpu_copies(self.kept)
        set_training_mode(self.learner.model)

    def advance(self, batch: P) -> None:
        """One optimiser step."""
        step = self.progress.step
        # What a model draws while it trains (dropout) must not depend on where an earlier process stopped.
        torch.manual_seed(seed_of("draws", str(self.seed), str(step)))
        set_rate(self.optimiser, self.rate * rate_share(step, self.strategy.steps, self.strategy.warm_up))
        self.optimiser.zero_grad(set_to_none=True)
        try:
            for part in batch.cut(self.strategy.accumulate):
                # A loss is a mean, and so is that of the whole batch.
                loss = self.loss(part) * (part.size / batch.size)
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

    def loss(self, part: P) -> Tensor:
        """The loss of a part of a step. Raises DivergedError where it is not finite."""
        loss = self.learner.loss(part)
        if not torch.isfinite(loss):
            raise DivergedError(
                f"the loss is {loss.item()} at step {self.progress.step} on the samples {', '.join(part.names)}. "
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
        """Go on from what :meth:`save` wrote; from the start where that cannot be read (a damaged disk)."""
        try:
            state: dict[str, Any] = torch.load(self.state, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, OSError, UnpicklingError, ValueError, KeyError) as error:
            log.warning("%s cannot be read (%s): this training starts anew", self.state, why_unread(error))
            return
        said = state["progress"]
        self.progress = Progress(**(said | {"looks": [(step, score) for step, score in said["looks"]]}))
        self.best = state["best"]
        if "optimiser" in state:
            put_tensors(self.kept, state["kept"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.scaler.load_state_dict(state["scaler"])

    def run(self) -> Outcome:
        """Take every step that is left; val is looked at before the first, every `check_every` and after the last."""
        card, progress, started = self.strategy, self.progress, self.progress.step
        set_training_mode(self.learner.model)
        if not progress.looks:
            self.look()
        while not progress.is_over(card.steps, card.patience):
            self.advance(self.learner.batch(progress.step))
            if progress.step % card.check_every == 0 or progress.step == card.steps:
                self.look()
            if progress.step % _SAVE_EVERY == 0 and time.monotonic() >= self.next_save:
                self.save()
        self.save(finished=True)
        return Outcome(self.rate, progress, started)


def train(learner: Learner[P], card: Learned, strategy: Strategy, seed: int, folder: Path) -> list[Outcome]:
    """Train the learner's model in place and leave it with the weights of the best look at val, over all rates.

    Each learning rate is a training of its own from the same start. What an unfinished training depends on is written
    to `folder` every few steps; where it is there, training goes on from it, to the same bits on a CPU. Returns what
    became of each rate, in the card's order; rates of a sweep whose loss was not finite are left out. Raises
    MedstressError where no rate's loss stayed finite, naming step and samples.
    """
    kept = kept_tensors(learner.model)
    start = _cpu_copies(kept)
    outcomes: list[Outcome] = []
    failures: list[DivergedError] = []
    best = start
    for index, rate in enumerate(dict.fromkeys([strategy.learning_rate, *strategy.sweep])):
        put_tensors(kept, start)
        job = Training(learner, card, strategy, rate, seed, folder / f"rate{index}.pt")
        try:
            outcomes.append(job.run())
        except DivergedError as error:
            failures.append(error)
        else:
            best = job.best if chosen(outcomes) is outcomes[-1] else best
    if not outcomes:
        raise failures[0]
    put_tensors(kept, best)
    learner.model.eval()
    return outcomes


def chosen(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcome with the best look at val; the first of equals."""
    return max(outcomes, key=lambda outcome: outcome.progress.best)
