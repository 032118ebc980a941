"""Memory does not grow with the number of images."""

from pathlib import Path

import pytest

from tests.perturb.long_runs import dataset_command, folder_command, peak_mib, write_folder, write_record

SIDE = 96
# A few row groups: memory that the first ones leave behind is used again by the others.
FEW = 100
TYPE = "translation"


def on_dataset(folder: Path, count: int) -> list[str]:
    record = write_record(folder / f"{count}.parquet", count, SIDE)
    return dataset_command(record, folder / f"{count}.out.parquet", TYPE, [1, 5], workers=1)


def on_folder(folder: Path, count: int) -> list[str]:
    files = write_folder(folder / str(count), count, SIDE)
    return folder_command(files, folder / f"{count}.out", TYPE, "5", workers=1)


@pytest.mark.parametrize("command", [on_dataset, on_folder])
def test_sixteen_times_as_many_images_take_no_more_memory(tmp_path, command):
    few, many = (peak_mib(command(tmp_path, count)) for count in (FEW, 16 * FEW))
    assert many < 1.15 * few
    assert many < 600
