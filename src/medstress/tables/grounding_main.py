"""The headline table of boxes: each run on each data set, clean and perturbed."""

import pandas as pd

from medstress.table_spec import TableSpec
from medstress.tables.answers_main import CAPTION as _CAPTION
from medstress.tables.answers_main import build, display_of, notes, remarks_of

__all__ = ["CAPTION", "TITLE", "build", "display", "notes", "remarks"]

TITLE = "Grounding: clean scores and what perturbations take away"
CAPTION = (
    "Boxes are held against the object's box in the image that was shown: where a perturbation moves the object, the "
    "true box moves with it, and an object of which less than half remains is left out (lost). Acc@0.5 and Acc@0.75 "
    f"are the shares of answers whose IoU is at least that. {_CAPTION}"
)
_SHOWN = ("box_iou", "accuracy_50", "accuracy_75")
COUNTS = {
    "n_unparsable": "Unparsable",
    "n_refused": "Refused",
    "n_empty": "Empty",
    "n_object_lost": "Lost",
    "n_unreachable": "Unreachable",
    "n_failed": "Failed",
}


def display(spec: TableSpec, table: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it."""
    return display_of(spec, table, _SHOWN, COUNTS)


def remarks(spec: TableSpec, table: pd.DataFrame) -> list[str]:
    """What differences between drops are noise."""
    return remarks_of(spec, table, _SHOWN)
