"""FGSM and PGD on batches of images, for any loss. What is in the images, and who answers, is not known here.

Pixels are float32 [n, C, H, W], 0..255. `region`, 0 or 1 and of the shape [n, 1, H, W], says which may change.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from medstress.attack.ball import Norm, into_ball, onto_grid, steepest
from medstress.errors import MedstressError

Loss = Callable[[Tensor], Tensor]
"""Pixels [n, C, H, W] to the loss of each image [n], with gradients to the pixels."""


@dataclass(frozen=True)
class Climb:
    """How PGD goes: the ball's radius and the size of a step, in grey levels. `sign` is -1 to lower the loss."""

    radius: float
    steps: int
    step: float
    momentum: float = 0.0
    sign: int = 1
    norm: Norm = "linf"


def gradient_of(loss: Loss, pixels: Tensor) -> Tensor:
    """The gradient of each image's loss to its own pixels, of their shape.

    Asked for the pixels alone, so no gradient is left on weights. Raises MedstressError where it is not finite.
    """
    given = pixels.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(loss(given).sum(), given)
    if not torch.isfinite(gradient).all():
        raise MedstressError(
            "the gradient is not finite. Write `precision: fp32` in the model's card or, if it says so, train again."
        )
    return gradient


def fgsm(gradient: Tensor, clean: Tensor, region: Tensor, radius: float, sign: int, norm: Norm = "linf") -> Tensor:
    """One step of `radius` along the gradient at the clean images, or against it, in whole grey levels.

    For linf along its sign: Goodfellow, Shlens, Szegedy, "Explaining and harnessing adversarial examples", ICLR 2015.
    For l2 along itself: Miyato, Dai, Goodfellow, "Adversarial training methods for semi-supervised text
    classification", ICLR 2017.
    """
    return onto_grid(clean + sign * radius * steepest(gradient * region, norm), clean, radius, norm)


def climb(loss: Loss, clean: Tensor, region: Tensor, start: Tensor, how: Climb) -> Tensor:
    """The images after all steps from the images `start`, each step back into the ball; not yet rounded.

    Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR 2018. With momentum, a step
    follows momentum * memory + gradient / L1 norm of the gradient: Dong et al., "Boosting adversarial attacks with
    momentum", CVPR 2018.
    """
    pixels = into_ball(start, clean, how.radius, how.norm)
    memory = torch.zeros_like(clean)
    for _ in range(how.steps):
        gradient = gradient_of(loss, pixels)
        if how.momentum:
            norm = gradient.abs().sum((1, 2, 3), keepdim=True)
            memory = how.momentum * memory + gradient / norm.clamp(min=torch.finfo(norm.dtype).tiny)
            gradient = memory
        step = how.sign * how.step * steepest(gradient * region, how.norm)
        pixels = into_ball(pixels + step, clean, how.radius, how.norm)
    return pixels


def pgd(loss: Loss, clean: Tensor, region: Tensor, starts: Sequence[Tensor], how: Climb) -> tuple[Tensor, Tensor]:
    """PGD from several starts: of each image the best end, in whole grey levels, and the number of its start [n].

    `starts` are offsets in radii. Ends are compared as they are stored, after rounding.
    """
    ends = [climb(loss, clean, region, clean + how.radius * start * region, how) for start in starts]
    stored = torch.stack([onto_grid(end, clean, how.radius, how.norm) for end in ends])
    if len(starts) == 1:
        return stored[0], torch.zeros(len(clean), dtype=torch.int64, device=clean.device)
    with torch.no_grad():
        reached = torch.stack([how.sign * loss(end) for end in stored])
    best = reached.argmax(0)
    return stored[best, torch.arange(len(clean), device=clean.device)], best
