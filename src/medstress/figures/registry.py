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
    task: Task | None = None
    """The data sets and runs that it shows; None for those of all tasks."""


FIGURES: dict[FigureName, FigureEntry] = {
    "severity_curves": FigureEntry("medstress.figures.severity_curves", ("scores",)),
    "image_grid": FigureEntry(
        "medstress.figures.image_grid", ("images", "samples", "perturbed", "predictions"), "segmentation"
    ),
    "robustness_scatter": FigureEntry("medstress.figures.robustness_scatter", ("scores",)),
    "strategy_ranking": FigureEntry("medstress.figures.strategy_ranking", ("scores",)),
    "top_perturbations": FigureEntry("medstress.figures.top_perturbations", ("scores",)),
    "heat_map": FigureEntry("medstress.figures.heat_map", ("scores",)),
    "radar": FigureEntry("medstress.figures.radar", ("scores", "images", "samples")),
    "calibration_quality": FigureEntry("medstress.figures.calibration_quality", ("perturbed",)),
    "failure_gallery": FigureEntry(
        "medstress.figures.failure_gallery", ("scores", "images", "samples", "perturbed", "predictions")
    ),
    "adversarial_curves": FigureEntry("medstress.figures.adversarial_curves", ("scores",)),
    "flip_matrix": FigureEntry("medstress.figures.flip_matrix", ("scores",)),
}
