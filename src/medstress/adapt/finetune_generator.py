"""Makes one checkpoint of a vision-language model: the trained tensors, and a record of how they came about."""

import math
import shutil
from collections.abc import Sequence
from pathlib import Path

from medstress.adapt.answer_batches import AnswerBatches
from medstress.adapt.checkpoint import write_checkpoint
from medstress.adapt.generator_learning import SCORE, train_generator
from medstress.adapt.language_model import apply_to_language_model, train_in_fp32, vlm_strategy
from medstress.adapt.lessons import read_lessons
from medstress.adapt.trainable import load_tensors
from medstress.cards.local_vlm import LocalVlm
from medstress.cards.strategy import Strategy, Vlm
from medstress.errors import MedstressError
from medstress.journal import content_key, files_key
from medstress.models.generative.local import LocalGenerator, load
from medstress.models.registry import weight_files
from medstress.specs import FinetuneSpec


def finetune(
    spec: FinetuneSpec,
    images: Sequence[Path],
    samples: Sequence[Path],
    tensors: Path,
    training: Path,
    *,
    journal: Path,
    code: str,
) -> dict[str, int]:
    """Adapt the model of `spec` to the answers of the train split; write `tensors` (safetensors), `training` (JSON).

    `images` and `samples` hold one record each. What an unfinished training has done lies in the folder `journal`,
    under a name that the inputs determine; it is removed when both files are there. Returns the step that the training
    was found at and the steps done since, over all learning rates. Raises MedstressError where a split is empty, a
    sample has no answer, the shift is not given, the model lacks what the strategy trains, or the loss is not finite.
    """
    [image_record], [sample_record] = images, samples
    card = spec.model
    assert isinstance(card, LocalVlm)
    strategy = vlm_strategy(spec.strategy, card)
    if strategy.shift != (spec.shift and spec.shift.name):
        raise MedstressError(
            f"strategy {strategy.name}: the training set {spec.trainset} has no shift {strategy.shift!r}. Add it to "
            "the data set's card, or correct `shift`."
        )
    inputs = files_key([image_record, sample_record, *weight_files(card)])
    folder = journal / content_key(code, spec.model_dump_json(), inputs)
    lessons = read_lessons(image_record, sample_record, spec, card, strategy)
    steps = strategy.steps or max(1, math.ceil(strategy.epochs * len(lessons[0]) / strategy.batch))
    strategy = strategy.model_copy(update={"steps": steps})
    generator = _with_strategy(card, strategy, spec.seed)
    train_in_fp32(generator.network)
    batches = AnswerBatches(generator.processor, card, generator.ends)
    outcomes = train_generator(generator.network, batches, lessons, card, strategy, spec.seed, folder)
    examples = {
        "train_images": len({lesson.image for lesson in lessons[0]} - {None}),
        "train_objects": len(lessons[0]),
        "val_questions": len(lessons[1]),
    }
    planned = spec.model_copy(update={"strategy": strategy})
    done = write_checkpoint(generator.network, outcomes, planned, SCORE, examples, tensors, training)
    shutil.rmtree(folder)
    return done


def load_adapted(card: LocalVlm, strategy: Strategy, seed: int, tensors: Path) -> LocalGenerator:
    """The model of a card with the trained tensors of a strategy in place, ready to answer."""
    generator = _with_strategy(card, vlm_strategy(strategy, card), seed)
    load_tensors(generator.network, tensors)
    generator.network.requires_grad_(False)
    generator.network.eval()
    return generator


def _with_strategy(card: LocalVlm, strategy: Vlm, seed: int) -> LocalGenerator:
    generator = load(card)
    generator.network = apply_to_language_model(generator.network, strategy, seed, name=card.name)
    return generator
