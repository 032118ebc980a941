"""How a classifier learns: cross-entropy over what its head says, and balanced accuracy on val says what is better."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from medstress.adapt.batches import drawn
from medstress.adapt.examples import Example, StoredExample
from medstress.adapt.few_shot import Choice
from medstress.adapt.image_encoder import apply_to_encoder
from medstress.adapt.image_variation import varied_image
from medstress.adapt.trainer import Outcome, train
from medstress.cards.classifier import ImageClassifier, LearnedClassifier
from medstress.cards.strategy import ImageLora, Strategy
from medstress.errors import MedstressError
from medstress.models.zeroshot.head import Head
from medstress.models.zeroshot.load import head_of
from medstress.models.zeroshot.protocol import ImageEncoder, ImageTextModel
from medstress.seeds import generator, seed_of
from medstress.specs import ClassTexts

# Images of val that are held decoded at a time.
_LOOK = 256


@dataclass(frozen=True)
class LabelledSet:
    """A data set of a training: what is asked about it, the head that answers, and its images."""

    texts: ClassTexts
    head: Head
    choice: Choice


@dataclass(frozen=True)
class LabelledBatch:
    """Varied examples, each with its targets [K], 0 or 1, over the classes of all data sets."""

    examples: list[Example]
    targets: npt.NDArray[np.float32]

    @property
    def size(self) -> int:
        """How many images there are."""
        return len(self.examples)

    @property
    def names(self) -> list[str]:
        """The samples."""
        return [example.sample_id for example in self.examples]

    def cut(self, parts: int) -> Iterator["LabelledBatch"]:
        """The batch in consecutive parts whose sizes differ by one at most."""
        for indices in np.array_split(np.arange(self.size), parts):
            if len(indices):
                part = slice(int(indices[0]), int(indices[-1]) + 1)
                yield LabelledBatch(self.examples[part], self.targets[part])


@dataclass(frozen=True)
class ClassificationLearner:
    """A classifier with its data sets, whose classes stand one after the other: a `medstress.adapt.trainer.Learner`."""

    encoder: ImageEncoder
    sets: Sequence[LabelledSet]
    strategy: Strategy
    seed: int
    score: str = "accuracy"

    @property
    def model(self) -> nn.Module:
        """The network."""
        return self.encoder.model

    def batch(self, step: int) -> LabelledBatch:
        """Images of all data sets, drawn alike and varied anew at every step."""
        every = [(first, stored) for first, one in self._placed() for stored in one.choice.training]
        rng = generator(seed_of("finetune", str(self.seed), str(step)))
        chosen = [every[index] for index in drawn(rng, len(every), self.strategy.batch)]
        targets = np.zeros((len(chosen), sum(len(one.texts.classes) for one in self.sets)), np.float32)
        examples = []
        for place, (first, stored) in enumerate(chosen):
            own = generator(seed_of("variation", str(self.seed), str(step), str(place)))
            examples.append(varied_image(stored.decoded(), own, self.strategy.augmentation))
            targets[place, [first + label for label in stored.sample.labels]] = 1
        return LabelledBatch(examples, targets)

    def _placed(self) -> Iterator[tuple[int, LabelledSet]]:
        """The data sets, each with the number that its first class has among those of all."""
        first = 0
        for one in self.sets:
            yield first, one
            first += len(one.texts.classes)

    def loss(self, part: LabelledBatch) -> Tensor:
        """Cross-entropy over the classes of all data sets; with several labels an image, binary, their mean."""
        embeddings = self.encoder.features(self.encoder.inputs([example.image for example in part.examples]))
        logits = torch.cat([one.head.torch_logits(embeddings) for one in self.sets], dim=1)
        targets = torch.from_numpy(part.targets).to(logits.device)
        if self.sets[0].texts.kind == "multi_label":
            return functional.binary_cross_entropy_with_logits(logits, targets)
        return functional.cross_entropy(logits, targets.argmax(dim=1))

    def look(self) -> float:
        """Balanced accuracy on val, each data set with its own classes, as it is scored; the mean over data sets."""
        values = []
        for one in self.sets:
            answers = []
            rest: Iterator[StoredExample] = iter(one.choice.validation)
            while part := [stored.decoded().image for stored in islice(rest, _LOOK)]:
                answers.append(one.head.logits(self.encoder.embed(part)))
            labels = [stored.sample.labels for stored in one.choice.validation]
            values.append(balanced_accuracy(np.concatenate(answers), labels, one.texts.kind))
        return sum(values) / len(values)


def balanced_accuracy(logits: npt.NDArray[np.float32], labels: Sequence[Sequence[int]], kind: str) -> float:
    """Of logits [n, K]: the mean recall of the classes that are there; others count neither for nor against.

    `labels` holds the numbers of each image's classes. multi_label: each label is two classes, there and not there; it
    is said to be there where its logit is above 0. The mean over labels.
    """
    truth = np.zeros(logits.shape, dtype=bool)
    for row, numbers in zip(truth, labels, strict=True):
        row[list(numbers)] = True
    if kind != "multi_label":
        said = np.zeros(logits.shape, dtype=bool)
        said[np.arange(len(said)), logits.argmax(axis=1)] = True
        there = truth.any(axis=0)
        return float(np.mean((said & truth).sum(axis=0)[there] / truth.sum(axis=0)[there]))
    right = (logits > 0) == truth
    recalls = [[right[side, place].mean() for side in (one, ~one) if side.any()] for place, one in enumerate(truth.T)]
    return float(np.mean([np.mean(both) for both in recalls]))


def training_head(card: LearnedClassifier, encoder: ImageEncoder, texts: ClassTexts, temperature: float | None) -> Head:
    """The head of a data set, from the text encoder as it is; cosines over `temperature` where it is given."""
    head = head_of(card, encoder, texts)
    if temperature is None or isinstance(card, ImageClassifier):
        return head
    share = 1 / temperature / cast(ImageTextModel, encoder).scale
    return replace(head, weights=head.weights * share, minus=None if head.minus is None else head.minus * share)


def train_classifier(
    encoder: ImageEncoder,
    card: LearnedClassifier,
    strategy: Strategy,
    seed: int,
    asked: Mapping[str, ClassTexts],
    choices: Mapping[str, Choice],
    folder: Path,
) -> list[Outcome]:
    """Adapt `encoder` in place: see :func:`medstress.adapt.trainer.train`.

    `asked` and `choices` are by data set; several are trained on together, over the classes of all. Raises
    MedstressError where the model lacks what the strategy trains, and where no rate's loss stayed finite.
    """
    temperature = strategy.temperature if isinstance(strategy, ImageLora) else None
    heads = {name: training_head(card, encoder, texts, temperature) for name, texts in asked.items()}
    apply_to_encoder(encoder, strategy, seed, name=card.name)
    sets = [LabelledSet(asked[name], heads[name], choices[name]) for name in asked]
    return train(ClassificationLearner(encoder, sets, strategy, seed), card, strategy, seed, folder)


def check_pool(card: LearnedClassifier, strategy: Strategy, asked: Mapping[str, ClassTexts]) -> None:
    """Raise MedstressError where a classifier cannot be trained on several data sets together."""
    if len(asked) == 1:
        return
    where = f"strategy {strategy.name} cannot train {card.name} on {', '.join(asked)} together"
    if isinstance(card, ImageClassifier):
        raise MedstressError(
            f"{where}: it has no texts and the classes of one data set. Write `pooled: false` in the strategy's card."
        )
    if several := [name for name, texts in asked.items() if texts.kind == "multi_label"]:
        raise MedstressError(
            f"{where}: an image of {', '.join(several)} may have several labels, and a softmax over all classes gives "
            "one. Take it out of `train_on` in the strategy's card."
        )


def facts_of(choices: Mapping[str, Choice], asked: Mapping[str, ClassTexts]) -> dict[str, Any]:
    """What a training record says of the images: how many, and how many of each class in the order of its labels."""
    return {
        "train_images": sum(len(choice.training) for choice in choices.values()),
        "train_objects": 0,
        "val_images": sum(len(choice.validation) for choice in choices.values()),
        "train_classes": {
            name: [
                sum(label in stored.sample.labels for stored in choices[name].training)
                for label in range(len(texts.classes))
            ]
            for name, texts in asked.items()
        },
    }
