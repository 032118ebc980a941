"""Every table by name.

Module paths instead of modules, so that a change in one table does not touch the others. A table module has TITLE,
CAPTION, `build(spec, frame)` (all numbers), `display(spec, table)` (what people read) and `notes(spec, frame)` (what is
missing); one that compares also has `remarks(spec, table)` (what of it is noise).
"""

from dataclasses import dataclass
from typing import Literal

from medstress.names import TableName, Task


@dataclass(frozen=True)
class TableEntry:
    """Where a table is made, and which records of the study it reads."""

    module: str
    reads: tuple[Literal["scores", "perturbed", "training", "judged", "predictions", "ratings"], ...]
    """The first kind there must be; of the others, there may be none."""
    cells: Literal["perturbations", "all"] = "perturbations"
    """Of the scores: clean images and the study's perturbations, or also attacks and moved prompts."""
    task: Task | None = "segmentation"
    """The data sets and runs that it tells of; None for those of all tasks."""
    sides: bool = False
    """Of the scores: also those of the sides of shifts, in the column `subset`."""


TABLES: dict[TableName, TableEntry] = {
    "segmentation_main": TableEntry("medstress.tables.segmentation_main", ("scores",)),
    "segmentation_perturbations": TableEntry("medstress.tables.segmentation_perturbations", ("scores",)),
    "segmentation_levels": TableEntry("medstress.tables.segmentation_levels", ("scores",)),
    "segmentation_strategies": TableEntry("medstress.tables.segmentation_strategies", ("scores",)),
    "segmentation_adversarial": TableEntry("medstress.tables.segmentation_adversarial", ("scores",), "all"),
    "segmentation_transfer": TableEntry("medstress.tables.segmentation_transfer", ("scores",), "all"),
    "segmentation_prompts": TableEntry("medstress.tables.segmentation_prompts", ("scores",), "all"),
    "segmentation_top": TableEntry("medstress.tables.segmentation_top", ("scores",)),
    "segmentation_groups": TableEntry("medstress.tables.segmentation_groups", ("scores",)),
    "classification_main": TableEntry("medstress.tables.classification_main", ("scores",), task="classification"),
    "classification_corruptions": TableEntry(
        "medstress.tables.classification_corruptions", ("scores",), "all", "classification"
    ),
    "classification_fewshot": TableEntry("medstress.tables.classification_fewshot", ("scores",), task="classification"),
    "vqa_main": TableEntry("medstress.tables.vqa_main", ("scores",), task="vqa"),
    "vqa_levels": TableEntry("medstress.tables.vqa_levels", ("scores",), task="vqa"),
    "captioning_main": TableEntry("medstress.tables.captioning_main", ("scores",), task="captioning"),
    "captioning_levels": TableEntry("medstress.tables.captioning_levels", ("scores",), task="captioning"),
    "grounding_main": TableEntry("medstress.tables.grounding_main", ("scores",), task="grounding"),
    "grounding_levels": TableEntry("medstress.tables.grounding_levels", ("scores",), task="grounding"),
    "vqa_shifts": TableEntry("medstress.tables.vqa_shifts", ("scores",), task="vqa", sides=True),
    "judge_agreement": TableEntry(
        "medstress.tables.judge_agreement", ("scores", "judged", "predictions", "ratings"), task="vqa"
    ),
    "published_summary": TableEntry("medstress.tables.published_summary", ("scores",), "all"),
    "published_by_level": TableEntry("medstress.tables.published_by_level", ("scores",), "all"),
    "claims": TableEntry("medstress.tables.claims", ("scores",), task=None, sides=True),
    "uncertainty": TableEntry("medstress.tables.uncertainty", ("scores",), task=None),
    "severity_matched": TableEntry("medstress.tables.severity_matched", ("scores",), task=None),
    "published_numbers": TableEntry("medstress.tables.published_numbers", ("scores",), task=None),
    "comparisons": TableEntry("medstress.tables.comparisons", ("scores",), task=None),
    "ranking": TableEntry("medstress.tables.ranking", ("scores",), task=None),
    "trainable_parameters": TableEntry("medstress.tables.trainable_parameters", ("training",), task=None),
    "calibration": TableEntry("medstress.tables.calibration", ("perturbed",), task=None),
}
