"""The headline table of questions: each run on each data set, clean and perturbed."""

import pandas as pd

from medstress.table_spec import TableSpec
from medstress.tables.answers_main import CAPTION as _CAPTION
from medstress.tables.answers_main import build, display_of, notes, remarks_of

__all__ = ["CAPTION", "TITLE", "build", "display", "notes", "remarks"]

TITLE = "Questions: clean scores and what perturbations take away"
CAPTION = (
    "Closed questions are right where the option that an answer gives is the true one; free answers to open questions "
    "are compared by words. A flip is an answer that differs from the one about the clean image: in the option, or in "
    f"its words. {_CAPTION}"
)
_SHOWN = ("closed_accuracy", "closed_flip", "open_exact_match", "open_f1", "open_flip", "judge_closed", "judge_open")
COUNTS = {
    "n_unparsable": "Unparsable",
    "n_refused": "Refused",
    "n_empty": "Empty",
    "n_unreachable": "Unreachable",
    "n_failed": "Failed",
}


def display(spec: TableSpec, table: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it; precision and recall are among the numbers."""
    return display_of(spec, table, _SHOWN, COUNTS)


def remarks(spec: TableSpec, table: pd.DataFrame) -> list[str]:
    """What differences between drops are noise."""
    return remarks_of(spec, table, _SHOWN)
