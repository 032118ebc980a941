"""Attacks on classifiers, through the head that makes embeddings answers: a cross-entropy of the true class."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from medstress.attack.attack import Job, attack_images
from medstress.attack.steps import Loss
from medstress.attack.subjects import Subject, read_subjects, to_pixels
from medstress.errors import MedstressError
from medstress.journal import Journal
from medstress.models.zeroshot.head import Head
from medstress.models.zeroshot.protocol import ImageEncoder
from medstress.pixels import Image
from medstress.records import ImageRow, PredictionRow, SampleRow, read_rows
from medstress.specs import AttackSpec, ClassTexts
from medstress.views import Pace

# Where a card says `auto`: as many as are embedded at a time on a CPU. An encoder fills its blocks up, so asking about
# fewer costs as much.
_TOGETHER = 8


@dataclass(frozen=True)
class Labelled(Subject):
    """An image with its sample and the numbers of its true classes."""

    sample_id: str
    labels: tuple[int, ...]

    @property
    def sample_ids(self) -> list[str]:
        """The one sample."""
        return [self.sample_id]

    @property
    def truth(self) -> str:
        """The sample and its classes."""
        return repr((self.sample_id, self.labels))


@dataclass(frozen=True)
class ClassifierVictim:
    """An image encoder with its head as attacks see it: see :class:`medstress.attack.victim.Victim`."""

    encoder: ImageEncoder
    head: Head
    texts: ClassTexts
    together: int = _TOGETHER

    @property
    def model(self) -> nn.Module:
        """The network."""
        return self.encoder.model

    def loss(self, subjects: Sequence[Labelled], *, targeted: bool) -> Loss:
        """The cross-entropy of the true class; with several labels an image, their mean binary cross-entropy.

        With `targeted` it is that of the wrong class that is least likely on the clean image (Kurakin, Goodfellow,
        Bengio, "Adversarial machine learning at scale", ICLR 2017), or of the opposite of every label.
        """
        several = self.texts.kind == "multi_label"
        wanted = torch.zeros(len(subjects), len(self.texts.classes))
        for place, subject in enumerate(subjects):
            wanted[place, list(subject.labels)] = 1
        wanted = wanted.to(next(self.model.parameters()).device)
        if targeted:
            wanted = 1 - wanted if several else self._least_likely(subjects, wanted)

        def of(given: Tensor) -> Tensor:
            logits = self._logits(given)
            if several:
                return functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none").mean(1)
            return functional.cross_entropy(logits, wanted, reduction="none")

        return of

    def _logits(self, pixels: Tensor) -> Tensor:
        return self.head.torch_logits(self.encoder.features(self.encoder.differentiable_inputs(pixels)))

    def _least_likely(self, subjects: Sequence[Labelled], true: Tensor) -> Tensor:
        with torch.no_grad():
            clean = self._logits(to_pixels([subject.image for subject in subjects], true.device))
        wrong = clean.masked_fill(true > 0, torch.inf)
        return functional.one_hot(wrong.argmin(1), true.shape[1]).to(true)

    def answers(
        self, subjects: Sequence[Labelled], images: Sequence[Image], attack: str, level: int
    ) -> list[PredictionRow]:
        """One row an image, as rules embed and classify make them."""
        logits = self.head.logits(self.encoder.embed(images)).tolist()
        return [
            PredictionRow(subject.sample_id, "", attack, level, None, "ok", None, tuple(row))
            for subject, row in zip(subjects, logits, strict=True)
        ]


def attack_classifier(
    encoder: ImageEncoder,
    head: Head,
    spec: AttackSpec,
    images: Path,
    samples: Path,
    output: Path,
    *,
    journal: Journal,
    code: str,
    weights: str = "",
    kept: Path | None = None,
    batch: int | None = None,
) -> Pace:
    """Attack a classifier on the images of a split: see :func:`medstress.attack.attack.attack_images`.

    `head` is that of the spec's texts. `code` is the fingerprint of the code behind the attacks, `weights` a hash of
    the files that the model was loaded from. Besides, raises MedstressError where the split holds no sample or an
    attack has a region.
    """
    assert spec.texts is not None, "the spec of a classifier says what is asked"
    if local := [attack.name for attack in spec.attacks if attack.region != "image"]:
        raise MedstressError(
            f"{spec.dataset}: attack {', '.join(local)} has a region, but classification has no boxes to stay inside "
            "or outside of. Write `region: image`."
        )
    asked = {row.image_id: (row.sample_id, row.labels) for row in read_rows(samples, SampleRow)}

    def labelled(row: ImageRow, image: Image) -> Labelled | None:
        return Labelled(row.image_id, row.png, image, *asked[row.image_id]) if row.image_id in asked else None

    nothing = f"{samples}: no sample of the split {spec.split!r} to attack"
    together = _TOGETHER if spec.model.batch == "auto" else spec.model.batch
    job = Job(ClassifierVictim(encoder, head, spec.texts, together), spec, journal, code, weights, Pace())
    return attack_images(
        job, read_subjects(images, spec.split, labelled, nothing=nothing), output, kept=kept, batch=batch
    )
