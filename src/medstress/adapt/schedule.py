"""How fast a training learns at each step, and when it stops."""

import math
from dataclasses import dataclass, field


@dataclass
class Progress:
    """How far a training has come: steps done, looks at val as (step, score), and the best of them."""

    step: int = 0
    looks: list[tuple[int, float]] = field(default_factory=list)
    best_step: int = -1
    best: float = -1.0

    def add(self, score: float) -> bool:
        """Note a look at this step; whether it is better than all before. The first of equals stays the best."""
        self.looks.append((self.step, score))
        better = score > self.best
        if better:
            self.best_step, self.best = self.step, score
        return better

    def is_over(self, steps: int, patience: int | None) -> bool:
        """Whether all steps are done, or `patience` looks in a row were not better than the best."""
        in_vain = sum(step > self.best_step for step, _ in self.looks)
        return self.step >= steps or (patience is not None and in_vain >= patience)


def rate_share(step: int, steps: int, warm_up: float) -> float:
    """Share of the learning rate at a step, 0..1: a linear rise over `warm_up` of the steps, then a cosine to zero."""
    warm = round(warm_up * steps)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
