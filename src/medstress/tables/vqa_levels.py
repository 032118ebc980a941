"""How scores of questions fall as severity grows."""

import pandas as pd

from medstress.table_spec import TableSpec
from medstress.tables.answers_levels import CAPTION as _CAPTION
from medstress.tables.answers_levels import build, display_of, notes
from medstress.tables.vqa_main import COUNTS

__all__ = ["CAPTION", "TITLE", "build", "display", "notes"]

TITLE = "Questions: scores by level"
CAPTION = (
    "Closed questions are right where the option that an answer gives is the true one; answers to open questions are "
    f"compared by words. Among the numbers are flips, whose drop is perturbed minus clean. {_CAPTION}"
)
_SHOWN = ("closed_accuracy", "open_f1", "judge_closed", "judge_open")


def display(spec: TableSpec, table: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it; the numbers have every metric."""
    return display_of(spec, table, _SHOWN, COUNTS)
