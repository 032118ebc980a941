"""Makes one checkpoint: the trained tensors, and a record of how they came about."""

import json
from pathlib import Path

from medstress.adapt.examples import read_examples
from medstress.adapt.trainable import (
    TrainableSegmenter,
    apply_strategy,
    load_tensors,
    parameter_counts,
    save_tensors,
    trained_tensors,
)
from medstress.adapt.trainer import train
from medstress.cards.model import Sam
from medstress.cards.strategy import Strategy
from medstress.journal import content_key, files_key
from medstress.models.registry import weight_files
from medstress.models.segmentation.sam import load
from medstress.records import atomic_path
from medstress.specs import FinetuneSpec


def finetune(
    spec: FinetuneSpec, images: Path, samples: Path, tensors: Path, training: Path, *, journal: Path, code: str
) -> dict[str, int]:
    """Adapt the model of `spec` to the train split and write `tensors` (safetensors) and `training` (JSON).

    The state of an unfinished training lies in the folder `journal`, under a name that the inputs determine; it is
    removed when both files are there. Returns the step that the state was found at and the steps done since.
    Raises MedstressError where a split is empty or the loss is not finite.
    """
    key = content_key(code, spec.model_dump_json(), files_key([images, samples, *weight_files(spec.model)]))
    state = journal / f"{key}.pt"
    segmenter: TrainableSegmenter = load(spec.model)
    train_set, val_set = (read_examples(images, samples, split) for split in ("train", "val"))
    progress, started = train(segmenter, spec.strategy, spec.seed, train_set, val_set, state)
    trained, total = parameter_counts(segmenter.model)
    facts = {
        "model": spec.model.model_dump(),
        "strategy": spec.strategy.model_dump(),
        "trainset": spec.trainset,
        "seed": spec.seed,
        "train_images": len(train_set),
        "train_objects": sum(len(example.boxes) for example in train_set),
        "trained_parameters": trained,
        "all_parameters": total,
        "steps": progress.step,
        "chosen_step": progress.best_step,
        "val_iou": [{"step": step, "iou": iou} for step, iou in progress.looks],
    }
    save_tensors(trained_tensors(segmenter.model), tensors)
    with atomic_path(training) as temporary:
        temporary.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    state.unlink(missing_ok=True)
    return {"resumed_from": started, "done": progress.step - started}


def load_adapted(card: Sam, strategy: Strategy, seed: int, tensors: Path) -> TrainableSegmenter:
    """The segmenter of a card with the trained tensors of a strategy in place, ready to predict."""
    segmenter: TrainableSegmenter = load(card)
    apply_strategy(segmenter.model, strategy, seed)
    load_tensors(segmenter.model, tensors)
    segmenter.model.requires_grad_(False)
    segmenter.model.train(False)
    return segmenter
