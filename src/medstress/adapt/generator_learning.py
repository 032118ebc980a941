"""How a vision-language model learns: transformers' Trainer takes the steps, val says what is better.

The loss is the cross-entropy of the answers' tokens, the mean over all tokens of a step. What is better is the
likelihood of a token of val's answers, exp(-loss), since one number has to do for questions, captions and boxes.
"""

import json
import logging
import math
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PrinterCallback, Trainer, TrainerCallback

from medstress.adapt.answer_batches import IGNORED, AnswerBatches, Curriculum, answer_loss
from medstress.adapt.language_model import is_projector
from medstress.adapt.lessons import Lesson
from medstress.adapt.schedule import Progress
from medstress.adapt.trainable import kept_tensors, load_tensors, put_tensors, save_tensors, set_training_mode
from medstress.adapt.trainer import DivergedError, Outcome, chosen
from medstress.adapt.trainer_arguments import trainer_arguments
from medstress.cards.local_vlm import LocalVlm
from medstress.cards.strategy import Vlm
from medstress.errors import MedstressError
from medstress.models.precision import precision_of
from medstress.models.weight_file import why_unread
from medstress.records import atomic_path
from medstress.seeds import seed_of

log = logging.getLogger("medstress")

SCORE = "likelihood"
"""What training records call a look at val: of a token of the answers, the geometric mean."""
_SAVE_EVERY = 5
# Saving may take this share of the time: the state of a large model is gigabytes.
_SAVING_SHARE = 0.1
# Questions of val at a time where the card leaves it open.
_LOOK = 8
_UNREAD = (RuntimeError, EOFError, OSError, UnpicklingError, ValueError, KeyError, TypeError, MedstressError)
_KEPT, _BEST, _PROGRESS, _STATE = "kept.safetensors", "best.safetensors", "progress.json", "trainer_state.json"


