"""What a published scale is: types at fixed severities, as a benchmark defined them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from medstress.names import Modality, ScaleName, TypeName
from medstress.perturb.calibrate import Cell
from medstress.perturb.protocol import Scene
from medstress.perturb.ssim import StructuralSimilarity
from medstress.pixels import Image
from medstress.rows import WarpRow

Severity = tuple[float, ...]
"""The parameters of one level, in the publication's own order."""


@dataclass(frozen=True)
class Drawn:
    """One draw of a published type on one image: as `Realisation`, with all parameters of a level."""

    render: Callable[[Severity], Image]
    warp: Callable[[Severity], WarpRow] | None = None


def elementwise(severity: Severity, factor: float) -> Severity:
    """Every parameter times the factor."""
    return tuple(value * factor for value in severity)


@dataclass(frozen=True)
class Published:
    """One type of a published scale.

    original: what the publication's own files call it. `realise(scene, rng, compat)` draws every random field once;
    with `compat` it also reproduces what is known to be wrong in the original. severities: parameters of level 1 and
    up. as_published: the same with `compat`, where the published ones are known to be wrong. parameters: their names
    and units. multiplied: how a level's multiplier changes them. The docstring of `realise` says what it does and,
    after "Quirk:", what `compat` reproduces.
    """

    name: TypeName
    original: str
    realise: Callable[[Scene, np.random.Generator, bool], Drawn]
    severities: tuple[Severity, ...]
    parameters: tuple[str, ...]
    multiplied: Callable[[Severity, float], Severity] = elementwise
    modalities: frozenset[Modality] = frozenset()
    as_published: tuple[Severity, ...] = ()

    def fits(self, modality: Modality | None) -> bool:
        """Whether images of this modality can be perturbed so."""
        return not self.modalities or modality in self.modalities


@dataclass(frozen=True)
class Scale:
    """A published scale. `variants` has its types for each of its data sets, or for "" where all are alike.

    source: the publication. note: what a reader of the numbers has to know.
    """

    name: ScaleName
    source: str
    variants: Mapping[str, Mapping[str, Published]]
    note: str = field(default="")


def at_fixed_strengths(
    published: Published,
    drawn: Drawn,
    clean: Image,
    levels: Sequence[int],
    multipliers: Mapping[int, float] | None = None,
    compat: bool = False,
) -> list[tuple[Cell, Severity]]:
    """One cell per level, with all its parameters; a cell's strength is the first of them."""
    similarity = StructuralSimilarity(clean)
    severities = published.as_published if compat and published.as_published else published.severities
    cells = []
    for level in levels:
        severity = severities[level - 1]
        if factor := (multipliers or {}).get(level):
            severity = published.multiplied(severity, factor)
        image = drawn.render(severity)
        cells.append((Cell(level, float(severity[0]), similarity(image), "table", image), severity))
    return cells
