"""From embeddings to one logit a class: the texts of an image-text model, or nothing for a classifier's own logits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from medstress.cards.classifier import ImageClassifier
from medstress.errors import MedstressError
from medstress.models.zeroshot.protocol import Features, ImageTextModel
from medstress.specs import ClassTexts

if TYPE_CHECKING:
    from torch import Tensor

Weights = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Head:
    """Logits of classes as products with columns: one a class, or several that are combined.

    weights: [D, T], logit scale included. owner: class of each column, 0..K-1, ascending. minus: [D, T'] likewise for
    labels that are not there, whose logit is taken off; None unless the data set has several labels an image.
    """

    weights: Weights
    owner: tuple[int, ...]
    combine: Literal["features", "mean_logits", "max_logits"] = "features"
    minus: Weights | None = None
    minus_owner: tuple[int, ...] = ()

    def logits(self, embeddings: Features) -> Features:
        """Embeddings [n, D] to logits [n, K], float32. That of an image does not depend on the others."""
        # In float64, so that blocks of other shapes differ by less than a float32 tells.
        given = embeddings.astype(np.float64)
        found = self._combined(given @ self.weights, self.owner)
        if self.minus is not None:
            found = found - self._combined(given @ self.minus, self.minus_owner)
        return found.astype(np.float32)

    def torch_logits(self, embeddings: "Tensor") -> "Tensor":
        """As :meth:`logits`, of a tensor, with gradients."""
        import torch

        def on(weights: Weights) -> "Tensor":
            return torch.from_numpy(weights).to(given.device)

        def combined(columns: "Tensor", owner: Sequence[int]) -> "Tensor":
            if len(set(owner)) == len(owner):
                return columns
            reduce = torch.amax if self.combine == "max_logits" else torch.mean
            return torch.stack([reduce(columns[:, places], dim=1) for places in _places(owner)], dim=1)

        given = embeddings.double()
        found = combined(given @ on(self.weights), self.owner)
        if self.minus is not None:
            found = found - combined(given @ on(self.minus), self.minus_owner)
        return found.to(embeddings.dtype)

    def _combined(self, columns: Weights, owner: Sequence[int]) -> Weights:
        """Columns [n, T] to classes [n, K]."""
        if len(set(owner)) == len(owner):
            return columns
        reduce = np.max if self.combine == "max_logits" else np.mean
        return np.stack([reduce(columns[:, places], axis=1) for places in _places(owner)], axis=1)


def _places(owner: Sequence[int]) -> list[list[int]]:
    """The columns of each class."""
    return [[place for place, one in enumerate(owner) if one == index] for index in range(max(owner) + 1)]


def texts_of(texts: ClassTexts) -> list[str]:
    """Every text that is asked about a data set, once."""
    return list(dict.fromkeys(text for group in (*texts.texts, *texts.negatives) for text in group))


def text_head(model: ImageTextModel, texts: ClassTexts) -> Head:
    """The head of an image-text model for the classes of a data set; every text is encoded once."""
    every = texts_of(texts)
    return head_of_features(dict(zip(every, model.embed_texts(every), strict=True)), model.scale, texts)


def head_of_features(known: Mapping[str, Features], scale: float, texts: ClassTexts) -> Head:
    """As :func:`text_head`, from the embedding [D] of each text and the model's logit scale."""
    weights, owner = _columns(texts.texts, known, texts.combine)
    if not texts.negatives:
        return Head(weights * scale, owner, texts.combine)
    minus, minus_owner = _columns(texts.negatives, known, texts.combine)
    return Head(weights * scale, owner, texts.combine, minus * scale, minus_owner)


def _columns(
    groups: Sequence[Sequence[str]], known: Mapping[str, Features], combine: str
) -> tuple[Weights, tuple[int, ...]]:
    wide = [[known[text].astype(np.float64) for text in group] for group in groups]
    if combine == "features":
        means = [np.mean(group, axis=0) for group in wide]
        return np.stack([mean / np.linalg.norm(mean) for mean in means], axis=1), tuple(range(len(groups)))
    columns = [(column, index) for index, group in enumerate(wide) for column in group]
    return np.stack([column for column, _ in columns], axis=1), tuple(index for _, index in columns)


def classifier_head(card: ImageClassifier, task: ClassTexts) -> Head:
    """The head of a classifier whose embeddings are logits already.

    Raises MedstressError where it was made for other classes.
    """
    if card.classes != task.classes:
        raise MedstressError(
            f"model card {card.name}: its outputs are {', '.join(card.classes)}, but the data set's classes are "
            f"{', '.join(task.classes)}. Correct `classes` in the card, or score it on the data that it was made for."
        )
    return Head(np.eye(len(card.classes)), tuple(range(len(card.classes))))
