"""What a training leaves: the trained tensors, and a record of how they came about."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from medstress.adapt.schedule import Progress
from medstress.adapt.trainable import kept_tensors, parameter_counts, save_tensors
from medstress.adapt.trainer import Outcome, chosen
from medstress.records import atomic_path
from medstress.specs import FinetuneSpec


def write_checkpoint(
    model: nn.Module,
    outcomes: Sequence[Outcome],
    spec: FinetuneSpec,
    score: str,
    examples: Mapping[str, Any],
    tensors: Path,
    training: Path,
) -> dict[str, int]:
    """Write the trained tensors of `model` (safetensors) and the record of the training (JSON).

    `score` is what looks at val are called there, `examples` what it says of the images. Returns the step that the
    training was found at and the steps done since, over all learning rates.
    """
    best = chosen(outcomes)
    trained, total = parameter_counts(model)
    facts = {
        "model": spec.model.model_dump(),
        "strategy": spec.strategy.model_dump(),
        "trainset": spec.trainset,
        "seed": spec.seed,
        **examples,
        "trained_parameters": trained,
        "all_parameters": total,
        "learning_rate": best.learning_rate,
        "batch": spec.strategy.batch,
        "planned_steps": spec.strategy.steps,
        **_looks(best.progress, score),
        "rates": [{"learning_rate": one.learning_rate, **_looks(one.progress, score)} for one in outcomes],
        "diverged_rates": [
            rate
            for rate in dict.fromkeys([spec.strategy.learning_rate, *spec.strategy.sweep])
            if rate not in {one.learning_rate for one in outcomes}
        ],
    }
    save_tensors(kept_tensors(model), tensors)
    with atomic_path(training) as temporary:
        temporary.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    found = sum(outcome.started for outcome in outcomes)
    return {"resumed_from": found, "done": sum(outcome.progress.step for outcome in outcomes) - found}


def _looks(progress: Progress, score: str) -> dict[str, Any]:
    return {
        "steps": progress.step,
        "chosen_step": progress.best_step,
        f"val_{score}": [{"step": step, score: value} for step, value in progress.looks],
    }
