"""How scores of boxes fall as severity grows."""

import pandas as pd

from medstress.table_spec import TableSpec
from medstress.tables.answers_levels import CAPTION as _CAPTION
from medstress.tables.answers_levels import build, display_of, notes
from medstress.tables.grounding_main import COUNTS

__all__ = ["CAPTION", "TITLE", "build", "display", "notes"]

TITLE = "Grounding: scores by level"
CAPTION = (
    "Boxes are held against the object's box in the image that was shown; an object of which less than half remains is "
    f"left out (lost). {_CAPTION}"
)
_SHOWN = ("box_iou", "accuracy_50")


def display(spec: TableSpec, table: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it; the numbers have every metric."""
    return display_of(spec, table, _SHOWN, COUNTS)
