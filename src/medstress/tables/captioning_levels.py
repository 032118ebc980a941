"""How scores of captions fall as severity grows."""

import pandas as pd

from medstress.table_spec import TableSpec
from medstress.tables.answers_levels import CAPTION as _CAPTION
from medstress.tables.answers_levels import build, display_of, notes
from medstress.tables.captioning_main import COUNTS

__all__ = ["CAPTION", "TITLE", "build", "display", "notes"]

TITLE = "Captions: scores by level"
CAPTION = f"CIDEr-D is 0 to 10, BLEU and ROUGE-L 0 to 1. {_CAPTION}"
_SHOWN = ("cider_d", "bleu_4", "rouge_l")


def display(spec: TableSpec, table: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it; the numbers have every metric."""
    return display_of(spec, table, _SHOWN, COUNTS)
