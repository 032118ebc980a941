"""Who the patients of MIMIC-IV are: gender, age, year group and one of a few ethnic groups."""

from pathlib import Path

import pyarrow as pa
from pyarrow import csv

from medstress.datasets.candidate import no_such
from medstress.errors import MedstressError

UNKNOWN = "UNKNOWN/OTHER"

Attributes = tuple[tuple[str, str], ...]


def read_patients(patients: Path, admissions: Path, root: Path) -> dict[str, Attributes]:
    """The attributes of each patient by subject_id: gender, age (anchor_age), year_group and ethnicity.

    A patient whose admissions name several groups, or none, is UNKNOWN/OTHER; admissions that do not know do not count.
    Raises MedstressError where a table or a column is missing.
    """
    people = _read(patients, "source.patients", root, ["subject_id", "gender", "anchor_age", "anchor_year_group"])
    stays = _read(admissions, "source.admissions", root, ["subject_id", "race"])
    groups: dict[str, set[str]] = {}
    for row in stays:
        if (group := group_of_race(row["race"])) != UNKNOWN:
            groups.setdefault(row["subject_id"], set()).add(group)
    found: dict[str, Attributes] = {}
    for row in people:
        subject = row["subject_id"]
        named = groups.get(subject, set())
        values = {
            "gender": row["gender"],
            "age": row["anchor_age"],
            "year_group": row["anchor_year_group"],
            "ethnicity": next(iter(named)) if len(named) == 1 else UNKNOWN,
        }
        found[subject] = tuple((name, value) for name, value in values.items() if value)
    return found


def group_of_race(race: str) -> str:
    """The group that MIMIC-IV's words belong to, as SURE-VQA draws them: WHITE - RUSSIAN and PORTUGUESE are WHITE."""
    name = race.upper()
    if name.startswith(("WHITE", "PORTUGUESE")):
        return "WHITE"
    if name.startswith("HISPANIC"):
        return "HISPANIC/LATINO"
    return next((group for group in ("BLACK", "ASIAN") if name.startswith(group)), UNKNOWN)


def _read(path: Path, key: str, root: Path, columns: list[str]) -> list[dict[str, str]]:
    """The columns of a CSV file, compressed or not, as text."""
    if not path.is_file():
        raise MedstressError(no_such("table", path, key, root))
    options = csv.ConvertOptions(include_columns=columns, column_types=dict.fromkeys(columns, pa.string()))
    try:
        table = csv.read_csv(path, convert_options=options)
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise MedstressError(
            f"{path}: cannot be read ({reason}). A table of MIMIC-IV with the columns {', '.join(columns)} is needed."
        ) from None
    return [{name: value or "" for name, value in row.items()} for row in table.to_pylist()]
