"""One attack on one batch of images, through the loss of the model that is attacked."""

from dataclasses import dataclass
from functools import cached_property
from typing import Generic

import numpy as np
import torch
from torch import Tensor

from medstress.attack.ball import random_offset, region_of
from medstress.attack.steps import Climb, Loss, fgsm, gradient_of, pgd
from medstress.attack.subjects import Batch, S, to_images, to_pixels
from medstress.attack.victim import Victim
from medstress.cards.attack import Attack
from medstress.pixels import Image
from medstress.seeds import generator, seed_of

# Madry et al.: the steps together are 2.5 radii long, so that the ball's edge can be reached and followed.
_STANDARD_PATH = 2.5


def climb_of(attack: Attack, level: int) -> Climb:
    """How far and in which steps an attack goes at a level, 1 to 5."""
    radius, steps = attack.epsilons[level - 1], attack.steps[level - 1]
    path = _STANDARD_PATH if attack.step_size == "standard" else 1.0
    return Climb(radius, steps, path * radius / steps, attack.momentum, -1 if attack.targeted else 1, attack.norm)


def seed_of_start(dataset: str, image_id: str, attack: str, start: int) -> int:
    """The seed of a random start. Levels share it, so that they differ by the radius alone."""
    return seed_of(dataset, image_id, attack, str(start))


@dataclass(frozen=True)
class Attacker(Generic[S]):
    """Attacks a batch of a data set. What levels share is computed once, when it is first asked for."""

    victim: Victim[S]
    dataset: str
    attack: Attack
    batch: Batch[S]

    def images(self, level: int) -> list[tuple[Image, int]]:
        """The adversarial images of one level, each with the seed of the start that it was found from.

        Raises MedstressError where the gradient is not finite.
        """
        how = climb_of(self.attack, level)
        if self.attack.method == "fgsm":
            found = fgsm(self.gradient, self._clean, self._region, how.radius, how.sign, how.norm)
            starts = [0] * self.batch.size
        else:
            found, best = pgd(self._loss, self._clean, self._region, self._starts, how)
            starts = best.tolist()
        return [
            (image, seed_of_start(self.dataset, subject.image_id, self.attack.name, start))
            for subject, image, start in zip(self.batch.subjects, to_images(found), starts, strict=False)
        ]

    @cached_property
    def _loss(self) -> Loss:
        assert not self.victim.model.training, "a model that is attacked is in eval mode"
        return self.victim.loss(self.batch.filled, targeted=self.attack.targeted)

    @cached_property
    def _clean(self) -> Tensor:
        device = next(self.victim.model.parameters()).device
        return to_pixels([subject.image for subject in self.batch.filled], device)

    @cached_property
    def gradient(self) -> Tensor:
        """The gradient at the clean images, [n, C, H, W]. Raises MedstressError where it is not finite."""
        return gradient_of(self._loss, self._clean)

    @cached_property
    def _region(self) -> Tensor:
        height, width = self._clean.shape[2:]
        regions = [region_of(self.attack.region, subject.boxes, height, width) for subject in self.batch.filled]
        return torch.from_numpy(np.stack(regions)[:, None]).to(self._clean)

    @cached_property
    def _starts(self) -> list[Tensor]:
        """Offsets from the clean images, in radii."""
        starts = []
        for start in range(self.attack.restarts):
            seeds = (
                seed_of_start(self.dataset, subject.image_id, self.attack.name, start) for subject in self.batch.filled
            )
            drawn = [random_offset(generator(seed), self._clean.shape[1:], self.attack.norm) for seed in seeds]
            starts.append(torch.from_numpy(np.stack(drawn)).to(self._clean))
        return starts
