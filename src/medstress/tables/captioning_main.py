"""The headline table of captions: each run on each data set, clean and perturbed."""

import pandas as pd

from medstress.table_spec import TableSpec
from medstress.tables.answers_main import CAPTION as _CAPTION
from medstress.tables.answers_main import build, display_of, notes, remarks_of

__all__ = ["BLEU_SIGNATURE", "CAPTION", "TITLE", "build", "display", "notes", "remarks"]

BLEU_SIGNATURE = "nrefs:1|case:mixed|eff:yes|tok:13a|smooth:exp|version:2.6.0"
"""What :func:`medstress.score.captions.bleu_signature` says, held by a test: tables need not load sacrebleu."""
TITLE = "Captions: clean scores and what perturbations take away"
CAPTION = (
    f"BLEU is the mean of sentence scores of sacrebleu ({BLEU_SIGNATURE}), 0 to 1; CIDEr-D is 0 to 10, with the rarity "
    "of words counted once over the true captions of the split, for clean and perturbed images alike. No such score "
    f"says that a caption is true. {_CAPTION}"
)
_SHOWN = ("bleu_1", "bleu_4", "rouge_l", "cider_d", "caption_similarity")
COUNTS = {"n_refused": "Refused", "n_empty": "Empty", "n_unreachable": "Unreachable", "n_failed": "Failed"}


def display(spec: TableSpec, table: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it; BLEU-2 and BLEU-3 are among the numbers."""
    return display_of(spec, table, _SHOWN, COUNTS)


def remarks(spec: TableSpec, table: pd.DataFrame) -> list[str]:
    """What differences between drops are noise."""
    return remarks_of(spec, table, _SHOWN)
