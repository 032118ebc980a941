"""A model as attacks see it, whatever its task."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from torch import nn

from medstress.attack.steps import Loss
from medstress.attack.subjects import Subject
from medstress.pixels import Image
from medstress.records import PredictionRow

S_contra = TypeVar("S_contra", bound=Subject, contravariant=True)


class Victim(Protocol[S_contra]):
    """What is attacked: its losses lead gradients to pixels, and it answers to stored images."""

    @property
    def model(self) -> nn.Module:
        """The network."""
        ...

    @property
    def together(self) -> int:
        """At least how many images are asked about at a time, where there are so many."""
        ...

    def loss(self, subjects: Sequence[S_contra], *, targeted: bool) -> Loss:
        """The loss of each of `subjects`, which are of one size, as a function of its pixels.

        It grows as answers get worse. With `targeted` it is that of a wrong answer, which an attack lowers.
        """
        ...

    def answers(
        self, subjects: Sequence[S_contra], images: Sequence[Image], attack: str, level: int
    ) -> list[PredictionRow]:
        """What the model says to stored images, in the order of `subjects`, asked as without an attack."""
        ...
