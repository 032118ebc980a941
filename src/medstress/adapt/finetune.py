"""Makes one checkpoint: the trained tensors, and a record of how they came about."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from medstress.adapt.examples import StoredExample, read_examples
from medstress.adapt.schedule import Progress
from medstress.adapt.trainable import apply_strategy, kept_tensors, load_tensors, parameter_counts, save_tensors
from medstress.adapt.trainer import chosen, train
from medstress.cards.model import LearnedCard
from medstress.cards.strategy import Strategy
from medstress.errors import MedstressError
from medstress.journal import content_key, files_key
from medstress.models.registry import load_segmenter, weight_files
from medstress.models.segmentation.protocol import LearnedSegmenter
from medstress.perturb.registry import PERTURBATIONS
from medstress.records import atomic_path
from medstress.specs import FinetuneSpec


def finetune(
    spec: FinetuneSpec, images: Path, samples: Path, tensors: Path, training: Path, *, journal: Path, code: str
) -> dict[str, int]:
    """Adapt the model of `spec` to the train split and write `tensors` (safetensors) and `training` (JSON).

    What an unfinished training has done lies in the folder `journal`, under a name that the inputs determine; it is
    removed when both files are there. Returns the step that the training was found at and the steps done since, over
    all learning rates. Raises MedstressError where a split is empty, the model lacks what the strategy trains, no
    perturbation of the augmentation fits the images, or the loss is not finite.
    """
    key = content_key(code, spec.model_dump_json(), files_key([images, samples, *weight_files(spec.model)]))
    window = None if spec.window is None else (spec.window.low, spec.window.high)
    train_set, val_set = (
        read_examples(images, samples, split, background=spec.background, window=window) for split in ("train", "val")
    )
    _check_augmentation(spec.strategy, train_set)
    segmenter = cast(LearnedSegmenter, load_segmenter(spec.model))
    outcomes = train(segmenter, spec.model, spec.strategy, spec.seed, train_set, val_set, journal / key)
    best = chosen(outcomes)
    trained, total = parameter_counts(segmenter.model)
    facts = {
        "model": spec.model.model_dump(),
        "strategy": spec.strategy.model_dump(),
        "trainset": spec.trainset,
        "seed": spec.seed,
        "train_images": len(train_set),
        "train_objects": sum(len(stored.sample.objects) for stored in train_set),
        "trained_parameters": trained,
        "all_parameters": total,
        "learning_rate": best.learning_rate,
        "batch": spec.strategy.batch,
        "planned_steps": spec.strategy.steps,
        **_looks(best.progress),
        "rates": [{"learning_rate": one.learning_rate, **_looks(one.progress)} for one in outcomes],
        "diverged_rates": [
            rate
            for rate in dict.fromkeys([spec.strategy.learning_rate, *spec.strategy.sweep])
            if rate not in {one.learning_rate for one in outcomes}
        ],
    }
    save_tensors(kept_tensors(segmenter.model), tensors)
    with atomic_path(training) as temporary:
        temporary.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(journal / key)
    found = sum(outcome.started for outcome in outcomes)
    return {"resumed_from": found, "done": sum(outcome.progress.step for outcome in outcomes) - found}


def _looks(progress: Progress) -> dict[str, Any]:
    return {
        "steps": progress.step,
        "chosen_step": progress.best_step,
        "val_iou": [{"step": step, "iou": iou} for step, iou in progress.looks],
    }


def _check_augmentation(strategy: Strategy, training: Sequence[StoredExample]) -> None:
    if strategy.augmentation is None:
        return
    types = strategy.augmentation.types
    lacking = sorted(
        modality
        for modality in {stored.row.modality for stored in training}
        if not any(PERTURBATIONS[name].fits(modality) for name in types)  # type: ignore[arg-type]
    )
    if lacking:
        raise MedstressError(
            f"strategy {strategy.name}: none of its augmentation's types ({', '.join(types)}) is for "
            f"{', '.join(lacking)}. `medstress list` names those that are."
        )


def load_adapted(card: LearnedCard, strategy: Strategy, seed: int, tensors: Path) -> LearnedSegmenter:
    """The segmenter of a card with the trained tensors of a strategy in place, ready to predict."""
    segmenter = cast(LearnedSegmenter, load_segmenter(card))
    apply_strategy(segmenter.model, segmenter.parts, strategy, seed, name=card.name)
    load_tensors(segmenter.model, tensors)
    segmenter.model.requires_grad_(False)
    segmenter.model.train(False)
    return segmenter
