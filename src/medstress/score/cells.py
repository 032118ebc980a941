"""Every object in every cell of a run on one data set, with its perturbed image and its answer."""

from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from medstress.errors import MedstressError
from medstress.records import CLEAN
from medstress.specs import ScoreSpec

UNMOVED = -1
"""Instead of the row number of a perturbed image, where the truth is that of the clean one."""

_KEY = ["sample_id", "object_id", "perturbation", "level"]
_EXAMPLES = 5


def cells_of(
    spec: ScoreSpec,
    objects: Iterable[tuple[str, str, str]],
    perturbed: pa.Table,
    answers: pa.Table,
    where: Path,
    *,
    clean_only: Collection[str] = (),
) -> pd.DataFrame:
    """One row an object and cell: by object in the order given, clean first, then by perturbation and level.

    `objects`: sample, object and image of each; where a sample is asked about as a whole, its object is "". Samples in
    `clean_only` are in the clean cell alone.
    Columns: row numbers of the `object`, of the `perturbed` image (or UNMOVED) and of the `answer`, and the cell's
    `perturbation` and `level`. Raises MedstressError where perturbed images are missing, or where answers, read from
    `where`, are missing, doubled or foreign.
    """
    names = pd.DataFrame(list(objects), columns=["sample_id", "object_id", "image_id"], dtype=object)
    names["object"] = range(len(names))
    clean = names.assign(perturbation=CLEAN, level=0, perturbed=UNMOVED)
    moved = names[~names["sample_id"].isin(list(clean_only))]
    expected = pd.concat([clean, _perturbed_of(moved, perturbed, spec), _unmoved_of(moved, answers, spec)])
    return _answered(expected, answers, where)


def _examples(frame: pd.DataFrame, columns: list[str]) -> str:
    # A sample as a whole has no object to name.
    rows = frame[columns].head(_EXAMPLES).itertuples(index=False)
    shown = ["/".join(text for part in row if (text := str(part))) for row in rows]
    return ", ".join(shown) + (f" and {len(frame) - _EXAMPLES} more" if len(frame) > _EXAMPLES else "")


def _perturbed_of(names: pd.DataFrame, table: pa.Table, spec: ScoreSpec) -> pd.DataFrame:
    """Each object's perturbed images.

    Raises MedstressError where a cell lacks an image that others of it have, unless it is made for a part of them.
    """
    key = ["image_id", "perturbation", "level"]
    frame = table.select(key).to_pandas()
    frame["perturbed"] = range(len(frame))
    expected = names.merge(frame[["perturbation", "level"]].drop_duplicates(), how="cross")
    found = expected.merge(frame, on=key, how="left")
    found = found[found["perturbed"].notna() | ~found["perturbation"].isin(spec.partial)]
    missing = found[found["perturbed"].isna()].drop_duplicates(key)
    if len(missing):
        raise MedstressError(
            f"{len(missing)} perturbed images of {spec.dataset} are missing: {_examples(missing, key)}. "
            "Delete the perturbed records of this data set and run the same command again."
        )
    return found


def _unmoved_of(names: pd.DataFrame, answers: pa.Table, spec: ScoreSpec) -> pd.DataFrame:
    """Each object in the cells without a perturbed record, at the levels that there are answers for.

    Raises MedstressError where one of the names has no answer at all.
    """
    cells = answers.select(["perturbation", "level"]).to_pandas().drop_duplicates()
    own = cells[cells["perturbation"].isin(spec.unmoved)]
    if lacking := [name for name in spec.unmoved if name not in set(own["perturbation"])]:
        raise MedstressError(
            f"{spec.run} on {spec.dataset}: no answers for {', '.join(lacking)}. "
            "Delete the answers of this run and run the same command again."
        )
    return names.merge(own, how="cross").assign(perturbed=UNMOVED)


def _answered(expected: pd.DataFrame, answers: pa.Table, where: Path) -> pd.DataFrame:
    given = answers.select(_KEY).to_pandas()
    given["answer"] = range(len(given))
    merged = expected.merge(given, on=_KEY, how="outer", indicator="found")
    problems = {
        "answers are missing": merged[merged["found"] == "left_only"],
        "answers belong to no object or cell of the study": merged[merged["found"] == "right_only"],
        "answers are there more than once": merged[merged.duplicated(_KEY)],
    }
    if texts := [f"{len(rows)} {text}: {_examples(rows, _KEY)}" for text, rows in problems.items() if len(rows)]:
        raise MedstressError(f"{where}: {'; '.join(texts)}. Delete this record and run the same command again.")
    whole = merged.astype({"object": int, "perturbed": int, "answer": int, "level": int})
    whole["place"] = np.where(whole["perturbation"] == CLEAN, 0, 1)
    ordered = whole.sort_values(["object", "place", "perturbation", "level"], ignore_index=True)
    return ordered[["object", "perturbed", "answer", "perturbation", "level"]]