class AnswerTrainer(Trainer):
    """A training with one learning rate: Trainer's steps, and what medstress asks of every training besides.

    The order of the lessons and what a model draws at a step depend on the seed and the step alone; weights are chosen
    on val; a checkpoint is what is trained, and a resumed training comes to the same bits on a CPU.
    """

    def __init__(
        self,
        network: nn.Module,
        batches: AnswerBatches,
        lessons: tuple[Sequence[Lesson], Sequence[Lesson]],
        card: LocalVlm,
        strategy: Vlm,
        rate: float,
        seed: int,
        folder: Path,
    ) -> None:
        self.strategy, self.rate, self.draws, self.folder = strategy, rate, seed, folder
        self.batches, self.validation, self.look_at = batches, lessons[1], card.batch if card.batch != "auto" else _LOOK
        self.network, self.kept = network, kept_tensors(network)
        device = next(network.parameters()).device
        # Not by Trainer, whose autocast begins with the first step, after the first look at val.
        self.precision = precision_of(card, device)
        self.asleep: list[nn.Module] = []
        self.best: dict[str, Tensor] = {}
        self.progress = Progress()
        self.next_save = 0.0
        self.curriculum = Curriculum(lessons[0], seed, strategy.steps * strategy.batch)
        super().__init__(
            network,
            trainer_arguments(strategy, rate, seed, folder, device),
            data_collator=batches,
            train_dataset=self.curriculum,
            compute_loss_func=answer_loss,
            callbacks=[_Watch(self)],
        )
        self.remove_callback(PrinterCallback)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW: weight decay for matrices, none for biases and factors; the projector has its own learning rate."""
        groups: dict[tuple[float, float], list[Tensor]] = {}
        for name, tensor in (model or self.network).named_parameters():
            if tensor.requires_grad:
                decay = self.strategy.weight_decay if tensor.ndim > 1 else 0.0
                own = self.strategy.projector_rate if is_projector(name) else None
                groups.setdefault((decay, own or self.rate), []).append(tensor)
        self.optimizer = torch.optim.AdamW(
            [{"params": tensors, "weight_decay": decay, "lr": rate} for (decay, rate), tensors in groups.items()],
            fused=True,
        )
        return self.optimizer

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """The loss of a part of a step. Raises DivergedError where it is not finite."""
        if not self.asleep:
            set_training_mode(model)
            # A frozen layer, too, computes its activations anew, which it does in training mode alone.
            self.asleep = [
                module
                for module in model.modules()
                if not (module.training or getattr(module, "gradient_checkpointing", False))
            ]
        for module in self.asleep:
            module.training = False
        with self.precision.encoder():
            loss: Any = super().compute_loss(model, {**inputs, "use_cache": False}, *args, **kwargs)
        if not torch.isfinite(loss):
            step, batch = self.state.global_step, self.strategy.batch
            names = [self.curriculum[place].sample_id for place in range(step * batch, (step + 1) * batch)]
            raise DivergedError(
                f"the loss is {loss.item()} at step {step} on the samples {', '.join(names)}. Lower the strategy's "
                f"learning rate ({self.rate:g}) or look at these samples."
            )
        return loss.to(self.args.device)

    @torch.no_grad()
    def look(self) -> None:
        """Score val and remember the weights where it is the best look so far."""
        self.network.eval()
        total, tokens = 0.0, 0
        rest: Iterator[Lesson] = iter(self.validation)
        while part := list(islice(rest, self.look_at)):
            inputs = self._prepare_inputs(self.batches(part))
            labels = inputs.pop("labels")
            with self.precision.encoder():
                total += float(answer_loss(self.network(**inputs, use_cache=False), labels, 1))
            tokens += int((labels[:, 1:] != IGNORED).sum())
        if self.progress.add(math.exp(-total / tokens)):
            self.best = _cpu_copies(self.kept)

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        started = time.monotonic()
        super()._save_checkpoint(*args, **kwargs)
        for place in self.folder.glob("checkpoint-*"):
            if place.name != f"checkpoint-{self.state.global_step}":
                shutil.rmtree(place)
        ended = time.monotonic()
        self.next_save = ended + (ended - started) / _SAVING_SHARE

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:  # noqa: ARG002
        folder = Path(output_dir or self.folder)
        save_tensors(self.kept, folder / _KEPT)
        self.save_best(folder)

    def save_best(self, folder: Path) -> None:
        """Write the best weights so far, then the progress: where that is, all of it is."""
        save_tensors(self.best, folder / _BEST)
        with atomic_path(folder / _PROGRESS) as temporary:
            temporary.write_text(json.dumps(asdict(self.progress)), encoding="utf-8")

    def load_best(self, folder: Path) -> None:
        """Read what :meth:`save_best` wrote. Raises what reading raises, and MedstressError where tensors are wrong."""
        said = json.loads((folder / _PROGRESS).read_text(encoding="utf-8"))
        now = _cpu_copies(self.kept)
        load_tensors(self.network, folder / _BEST)
        self.best = _cpu_copies(self.kept)
        put_tensors(self.kept, now)
        self.progress = Progress(**(said | {"looks": [(step, score) for step, score in said["looks"]]}))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:  # noqa: ARG002
        load_tensors(self.network, Path(resume_from_checkpoint) / _KEPT)
        self.load_best(Path(resume_from_checkpoint))

    # Nothing that is drawn depends on what was drawn before.
    def _save_rng_state(self, output_dir: str) -> None:
        pass

    def _load_rng_state(self, checkpoint: str | None) -> None:
        pass

    def run(self) -> Outcome:
        """Take every step that is left; val is looked at before the first, every `check_every` and after the last."""
        started = self._found()
        if not self.progress.is_over(self.strategy.steps, self.strategy.patience):
            try:
                if not self.progress.looks:
                    self.look()
                self.train(resume_from_checkpoint=str(self.folder / f"checkpoint-{started}") if started else None)
            except torch.OutOfMemoryError:
                raise MedstressError(
                    f"strategy {self.strategy.name}: a step of {self.strategy.batch} questions in "
                    f"{self.strategy.accumulate} parts, or a look at {self.look_at} of val at a time, does not fit the "
                    "GPU's memory. Raise `accumulate` in its card, or write `gradient_checkpointing: true`: the "
                    "gradient stays the same. For looks, lower `batch` in the model's card."
                ) from None
            self.save_best(self.folder)
            for checkpoint in self.folder.glob("checkpoint-*"):
                shutil.rmtree(checkpoint)
        return Outcome(self.rate, self.progress, started)

    def _found(self) -> int:
        """The step that an earlier process came to; 0 where it left nothing that can be read, which is then removed."""
        if not self.folder.exists():
            return 0
        start = _cpu_copies(self.kept)
        places = sorted(self.folder.glob("checkpoint-*"), key=lambda path: -int(path.name.rpartition("-")[2]))
        try:
            if (self.folder / _PROGRESS).exists():
                self.load_best(self.folder)
                return self.progress.step
            # Trainer writes its state last: without it a process was killed while it wrote.
            for place in (path for path in places if (path / _STATE).exists()):
                json.loads((place / _STATE).read_text(encoding="utf-8"))
                for name in ("optimizer.pt", "scheduler.pt"):
                    torch.load(place / name, map_location="cpu", weights_only=True)
                self._load_from_checkpoint(str(place))
                return self.progress.step
        except _UNREAD as error:
            log.warning("%s cannot be read (%s): this training starts anew", self.folder, why_unread(error))
        shutil.rmtree(self.folder)
        put_tensors(self.kept, start)
        self.progress, self.best = Progress(), {}
        return 0


class _Watch(TrainerCallback):
    """What happens between the steps: seeds, looks at val, and when to save and to stop."""

    def __init__(self, trainer: AnswerTrainer) -> None:
        self.trainer = trainer

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        # What a model draws while it trains (dropout) must not depend on where an earlier process stopped.
        torch.manual_seed(seed_of("draws", str(self.trainer.draws), str(state.global_step)))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        trainer, strategy = self.trainer, self.trainer.strategy
        step = trainer.progress.step = state.global_step
        if step % strategy.check_every == 0 or step == strategy.steps:
            trainer.look()
        if trainer.progress.is_over(strategy.steps, strategy.patience):
            control.should_training_stop = True
        elif step % _SAVE_EVERY == 0 and time.monotonic() >= trainer.next_save:
            control.should_save = True


def _cpu_copies(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}


def train_generator(
    network: nn.Module,
    batches: AnswerBatches,
    lessons: tuple[Sequence[Lesson], Sequence[Lesson]],
    card: LocalVlm,
    strategy: Vlm,
    seed: int,
    folder: Path,
) -> list[Outcome]:
    """Train `network` in place, to which `strategy` was applied, and leave it with the best weights over all rates.

    `lessons` are those that are learnt and those that choose. As :func:`medstress.adapt.trainer.train`, to which
    this is the same: each learning rate is a training of its own, and what an unfinished one depends on is in `folder`.
    """
    kept = kept_tensors(network)
    start = best = _cpu_copies(kept)
    outcomes: list[Outcome] = []
    failures: list[DivergedError] = []
    for index, rate in enumerate(dict.fromkeys([strategy.learning_rate, *strategy.sweep])):
        put_tensors(kept, start)
        job = AnswerTrainer(network, batches, lessons, card, strategy, rate, seed, folder / f"rate{index}")
        try:
            outcomes.append(job.run())
        except DivergedError as error:
            failures.append(error)
        else:
            best = job.best if chosen(outcomes) is outcomes[-1] else best
    if not outcomes:
        raise failures[0]
    put_tensors(kept, best)
    network.eval()
    return outcomes
