"""One image at the levels of one type, on any scale."""

from collections.abc import Sequence
from dataclasses import dataclass

from medstress.config import Band
from medstress.errors import MedstressError
from medstress.names import Modality
from medstress.perturb.calibrate import Cell, calibrate, displace
from medstress.perturb.protocol import Perturbation, Scene
from medstress.perturb.scales.protocol import Published, at_fixed_strengths
from medstress.rows import WarpRow
from medstress.seeds import generator
from medstress.specs import SeveritySpec


@dataclass(frozen=True)
class Level:
    """One image at one level: the pixels with how they came out, the band aimed at, and how pixels moved."""

    cell: Cell
    band: Band | None
    warp: WarpRow | None


def require_fit(kind: Perturbation | Published, modality: Modality | None, what: str) -> None:
    """Raise MedstressError where a type is for other modalities. `what` names the images in the message."""
    if not kind.fits(modality):
        raise MedstressError(
            f"{kind.name} is for {', '.join(sorted(kind.modalities))}, and {what} holds {modality or 'several'}"
        )


def level_count(kind: Perturbation | Published) -> int:
    """How many levels a type has."""
    return len(kind.severities) if isinstance(kind, Published) else 5


def make_levels(
    kind: Perturbation | Published, scene: Scene, levels: Sequence[int], seed: int, severity: SeveritySpec
) -> list[Level]:
    """The scene at each level, in the order given. The draw depends on the seed alone.

    Raises MedstressError for a level that the type does not have.
    """
    if missing := sorted({str(level) for level in levels if level not in range(1, level_count(kind) + 1)}):
        raise MedstressError(
            f"{kind.name} has levels 1 to {level_count(kind)} on the scale {severity.scale}, not " + ", ".join(missing)
        )
    rng = generator(seed)
    if isinstance(kind, Published):
        drawn = kind.realise(scene, rng, severity.compat)
        made = at_fixed_strengths(kind, drawn, scene.image, levels, severity.multipliers, severity.compat)
        return [Level(cell, None, None if drawn.warp is None else drawn.warp(values)) for cell, values in made]
    realisation = kind.realise(scene, rng)
    if kind.table is not None:
        cells = displace(kind, realisation, scene.image, levels, severity.multipliers)
    else:
        cells = calibrate(kind, realisation, scene.image, levels, severity.bands)
    return [
        Level(
            cell,
            None if cell.status == "table" else severity.bands[cell.level],
            None if realisation.warp is None else realisation.warp(cell.strength),
        )
        for cell in cells
    ]
