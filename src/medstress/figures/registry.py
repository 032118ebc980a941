"""Every figure by name.

Module paths instead of modules, so that a change in one figure does not touch the others. A figure module has
`draw(spec, sources)`, which returns a matplotlib figure.
"""

from dataclasses import dataclass
from typing import Literal

from medstress.names import FigureName, Task

RecordKind = Literal["images", "samples", "perturbed", "predictions", "scores"]


@dataclass(frozen=True)
class FigureEntry:
    """Where a figure is drawn, and which records of the study it reads."""

    module: str
    reads: tuple[RecordKind, ...]
    task: Task = "segmentation"
    """The data sets and runs that it shows."""


FIGURES: dict[FigureName, FigureEntry] = {
    "severity_curves": FigureEntry("medstress.figures.severity_curves", ("scores",)),
    "image_grid": FigureEntry("medstress.figures.image_grid", ("images", "samples", "perturbed", "predictions")),
}
