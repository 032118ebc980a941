"""Attacks one run on one data set: adversarial images of every attack and level, and the run's answers to them."""

import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Generic

import numpy as np
import torch

from medstress.attack.attacker import Attacker, climb_of
from medstress.attack.subjects import Batch, S, batches, units
from medstress.attack.victim import Victim
from medstress.cards.attack import Attack
from medstress.errors import MedstressError
from medstress.journal import Journal, content_key
from medstress.models.precision import fits_memory, largest_batch, out_of_memory
from medstress.perturb.ssim import StructuralSimilarity
from medstress.pixels import Image, decode_png, encode_png
from medstress.records import PerturbedRow, PredictionRow, record_writer
from medstress.runs import adversarial_name
from medstress.specs import AttackSpec
from medstress.views import Pace

# What touches neither images nor answers: names, schedules, and the levels, of which each is a unit of its own.
_NOT_ASKED = {"name", "title", "baseline", "gpu", "download"}
_NOT_DRAWN = {"epsilons", "steps", "keep_images"}
# The most images that `batch: auto` takes at a time.
_MOST_IMAGES = 32


@dataclass(frozen=True)
class Job(Generic[S]):
    """Who is attacked and where finished units are kept.

    code is the fingerprint of the code behind the attacks, weights a hash of the files that the model was loaded from.
    """

    victim: Victim[S]
    spec: AttackSpec
    journal: Journal
    code: str
    weights: str
    pace: Pace

    def key(self, attack: Attack, level: int, unit: Sequence[Batch[S]]) -> str:
        """What determines a unit: code, model, weights, the attack at this level, pixels, questions and truth."""
        parts: list[str | bytes] = [
            self.code,
            self.weights,
            self.spec.model_dump_json(
                include={"model": True, "strategy": True, "dataset": True, "texts": True},
                exclude={"model": _NOT_ASKED, "strategy": {"name", "title"}},
            ),
            attack.model_dump_json(exclude=_NOT_DRAWN),
            repr((level, climb_of(attack, level), [(len(batch.subjects), batch.size) for batch in unit])),
        ]
        for subject in (subject for batch in unit for subject in batch.subjects):
            parts += [subject.image_id, subject.png, subject.truth]
        return content_key(*parts)

    def batch_size(self, subjects: Sequence[S]) -> int:
        """How many images are attacked at a time: one on a CPU, where more gain little; else what the card says.

        `batch: auto` is found by trial on the image with most boxes. Raises MedstressError where not even one fits.
        """
        card = self.spec.model
        if next(self.victim.model.parameters()).device.type == "cpu":
            return 1
        if card.batch != "auto":
            return card.batch
        hardest = max(subjects, key=lambda subject: len(subject.boxes))
        found = self._largest_batch(self.spec.attacks[0], hardest, _MOST_IMAGES)
        if not found:
            raise out_of_memory(card.name, 1, 0)
        return found

    def _largest_batch(self, attack: Attack, subject: S, limit: int) -> int:
        """How many copies of an image the GPU can take a gradient of at once, at most `limit`; 0 if none."""

        def attempt(images: int) -> bool:
            attacker = Attacker(self.victim, self.spec.dataset, attack, Batch([subject], images))
            return fits_memory(lambda: attacker.gradient)

        return largest_batch(attempt, limit)

    def unit(self, attackers: Sequence[Attacker[S]], level: int) -> tuple[list[PerturbedRow], list[PredictionRow]]:
        """The images of some batches under one attack at a level, where they are kept, and the answers to them."""
        attack = attackers[0].attack
        subjects = [subject for attacker in attackers for subject in attacker.batch.subjects]

        def answers(images: Sequence[Image]) -> list[PredictionRow]:
            return self.victim.answers(subjects, images, attack.name, level)

        key = self.key(attack, level, [attacker.batch for attacker in attackers])
        if not attack.keep_images:
            return [], self.journal.unit(
                key, lambda: answers([image for attacker in attackers for image, _ in self._attacked(attacker, level)])
            )
        kept = self.journal.rows(
            PerturbedRow,
            content_key(key, "images", self.spec.run),
            lambda: [row for attacker in attackers for row in self._pictures(attacker, level)],
        )
        images = [np.asarray(decode_png(row.png, where=f"{row.perturbation}, {row.image_id}")) for row in kept]
        return kept, self.journal.unit(key, lambda: answers(images))

    def _attacked(self, attacker: Attacker[S], level: int) -> list[tuple[Image, int]]:
        started, found = time.monotonic(), None
        try:
            found = attacker.images(level)
        except torch.OutOfMemoryError:
            # Looked into below: while it is handled here, the error's traceback holds what did not fit.
            pass
        except MedstressError as error:
            names = ", ".join(subject.image_id for subject in attacker.batch.subjects)
            where = f"{self.spec.dataset}, {attacker.attack.name} level {level}, run {self.spec.run}, images {names}"
            raise MedstressError(f"{where}: {error}") from None
        if found is None:
            batch = attacker.batch
            largest = self._largest_batch(attacker.attack, batch.subjects[0], batch.size - 1)
            raise out_of_memory(self.spec.model.name, batch.size, largest)
        self.pace.images += len(found)
        self.pace.seconds += time.monotonic() - started
        return found

    def _pictures(self, attacker: Attacker[S], level: int) -> list[PerturbedRow]:
        return [
            PerturbedRow(
                image_id=subject.image_id,
                perturbation=adversarial_name(attacker.attack.name, self.spec.run),
                level=level,
                png=encode_png(image),
                valid=None,
                warp=None,
                strength=attacker.attack.epsilons[level - 1],
                ssim=StructuralSimilarity(subject.image)(image),
                band_low=None,
                band_high=None,
                seed=seed,
                status="table",
            )
            for subject, (image, seed) in zip(attacker.batch.subjects, self._attacked(attacker, level), strict=True)
        ]

    def chunk(self, attack: Attack, subjects: Sequence[S], size: int) -> tuple[list[PerturbedRow], list[PredictionRow]]:
        """All levels of one attack on some images, in the order of images and then of levels, however they were cut."""
        pictures, answers = list[PerturbedRow](), list[PredictionRow]()
        for unit in units(batches(subjects, size), self.victim.together):
            attackers = [Attacker(self.victim, self.spec.dataset, attack, batch) for batch in unit]
            for level in sorted(self.spec.levels):
                kept, asked = self.unit(attackers, level)
                pictures += kept
                answers += asked
        places = {subject.image_id: place for place, subject in enumerate(subjects)}
        images = {sample_id: subject.image_id for subject in subjects for sample_id in subject.sample_ids}
        pictures.sort(key=lambda row: (places[row.image_id], row.level))
        answers.sort(key=lambda row: (places[images[row.sample_id]], row.level))
        return pictures, answers


def attack_images(
    job: Job[S], chunks: Iterable[Sequence[S]], output: Path, *, kept: Path | None, batch: int | None
) -> Pace:
    """Write the run's answers to its own adversarial images, and to `kept` the images of attacks that keep them.

    Rows are ordered by image, attack and level. The model's weights are frozen, and asserted to be in eval mode. A unit
    of the journal is one attack at one level on the images that are asked about together. `batch` takes the place of
    the card's. Returns the pace of attacking. Raises MedstressError where a gradient is not finite, or a batch does not
    fit the GPU's memory.
    """
    job.victim.model.requires_grad_(False)
    size = batch
    with ExitStack() as files:
        answers = files.enter_context(record_writer(output, PredictionRow))
        pictures = files.enter_context(record_writer(kept, PerturbedRow)) if kept else None
        for subjects in chunks:
            size = size or job.batch_size(subjects)
            for attack in job.spec.attacks:
                made, asked = job.chunk(attack, subjects, size)
                answers.write(asked)
                if pictures:
                    pictures.write(made)
                    # Row groups are what predict takes as its units: they do not cross an attack.
                    pictures.flush()
    return job.pace
