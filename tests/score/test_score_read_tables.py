"""Damaged records are named, also where many are read as one table."""

from pathlib import Path

import pytest

from medstress.errors import MedstressError
from medstress.records import ScoreRow, read_rows, read_tables, write_rows

ROW = ScoreRow("segmentation", "model", 0, "toy", "iid", "s", "p", "o", "clean", 0, "iou", 0.5, "ok")


def damaged(path: Path) -> Path:
    """A record whose footer is whole and whose pages are not."""
    write_rows(path, ScoreRow, [ROW] * 1000)
    data = bytearray(path.read_bytes())
    pages = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    data[4:pages] = bytes(pages - 4)
    path.write_bytes(data)
    return path


def test_damaged_pages(tmp_path: Path) -> None:
    path = damaged(tmp_path / "scores.parquet")
    messages = []
    for read in (lambda: read_tables([path], ScoreRow), lambda: read_rows(path, ScoreRow)):
        with pytest.raises(
            MedstressError, match=r"scores\.parquet: row group 0 cannot be read.*Delete the file"
        ) as caught:
            read()
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(MedstressError, match=r"cannot be opened.*Check that it is a file you may read"):
        read_tables([tmp_path], ScoreRow)


def test_columns_and_files_come_as_asked(tmp_path: Path) -> None:
    write_rows(tmp_path / "one.parquet", ScoreRow, [ROW])
    write_rows(tmp_path / "none.parquet", ScoreRow, [])
    table = read_tables([tmp_path / "none.parquet", tmp_path / "one.parquet"], ScoreRow, ["value", "run"])
    assert table.to_pydict() == {"value": [0.5], "run": ["model"]}
    assert read_tables([tmp_path / "none.parquet"], ScoreRow).num_rows == 0
